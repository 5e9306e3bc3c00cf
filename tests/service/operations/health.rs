//! Whether the service lives and is ready, as its listener for operators and `bienvenue health` tell it.

use std::fs;
use std::process::{Output, Stdio};
use std::time::Instant;

use bienvenue::app::openapi;
use tokio::net::TcpStream;

use super::*;
use crate::on_each_engine;
use crate::support::EmptyDatabase;
use crate::support::postgres::Cluster;
use crate::support::raw::Raw;

/// How soon the service must see that its database is away or back.
const SEEN_WITHIN: Duration = Duration::from_secs(2);

/// Waits until `/readyz` answers so, and returns how long that took.
async fn time_until(operations: &Client, status: u16, word: &str) -> Duration {
    let since = Instant::now();
    let reached = async {
        loop {
            let reply = operations.get("/readyz").send().await;
            let said = String::from_utf8(reply.body).unwrap();
            if (reply.status.as_u16(), said.trim_end()) == (status, word) {
                return;
            }
        }
    };
    let reached = timeout(PATIENCE, reached).await;
    reached.unwrap_or_else(|_| panic!("no {status} {word}"));
    since.elapsed()
}

async fn assert_lives(operations: &Client) {
    let asked = Instant::now();
    let reply = operations.get("/livez").send().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.body, b"alive\n");
    assert!(asked.elapsed() < Duration::from_secs(1));
}

/// Runs `bienvenue health` for the service that answers operators there.
fn health(address: &str) -> (Option<i32>, String) {
    let mut command = Server::command();
    command.args(["health", "--operations", address]);
    said(&command.stdin(Stdio::null()).output().unwrap())
}

fn said(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{output:?}");
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    (output.status.code(), said.trim_end().to_owned())
}

on_each_engine! {
    async fn each_listener_has_its_own_paths_and_no_other(database: Database) {
        let server = start_with(&database, &[]);
        let operations = server.operations();
        for path in ["/metrics", "/livez", "/readyz", "/openapi.json"] {
            assert_eq!(operations.get(path).send().await.status, 200, "{path}");
            assert_eq!(operations.request("HEAD", path).send().await.status, 200, "{path}");
            assert_eq!(operations.post(path, &[]).send().await.status, 405, "{path}");
            server.get(path).send().await.assert_refusal(404, "not found");
        }
        for path in ["/", "/users", "/sessions", "/profile", "/reset_password", "/nowhere"] {
            assert_eq!(operations.get(path).send().await.status, 404, "{path}");
        }
        assert_eq!(operations.register(EMAIL, PASSWORD).send().await.status, 404);
        assert_eq!(database.look_inside().await.count("users").await, 0);

        let document = operations.get("/openapi.json").send().await;
        assert_eq!(document.header("content-type"), Some("application/json"));
        assert_eq!(document.body, openapi().as_bytes());
    }

    async fn a_service_stays_ready_when_a_newer_version_has_added_to_the_schema(database: Database) {
        let server = start_with(&database, &[]);
        let operations = server.operations();
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let inside = database.look_inside().await;
        for addition in [
            "ALTER TABLE users ADD COLUMN name TEXT",
            "ALTER TABLE sessions ADD COLUMN name TEXT",
            "CREATE TABLE names (user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE)",
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'later', success, checksum, execution_time
             FROM _sqlx_migrations WHERE version = 1",
        ] {
            inside.execute(addition).await;
        }
        assert_eq!(operations.get("/readyz").send().await.status, 200);
        assert!(server.is_logged_in(&session).await);
        server.registered("eve@example.org", PASSWORD).await;
        let token = server.reset_token(EMAIL).await;
        assert_eq!(server.reset(EMAIL, &token, "new").send().await.status, 200);
        assert!(!server.is_logged_in(&session).await);
        assert!(server.can_log_in(EMAIL, "new").await);

        let mut again = Server::command();
        again.args(["--listen", "127.0.0.1:0", "--database-url", &database.url]);
        let (code, words) = said(&again.output().unwrap());
        assert_eq!(code, Some(6), "{words}");
        assert!(words.contains("has migration 9999") && words.contains("use the newer version"), "{words}");
        assert_eq!(operations.get("/readyz").send().await.status, 200);
        let (_, log) = server.stop();
        assert!(!log.contains("not ready"), "{log}");
    }

    async fn a_service_whose_schema_is_gone_is_not_ready(database: Database) {
        let server = start_with(&database, &[]);
        let operations = server.operations();
        time_until(&operations, 200, "ready").await;
        let inside = database.look_inside().await;
        let last = inside.number("SELECT max(version) FROM _sqlx_migrations").await;
        let renumber = |from: i64, to: i64| {
            format!("UPDATE _sqlx_migrations SET version = {to} WHERE version = {from}")
        };
        inside.execute(&renumber(last, 9999)).await;
        let reply = operations.get("/readyz").send().await;
        assert_eq!((reply.status.as_u16(), &reply.body[..]), (503, &b"schema\n"[..]));
        assert_lives(&operations).await;
        inside.execute(&renumber(9999, last)).await;
        assert_eq!(operations.get("/readyz").send().await.status, 200);
        let (_, log) = server.stop();
        assert_eq!(log.matches("not ready: the database has not the schema").count(), 1, "{log}");
        assert_eq!(log.matches("ready again").count(), 1, "{log}");
    }

    async fn a_service_that_stops_is_not_ready_from_the_order_on(database: Database) {
        let server = start_with(&database, &["--head-timeout", "1h"]);
        let operations = server.operations();
        time_until(&operations, 200, "ready").await;
        let mut stuck = Raw::connect(&server).await;
        stuck.send(b"GET / HTTP/1.1\r\nHo").await;
        // Answered on another connection, so that one has been accepted.
        assert_eq!(server.get("/").send().await.status, 200);

        server.signal("TERM");
        let took = time_until(&operations, 503, "stopping").await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert_lives(&operations).await;
        let (code, said) = health(server.operations_address());
        assert_eq!((code, said.as_str()), (Some(1), "bienvenue: not ready: stopping"));
        // Nobody listens any more, and the request that has begun is still waited for.
        while TcpStream::connect(server.address()).await.is_ok() {}
        assert_eq!(operations.get("/readyz").send().await.status, 503);
        stuck.send(b"st: x\r\n\r\n").await;
        assert_eq!(stuck.reply().await.status, 200);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }

    async fn health_exits_with_0_if_the_service_is_ready(database: Database) {
        let server = start_with(&database, &[]);
        assert_eq!(health(server.operations_address()), (Some(0), String::new()));
        let mut by_environment = Server::command();
        by_environment.arg("health").env("BIENVENUE_OPERATIONS", server.operations_address());
        assert_eq!(said(&by_environment.output().unwrap()), (Some(0), String::new()));

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bienvenue.toml");
        let line = format!("operations = \"{}\"", server.operations_address());
        fs::write(&file, line).unwrap();
        let mut by_file = Server::command();
        by_file.args(["health", "--config", file.to_str().unwrap()]);
        assert_eq!(said(&by_file.output().unwrap()), (Some(0), String::new()));

        let (code, said) = health(server.address());
        assert_eq!(code, Some(1));
        let told = format!("bienvenue: {} answers /readyz with 404", server.address());
        assert!(said.starts_with(&told) && said.contains("--operations"), "{said}");
    }
}

