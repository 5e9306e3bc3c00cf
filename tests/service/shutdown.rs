//! The end: requests that have arrived are answered, and the process says that all went well.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::on_each_engine;
use crate::support::Database;
use crate::support::server::Server;

/// Tells a server to stop while it is hashing for many, who must all get their answers.
async fn stop_under_load(database: &Database, signal: &str) {
    let server = Server::start_with(&database.url, &["--bcrypt-cost", "10"]);
    server.registered("bob@example.org", "b4l0u").await;
    let mut logins = JoinSet::new();
    for _ in 0..8 {
        logins.spawn(server.log_in("bob@example.org", "b4l0u").try_send());
    }
    // The first answer shows that the others have arrived: they were sent with it and wait for
    // their turn to be hashed.
    let first = logins.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(first.status, 200);
    server.signal(signal);
    while let Some(login) = logins.join_next().await {
        assert_eq!(login.unwrap().unwrap().status, 200);
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.trim_end().ends_with("stopped"), "{log}");
}

on_each_engine! {
    async fn sigterm_answers_what_has_arrived_and_exits_with_0(database: Database) {
        stop_under_load(&database, "TERM").await;
    }

    async fn sigint_answers_what_has_arrived_and_exits_with_0(database: Database) {
        stop_under_load(&database, "INT").await;
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_request_cannot_keep_the_server_alive() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stuck = TcpStream::connect(address).await.unwrap();
    let half = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nemail";
    stuck.write_all(half).await.unwrap();
    // Answered on another connection, so the first one has been accepted.
    assert_eq!(server.get("/").send().await.status, 200);

    let stopping = Instant::now();
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("cut off"), "{log}");
    assert!(stopping.elapsed() < bienvenue::app::DRAIN_DEADLINE + Duration::from_secs(5));
}
