//! What is logged, and what never is.

use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::net::TcpListener;
use std::ops::Deref;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::on_each_engine;
use crate::support::Database;
use crate::support::client::{Call, Client};
use crate::support::raw::Raw;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";

/// How long an answer may take until a test gives up on it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// How long an order to stop may take to be followed.
const STOPPED_WITHIN: Duration = Duration::from_secs(10);

/// A secret with all the forms in which it might be logged.
fn forms_of(secret: &str) -> [String; 4] {
    let digest = Sha256::digest(secret.as_bytes());
    [
        secret.to_owned(),
        secret.replace('-', ""),
        format!("{:x}", Bytes::copy_from_slice(&digest)),
        // As `{:?}` writes bytes.
        format!("{:?}", &digest[..4]).replace(']', ""),
    ]
}

on_each_engine! {
    async fn no_secret_is_logged_at_any_level(database: Database) {
        let url = if database.folder.is_none() {
            // Any password will do: the server trusts whoever reaches its socket.
            format!("{}&password=canary-database", database.url)
        } else {
            database.url.clone()
        };
        let options = ["--bcrypt-cost", "4", "--log", "trace"];
        let server = Server::start_with(&url, &options);
        let mut secrets = vec!["canary-database".to_owned()];
        let mut canary = |name: &str| {
            let canary = format!("canary-{name}");
            secrets.push(canary.clone());
            canary
        };

        let password = canary("password");
        server.registered(EMAIL, &password).await;
        let session = server.logged_in(EMAIL, &password).await;
        let token = server.reset_token(EMAIL).await;
        let new_password = canary("new-password");
        let foreign_cookie = canary("foreign-cookie");
        let calls: Vec<Call> = vec![
            server.register(EMAIL, &canary("taken")),
            server.log_in(EMAIL, &canary("wrong")),
            server.log_in(&canary("unknown@example.org"), &canary("wrong2")),
            server.log_in("no address", &canary("wrong3")),
            server.profile(&session),
            server.profile(&session).header("cookie", format!("other={foreign_cookie}")),
            server.profile(&canary("no-session")),
            server.reset(EMAIL, &canary("bad-token"), &canary("unused")),
            server.reset(EMAIL, &token, &"canary-too-long".repeat(70)),
            server.reset(EMAIL, &token, &new_password),
            server.reset(EMAIL, &token, &new_password),
            server.get(&format!("/{}", canary("path"))),
            server.get(&format!("/profile?{}", canary("query"))),
            server.get("/profile").header("authorization", canary("authorization")),
            server.get("/profile").header("x-request-id", canary("request-id")),
            server.request("POST", "/users").body("application/json", format!("{{\"password\": {}", canary("cut"))),
            server.request("POST", "/users").body(&canary("type"), "email=a@b"),
            server.log_out(&session),
        ];
        for call in calls {
            call.send().await;
        }
        let last_session = server.logged_in(EMAIL, &new_password).await;
        assert_eq!(server.log_out(&last_session).send().await.status, 302);
        secrets.extend([session, token, last_session, "canary-too-long".to_owned()]);
        secrets.push(database.look_inside().await.hash_of(EMAIL).await);

        let (status, log) = server.stop();
        assert!(status.success());
        assert!(log.contains("FROM sessions"), "tells every statement: {log}");
        for secret in secrets {
            for form in forms_of(&secret) {
                let leak = log.lines().find(|line| line.contains(&form));
                assert_eq!(leak, None, "{secret} is in the log");
            }
        }
        assert!(!log.contains("$2b$") && !log.contains(EMAIL), "{log}");
    }

    async fn each_request_is_one_line_and_so_is_the_start(database: Database) {
        let options = ["--bcrypt-cost", "10", "--log-format", "json"];
        let server = Server::start_with(&database.url, &options);
        let url = server.url.clone();
        let reply = server.log_in(EMAIL, "b4l0u").send().await;
        let request_id = reply.header("x-request-id").unwrap().to_owned();
        server.get("/nowhere").send().await;
        let (_, log) = server.stop();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();

        let listening = format!("listening on {url}");
        let starts: Vec<&Value> = lines.iter().filter(|line| line["message"] == *listening).collect();
        let [start] = starts[..] else {
            panic!("{log}");
        };
        assert!(start["database"].as_str().unwrap().starts_with(
            if database.folder.is_some() { "sqlite:" } else { "postgres:" }
        ));
        let answered: Vec<&Value> = lines
            .iter()
            .filter(|line| line["message"] == "answered")
            .collect();
        let [login, nowhere] = answered[..] else {
            panic!("{log}");
        };
        assert_eq!(login["level"], "INFO");
        assert_eq!(login["method"], "POST");
        assert_eq!(login["route"], "/sessions");
        assert_eq!(login["status"], 401);
        assert!(login["microseconds"].as_u64().unwrap() > 1000);
        assert_eq!(login["span"]["id"], *request_id);
        assert_eq!(nowhere["route"], "none");
        assert_eq!(nowhere["status"], 404);
    }
}

