//! A client may be slow, but only for so long, and at nobody else's expense.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use bienvenue::app::{Settings, app};
use bienvenue::server::{ConnectionLimits, listen, serve};
use bienvenue::source::Peer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::{Database, TestApp};

pub const GET_HOME: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Long enough for anything that happens at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Little patience, but for what is set otherwise.
static LIMITS: LazyLock<ConnectionLimits> = LazyLock::new(|| ConnectionLimits {
    head: Duration::from_millis(300),
    keep_alive: Duration::from_mins(10),
    answer: Duration::from_millis(300),
    connections: 1000,
    ..ConnectionLimits::default()
});

const BODY_TIMEOUT: Duration = Duration::from_millis(300);

/// Serves the router of the service on a socket, whose address it returns.
pub async fn serve_with(
    limits: ConnectionLimits,
    body_timeout: Duration,
) -> (String, TestApp, JoinHandle<()>) {
    let test_app = TestApp::new(Database::sqlite()).await;
    let settings = Settings {
        body_timeout,
        ..Settings::default()
    };
    let router = app(test_app.auth.clone(), settings);
    let (address, server) = serve_router(router, limits).await;
    (address, test_app, server)
}

pub async fn serve_router(router: Router, limits: ConnectionLimits) -> (String, JoinHandle<()>) {
    let listener = listen(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.address().to_string();
    let server = tokio::spawn(serve(listener, router, limits, std::future::pending()));
    (address, server)
}

/// That the server ends the connection, without a word, and not before it has waited this long.
async fn assert_ends_after(limit: Duration, started: Instant, raw: Raw) {
    let said = timeout(PATIENCE, raw.end()).await.expect("an end");
    assert_eq!(String::from_utf8(said).unwrap(), "");
    assert!(started.elapsed() >= limit, "after {:?}", started.elapsed());
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let (address, ..) = serve_with(LIMITS.clone(), BODY_TIMEOUT).await;
    let started = Instant::now();
    let raw = Raw::connect_to(&address).await;
    assert_ends_after(LIMITS.head, started, raw).await;
}

#[tokio::test]
async fn who_never_ends_the_head_is_cut_off_however_steadily_it_comes() {
    let (address, ..) = serve_with(LIMITS.clone(), BODY_TIMEOUT).await;
    let started = Instant::now();
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n")
        .await
        .unwrap();
    while stream.write_all(b"X: y\r\n").await.is_ok() {
        sleep(Duration::from_millis(20)).await;
        assert!(started.elapsed() < PATIENCE);
    }
    assert!(started.elapsed() >= LIMITS.head);
}

#[tokio::test]
async fn so_is_who_never_ends_a_later_one() {
    let (address, ..) = serve_with(LIMITS.clone(), BODY_TIMEOUT).await;
    let mut raw = Raw::connect_to(&address).await;
    raw.send(GET_HOME).await;
    assert_eq!(raw.reply().await.status, 200);
    let started = Instant::now();
    raw.send(&GET_HOME[..10]).await;
    assert_ends_after(LIMITS.head, started, raw).await;
}

#[tokio::test]
async fn who_never_ends_the_body_is_told_so_and_cut_off() {
    let (address, app, _) = serve_with(LIMITS.clone(), BODY_TIMEOUT).await;
    let before = app.inside.all_rows().await;
    let started = Instant::now();
    let mut raw = Raw::connect_to(&address).await;
    let head = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
    raw.send(head).await;
    while started.elapsed() < BODY_TIMEOUT + Duration::from_millis(100) {
        raw.send(b"x").await;
        sleep(Duration::from_millis(20)).await;
    }
    let reply = raw.reply().await;
    reply.assert_refusal(408, "body took too long to arrive");
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(timeout(PATIENCE, raw.end()).await.is_ok(), "an end");
    assert_eq!(app.inside.all_rows().await, before);
}

#[tokio::test]
async fn a_connection_may_rest_between_requests_and_then_ends() {
    let limits = ConnectionLimits {
        head: Duration::from_millis(100),
        keep_alive: Duration::from_millis(600),
        ..LIMITS.clone()
    };
    let (address, ..) = serve_with(limits.clone(), BODY_TIMEOUT).await;
    let mut raw = Raw::connect_to(&address).await;
    let mut started = Instant::now();
    for _ in 0..3 {
        raw.send(GET_HOME).await;
        assert_eq!(raw.reply().await.status, 200);
        started = Instant::now();
        sleep(limits.head * 3).await;
    }
    assert_ends_after(limits.keep_alive, started, raw).await;
}

#[tokio::test]
async fn who_does_not_read_the_answers_is_cut_off() {
    let (address, ..) = serve_with(LIMITS.clone(), BODY_TIMEOUT).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(address.parse().unwrap()).await.unwrap();
    let started = Instant::now();
    let flood = async {
        let requests = GET_HOME.repeat(1000);
        while stream.write_all(&requests).await.is_ok() {}
    };
    timeout(PATIENCE, flood).await.expect("an end");
    assert!(started.elapsed() >= LIMITS.answer);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_client_does_not_notice_the_slow_ones() {
    let limits = ConnectionLimits {
        head: PATIENCE,
        ..LIMITS.clone()
    };
    let (address, ..) = serve_with(limits.clone(), PATIENCE).await;
    let mut stuck = Vec::new();
    for _ in 0..100 {
        for said in [
            &b""[..],
            b"GET / HTTP/1.1\r\nHost: x\r\nX:",
            b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nemail",
        ] {
            let mut raw = Raw::connect_to(&address).await;
            raw.send(said).await;
            stuck.push(raw);
        }
    }
    let started = Instant::now();
    for _ in 0..100 {
        let mut raw = Raw::connect_to(&address).await;
        raw.send(GET_HOME).await;
        assert_eq!(raw.reply().await.status, 200);
    }
    assert!(
        started.elapsed() < limits.head / 2,
        "{:?}",
        started.elapsed()
    );
    drop(stuck);
}

#[tokio::test]
async fn a_request_knows_whom_it_comes_from() {
    let peer = async |ConnectInfo(peer): ConnectInfo<Peer>| format!("{peer:?}");
    let (address, _) = serve_router(Router::new().route("/", get(peer)), LIMITS.clone()).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let own = format!("{:?}", Peer::Machine(stream.local_addr().unwrap().ip()));
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with(&own), "{answer}");
}

/// The database has its files open while all that the system allows is taken by connections.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_few_open_files_mean_fewer_connections_and_no_failure() {
    let database = Database::sqlite();
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", r#"ulimit -n 64 && exec "$@""#, "sh"])
        .arg(env!("CARGO_BIN_EXE_bienvenue"))
        .args(["--listen", "127.0.0.1:0", "--database-url", &database.url])
        .args(["--bcrypt-cost", "4", "--head-timeout", "1s"]);
    let server = Server::spawn(command);
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(Raw::connect(&server).await);
    }
    let good = async {
        server.registered("bob@example.org", "b4l0u").await;
        server.logged_in("bob@example.org", "b4l0u").await
    };
    let session = timeout(PATIENCE, good).await.expect("an answer");
    assert!(server.is_logged_in(&session).await);
    let (status, log) = server.stop();
    assert!(status.success());
    assert!(
        log.contains("serving 32 connections at once instead of 4096"),
        "{log}"
    );
    assert!(!log.contains("ERROR"), "{log}");
}
