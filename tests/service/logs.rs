//! What is logged, and what never is.

use std::process::Command;

use axum::body::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::on_each_engine;
use crate::support::client::Call;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";

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
            server.reset(EMAIL, &token, &"canary-too-long".repeat(9)),
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

        assert_eq!(lines[0]["message"], format!("listening on {url}"));
        assert!(lines[0]["database"].as_str().unwrap().starts_with(
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