#[tokio::test]
async fn operators_can_be_answered_on_a_unix_socket() {
    let database = Database::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("operations.sock");
    let address = format!("unix:{}", socket.display());
    let server = Server::start_with(&database.url, &["--operations", &address]);
    assert_eq!(health(&address), (Some(0), String::new()));
    let (_, log) = server.stop();
    assert!(
        log.contains(&format!("/openapi.json on {address}\n")),
        "{log}"
    );
    assert!(!socket.exists());
    let (code, said) = health(&address);
    assert_eq!(code, Some(1));
    let told = format!("bienvenue: no service answers on {address}: ");
    assert!(said.starts_with(&told), "{said}");
}

#[test]
fn health_exits_with_1_if_nothing_listens_and_with_2_without_an_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let (code, said_of_it) = health(&address);
    assert_eq!(code, Some(1));
    let told = format!("bienvenue: no service answers on {address}: ");
    assert!(said_of_it.starts_with(&told), "{said_of_it}");

    let (code, said) = said(&Server::command().arg("health").output().unwrap());
    assert_eq!(code, Some(2));
    assert!(
        said.contains("--operations <ADDRESS:PORT|unix:PATH>"),
        "{said}"
    );
}

#[tokio::test]
async fn an_address_for_operators_that_is_taken_is_refused_by_the_name_of_its_option() {
    let database = EmptyDatabase::sqlite();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Server::command();
    command.args(["--listen", "127.0.0.1:0", "--operations", &address]);
    let output = command.args(["--database-url", &database.url]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(
        log.contains("choose another address with --operations"),
        "{log}"
    );
    assert!(!database.file().exists());
}

#[tokio::test]
async fn a_listener_for_operators_that_other_networks_may_reach_is_warned_of() {
    let database = Database::sqlite();
    for (address, is_warned_of) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let server = Server::start_with(&database.url, &["--operations", address]);
        let (_, log) = server.stop();
        assert_eq!(
            log.contains("other networks may reach it"),
            is_warned_of,
            "{log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_postgresql_the_service_lives_and_is_not_ready_until_it_is_back() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let database = Database {
        url: cluster.create_database().await,
        folder: None,
    };
    let server = start_with(&database, &[]);
    let operations = server.operations();
    time_until(&operations, 200, "ready").await;
    for has_crashed in [true, false, true] {
        if has_crashed {
            cluster.down();
        } else {
            cluster.pause();
        }
        let took = time_until(&operations, 503, "database").await;
        assert!(took < SEEN_WITHIN, "{took:?}");
        assert_lives(&operations).await;
        let (code, said) = health(server.operations_address());
        assert_eq!(
            (code, said.as_str()),
            (Some(1), "bienvenue: not ready: database")
        );
        if has_crashed {
            cluster.up();
        } else {
            cluster.resume();
        }
        let took = time_until(&operations, 200, "ready").await;
        assert!(took < SEEN_WITHIN, "{took:?}");
    }
    let series = metrics(&operations).await;
    for kind in ["unavailable", "timed_out"] {
        let count = &series[&format!("bienvenue_database_errors_total{{kind=\"{kind}\"}}")];
        assert_ne!(count, "0", "{kind}");
    }
    let (_, log) = server.stop();
    assert_eq!(
        log.matches("not ready: the database does not answer")
            .count(),
        3,
        "{log}"
    );
    assert_eq!(log.matches("ready again").count(), 3, "{log}");
}

#[tokio::test]
async fn without_its_file_the_service_is_not_ready_until_it_is_back() {
    let database = Database::sqlite();
    let server = start_with(&database, &[]);
    let operations = server.operations();
    time_until(&operations, 200, "ready").await;
    let elsewhere = database.file().with_extension("elsewhere");
    fs::rename(database.file(), &elsewhere).unwrap();
    let took = time_until(&operations, 503, "database").await;
    assert!(took < SEEN_WITHIN, "{took:?}");
    assert_lives(&operations).await;
    fs::rename(&elsewhere, database.file()).unwrap();
    let took = time_until(&operations, 200, "ready").await;
    assert!(took < SEEN_WITHIN, "{took:?}");
}