#[tokio::test]
async fn the_database_password_is_masked_in_the_last_words_too() {
    let output = Command::new(env!("CARGO_BIN_EXE_bienvenue"))
        .args(["--listen", "127.0.0.1:0", "--database-url"])
        .arg("postgres://me:s3cret@127.0.0.1:1/db?password=s3cret")
        .output()
        .unwrap();
    let last_words = String::from_utf8_lossy(&output.stderr);
    assert!(
        last_words.contains("postgres://me:***@127.0.0.1:1/db"),
        "{last_words}"
    );
    assert!(!last_words.contains("s3cret"), "{last_words}");
}

/// A running server whose log is not read any more since it listens; killed when it is dropped.
struct UnreadServer {
    process: Child,
    log: Option<BufReader<ChildStderr>>,
    address: String,
    client: Client,
}

impl UnreadServer {
    fn start(database: &Database) -> Self {
        let mut process = Server::command()
            .args(["--listen", "127.0.0.1:0", "--bcrypt-cost", "4"])
            .args(["--database-url", &database.url])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "it did not start");
        }
        let (_, address) = line.split_once("http://").unwrap();
        let address = address.split_whitespace().next().unwrap().to_owned();
        Self {
            process,
            log: Some(log),
            client: Client::of_url(&format!("http://{address}")),
            address,
        }
    }

    /// Has more requests answered than a log may wait for: twice 8,192 lines of at least 128 bytes.
    async fn fill_log(&self) {
        let mut raw = Raw::connect_to(&self.address).await;
        for _ in 0..256 {
            raw.send(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(64))
                .await;
            for _ in 0..64 {
                let reply = timeout(ANSWERED_WITHIN, raw.reply()).await;
                assert_eq!(reply.expect("an answer in time").status, 200);
            }
        }
    }

    /// Tells it to stop and waits for its end.
    fn stop(&mut self) -> ExitStatus {
        let pid = self.process.id().to_string();
        let told = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(told.unwrap().success());
        end_of(&mut self.process)
    }
}

/// How a process ends that was told to stop.
fn end_of(process: &mut Child) -> ExitStatus {
    let told = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        if told.elapsed() > STOPPED_WITHIN {
            let _ = process.kill();
            panic!("it did not end by itself: {:?}", process.wait());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Deref for UnreadServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for UnreadServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_log_that_is_not_read_holds_up_neither_requests_nor_the_end() {
    let database = Database::sqlite();
    let mut server = UnreadServer::start(&database);
    server.fill_log().await;
    server.registered(EMAIL, "b4l0u").await;
    assert_eq!(server.stop().code(), Some(0));
}

#[tokio::test]
async fn a_log_that_is_read_again_has_every_audit_line_and_the_number_of_dropped_lines() {
    let database = Database::sqlite();
    let mut server = UnreadServer::start(&database);
    server.fill_log().await;
    server.registered(EMAIL, "b4l0u").await;
    for _ in 0..100 {
        server.logged_in(EMAIL, "b4l0u").await;
    }
    let mut log = server.log.take().unwrap();
    let mut text = String::new();
    let mut last_line = 0;
    while !text[last_line..].contains("lines were dropped") {
        last_line = text.len();
        assert!(log.read_line(&mut text).unwrap() > 0, "nothing is told");
    }
    assert_eq!(server.get("/").send().await.status, 200);
    assert_eq!(server.stop().code(), Some(0));
    log.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("event=\"sign_up\"").count(), 1);
    assert_eq!(text.matches("event=\"login\"").count(), 100);
    assert!(text.trim_end().ends_with("stopped"));

    let mut lines = text.lines();
    let told = lines.find(|line| line.contains("lines were dropped"));
    let mut told = told.unwrap().split(' ');
    let dropped = told.find_map(|word| word.parse::<usize>().ok());
    let answered = text.matches(": answered ").count();
    // More than these requests may have been dropped, such as a warning of a slow database.
    assert!(answered + dropped.unwrap() > 256 * 64 + 1 + 100);
    assert_eq!(
        lines.filter(|line| line.contains("were dropped")).count(),
        0
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_written_holds_up_nothing() {
    let database = Database::sqlite();
    let mut server = UnreadServer::start(&database);
    server.log = None;
    for _ in 0..10 {
        assert_eq!(server.get("/").send().await.status, 200);
    }
    server.registered(EMAIL, "b4l0u").await;
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_start_that_fails_ends_though_its_log_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (_reader, mut full) = pipe().unwrap();
    // As much as a pipe holds on Linux.
    full.write_all(&vec![b'x'; 64 * 1024]).unwrap();
    let mut process = Server::command()
        .current_dir(folder.path())
        .args(["--listen", &address])
        .stderr(full)
        .spawn()
        .unwrap();
    let status = end_of(&mut process);
    assert_eq!(status.code(), Some(1));
}
