//! When there are too many connections, or too much in unfinished requests, those make room that have
//! waited longest for their clients, and other clients are served at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bienvenue::server::ConnectionLimits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::slow_clients::{GET_HOME, PATIENCE, serve_router, serve_with};
use crate::support::raw::Raw;

const HALF_HEAD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nX:";
const HALF_BODY: &[u8] = b"POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nemail";

const LONG: Duration = Duration::from_mins(10);

/// No time limit ends a connection while a test runs: what ends, made room.
fn at_most(connections: usize) -> ConnectionLimits {
    ConnectionLimits {
        head: LONG,
        keep_alive: LONG,
        answer: LONG,
        connections,
        ..ConnectionLimits::default()
    }
}

async fn assert_ends(raw: Raw) {
    let said = timeout(PATIENCE, raw.end()).await.expect("an end");
    assert_eq!(String::from_utf8(said).unwrap(), "");
}

async fn assert_is_served(raw: &mut Raw) {
    raw.send(GET_HOME).await;
    let reply = timeout(PATIENCE, raw.try_reply()).await.expect("an answer");
    assert_eq!(reply.expect("no end").status, 200);
}

#[tokio::test]
async fn the_connection_that_waited_longest_makes_room() {
    for said in [&b""[..], HALF_HEAD, HALF_BODY, GET_HOME] {
        let (address, app, _) = serve_with(at_most(3), LONG).await;
        let before = app.inside.all_rows().await;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let mut raw = Raw::connect_to(&address).await;
            raw.send(said).await;
            if said == GET_HOME {
                assert_eq!(raw.reply().await.status, 200);
            }
            waiting.push(raw);
        }
        let mut newcomer = Raw::connect_to(&address).await;
        assert_is_served(&mut newcomer).await;
        assert_ends(waiting.remove(0)).await;
        if said.is_empty() || said == GET_HOME {
            for raw in &mut waiting {
                assert_is_served(raw).await;
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
    }
}

#[tokio::test]
async fn the_source_with_the_most_connections_makes_room_first() {
    let (address, ..) = serve_with(at_most(6), LONG).await;
    let mut owner = Raw::connect_from("127.0.0.2", &address).await;
    assert_is_served(&mut owner).await;
    let mut greedy = Vec::new();
    for _ in 0..5 {
        let mut raw = Raw::connect_from("127.0.0.3", &address).await;
        assert_is_served(&mut raw).await;
        greedy.push(raw);
    }
    let mut others = Vec::new();
    for last in 4..8 {
        let mut raw = Raw::connect_from(&format!("127.0.0.{last}"), &address).await;
        assert_is_served(&mut raw).await;
        others.push(raw);
    }
    for raw in greedy.drain(..4) {
        assert_ends(raw).await;
    }
    assert_is_served(&mut owner).await;
    assert_is_served(&mut greedy[0]).await;
    for raw in &mut others {
        assert_is_served(raw).await;
    }
}

#[tokio::test]
async fn no_connection_is_closed_whose_request_is_being_answered() {
    let begun = Arc::new(Notify::new());
    let go_on = Arc::new(Notify::new());
    let handler = {
        let (begun, go_on) = (Arc::clone(&begun), Arc::clone(&go_on));
        async move || {
            begun.notify_one();
            go_on.notified().await;
        }
    };
    let router = Router::new()
        .route("/slow", get(handler))
        .route("/", get(async || ()));
    let (address, _) = serve_router(router, at_most(1)).await;
    let mut first = Raw::connect_to(&address).await;
    first.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    begun.notified().await;
    let mut second = Raw::connect_to(&address).await;
    second.send(GET_HOME).await;
    let too_early = timeout(Duration::from_millis(200), second.reply()).await;
    assert!(too_early.is_err(), "it waits in the queue");
    go_on.notify_one();
    assert_eq!(first.reply().await.status, 200);
    let reply = timeout(PATIENCE, second.reply()).await.expect("an answer");
    assert_eq!(reply.status, 200);
    assert_ends(first).await;
}

/// Keeps a number of connections busy with this, and comes back whenever one is closed.
fn flood(address: &str, clients: usize, said: [&'static [u8]; 3]) -> JoinSet<()> {
    let mut flood = JoinSet::new();
    for client in 0..clients {
        let address = address.to_owned();
        let said = said[client % said.len()];
        flood.spawn(async move {
            loop {
                let Ok(mut stream) = TcpStream::connect(&address).await else {
                    continue;
                };
                if stream.write_all(said).await.is_ok() {
                    let mut answers = Vec::new();
                    let _ = stream.read_to_end(&mut answers).await;
                }
            }
        });
    }
    flood
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_the_same_address_keeps_nobody_out() {
    // Comes again where it was closed before it could send: on a busy machine it runs late itself.
    async fn visit(address: &str) {
        loop {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let mut answer = [0; 12];
            if stream.write_all(GET_HOME).await.is_ok()
                && stream.read_exact(&mut answer).await.is_ok()
            {
                assert_eq!(&answer, b"HTTP/1.1 200");
                return;
            }
        }
    }
    for said in [
        [HALF_HEAD; 3],
        [HALF_BODY; 3],
        [GET_HOME; 3],
        [&b""[..]; 3],
        [HALF_HEAD, HALF_BODY, GET_HOME],
    ] {
        let (address, ..) = serve_with(at_most(50), LONG).await;
        let flood = flood(&address, 100, said);
        for _ in 0..20 {
            let visit = timeout(PATIENCE, visit(&address));
            visit.await.expect("an answer");
        }
        drop(flood);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_do_not_push_out_a_client_between_two_requests() {
    let (address, ..) = serve_with(at_most(20), LONG).await;
    let mut regular = Raw::connect_to(&address).await;
    assert_is_served(&mut regular).await;
    let mut unfinished = Vec::new();
    for number in 0..200 {
        let mut raw = Raw::connect_to(&address).await;
        raw.send([HALF_HEAD, HALF_BODY, b""][number % 3]).await;
        unfinished.push(raw);
        if number % 10 == 0 {
            assert_is_served(&mut regular).await;
        }
    }
    assert_is_served(&mut regular).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_requests_hold_so_much_together_and_the_oldest_makes_room() {
    const LENGTH: usize = 16 * 1024;
    const CLIENTS: usize = 400;
    const ROOM: usize = 4 * 1024 * 1024 / LENGTH;
    let (address, app, _) = serve_with(at_most(10_000), LONG).await;
    let before = app.inside.all_rows().await;
    let head = format!("POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: {LENGTH}\r\n\r\n");
    let nearly_all = [head.as_bytes(), &[b'x'; LENGTH - 1]].concat();
    let mut small = Raw::connect_from("127.0.0.2", &address).await;
    small.send(HALF_BODY).await;
    let mut unfinished = Vec::new();
    for _ in 0..CLIENTS {
        let mut raw = Raw::connect_to(&address).await;
        raw.send(&nearly_all).await;
        unfinished.push(raw);
    }
    // Half of those that are too many: the server need not see them in the order that they came in.
    for raw in unfinished.drain(..(CLIENTS - ROOM) / 2) {
        assert_ends(raw).await;
    }
    // The newest, and those of another source that hold less, go on.
    let mut newest = unfinished.pop().unwrap();
    for (raw, rest) in [(&mut newest, &b"x"[..]), (&mut small, b"=a@b")] {
        raw.send(rest).await;
        let reply = timeout(PATIENCE, raw.try_reply()).await.expect("an answer");
        assert_eq!(reply.expect("no end").status, 415);
    }
    assert_eq!(app.inside.all_rows().await, before);
}
