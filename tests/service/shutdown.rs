//! The end: requests that have arrived are answered, and the process says that all went well.

use std::future::ready;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use bienvenue::server::{ConnectionLimits, DRAIN_DEADLINE, listen, serve};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::on_each_engine;
use crate::support::Database;
use crate::support::raw::Raw;
use crate::support::server::Server;

const GET_HOME: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Tells a server to stop when many logins have arrived, which must all be answered.
async fn stop_under_load(database: &Database, signal: &str) {
    const BODY: &str = "email=bob%40example.org&password=b4l0u";
    let server = Server::start(&database.url);
    server.registered("bob@example.org", "b4l0u").await;
    let head = format!(
        "POST /sessions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    let mut logins = Vec::new();
    for _ in 0..8 {
        let mut login = Raw::connect(&server).await;
        login.send(head.as_bytes()).await;
        login.asked_for_body().await;
        logins.push(login);
    }
    for login in &mut logins {
        login.send(BODY.as_bytes()).await;
    }
    server.signal(signal);
    for mut login in logins {
        assert_eq!(login.reply().await.status, 200);
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_had_been_sent_before_the_order_is_answered_seen_or_not() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let mut clients = Vec::new();
    for number in 0..100 {
        let mut raw = Raw::connect(&server).await;
        // Some have been here before.
        if number % 2 == 0 {
            raw.send(GET_HOME).await;
            assert_eq!(raw.reply().await.status, 200);
        }
        clients.push(raw);
    }
    for raw in &mut clients {
        raw.send(GET_HOME).await;
    }
    server.signal("TERM");
    for mut raw in clients {
        assert_eq!(raw.reply().await.status, 200);
    }
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn who_waits_to_be_accepted_at_the_order_is_answered() {
    let listener = listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().to_string();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        stream.write_all(GET_HOME).unwrap();
        waiting.push(stream);
    }
    let router = Router::new().route("/", get(async || "home"));
    serve(listener, router, ConnectionLimits::default(), ready(())).await;
    for mut stream in waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("home"), "{answer}");
    }
}

#[tokio::test]
async fn connections_at_rest_do_not_hold_up_the_end() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let _silent = Raw::connect(&server).await;
    let mut at_rest = Raw::connect(&server).await;
    at_rest.send(GET_HOME).await;
    assert_eq!(at_rest.reply().await.status, 200);
    let stopping = Instant::now();
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("cut off"), "{log}");
    assert!(stopping.elapsed() < DRAIN_DEADLINE / 2);
}

#[tokio::test]
async fn answers_after_the_order_are_the_last_ones_of_their_connections_and_say_so() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let mut raw = Raw::connect(&server).await;
    raw.send(GET_HOME).await;
    assert!(!raw.reply().await.headers.contains_key("connection"));
    server.signal("TERM");
    loop {
        raw.send(GET_HOME).await;
        let reply = raw.reply().await;
        assert_eq!(reply.status, 200);
        if reply.headers.contains_key("connection") {
            assert_eq!(reply.headers["connection"], "close");
            break;
        }
    }
    assert_eq!(raw.end().await, b"");
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Clients that are stuck in every part of a request, for longer than a server would drain.
async fn stuck_clients(server: &Server) -> Vec<Raw> {
    let mut stuck = Vec::new();
    for half in [
        &b"GET / HTTP/1.1\r\nHo"[..],
        b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nemail",
        b"POST /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nem",
    ] {
        let mut raw = Raw::connect(server).await;
        raw.send(half).await;
        stuck.push(raw);
    }
    let mut reads_nothing = Raw::connect(server).await;
    let flood = GET_HOME.repeat(1000);
    while timeout(Duration::from_millis(500), reads_nothing.send(&flood))
        .await
        .is_ok()
    {}
    stuck.push(reads_nothing);
    // Answered on another connection, so those have been accepted.
    assert_eq!(server.get("/").send().await.status, 200);
    stuck
}

const PATIENT: [&str; 8] = [
    "--bcrypt-cost",
    "4",
    "--head-timeout",
    "1h",
    "--body-timeout",
    "1h",
    "--answer-timeout",
    "1h",
];

#[tokio::test]
async fn clients_that_never_finish_cannot_keep_the_server_alive() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &PATIENT);
    let _stuck = stuck_clients(&server).await;
    let stopping = Instant::now();
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("cut off"), "{log}");
    assert!(stopping.elapsed() < DRAIN_DEADLINE + Duration::from_secs(5));
}

#[tokio::test]
async fn the_second_order_ends_the_process_at_once() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("TERM", "INT")] {
        let database = Database::sqlite();
        let server = Server::start_with(&database.url, &PATIENT);
        let _stuck = stuck_clients(&server).await;
        server.signal(first);
        // Nobody listens any more, so the first order is being followed.
        while TcpStream::connect(server.address()).await.is_ok() {}
        let stopping = Instant::now();
        server.signal(second);
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(
            log.contains("told again to stop: ending at once, without waiting"),
            "{log}"
        );
        assert!(stopping.elapsed() < DRAIN_DEADLINE / 2);
    }
}

#[tokio::test]
async fn two_signals_at_once_are_one_order() {
    for (one, other) in [("TERM", "TERM"), ("TERM", "INT")] {
        let database = Database::sqlite();
        let server = Server::start(&database.url);
        // Both are pending when it goes on.
        for name in ["STOP", one, other, "CONT"] {
            server.signal(name);
        }
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("told again"), "{log}");
    }
}

#[tokio::test]
async fn signals_that_mean_nothing_here_are_logged_and_end_nothing() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    for name in ["HUP", "USR1", "USR2", "PIPE"] {
        server.signal(name);
        assert_eq!(server.get("/").send().await.status, 200);
    }
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    for line in [
        "SIGHUP: settings are read at the start only",
        "SIGUSR1: this signal has no meaning",
        "SIGUSR2: this signal has no meaning",
    ] {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
}
