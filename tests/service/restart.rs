//! Starting again without loss: the service manager holds the socket, and clients that send no request
//! twice lose none.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::support::Database;
use crate::support::server::Server;
use crate::support::service_manager::hand_over;

/// How many clients there are, each with a connection of its own, which it keeps.
const CLIENTS: usize = 50;

/// How often each of them sends a request: together 500 times a second.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection that has been idle for longer is used no more, as if this process had been held up. The
/// service closes it half a second after the order to stop, maybe just when a request is sent.
const LONGEST_IDLE: Duration = Duration::from_millis(300);

/// How long a client that has connected takes to send its request.
const BEFORE_REQUEST: Duration = Duration::from_millis(20);

/// A program without optimization takes longer to start.
const RESTARTS: usize = if cfg!(debug_assertions) { 3 } else { 10 };

/// Asks whose session it is, again and again, and tells how long the answer took, until nobody wants to
/// know. Panics if a request fails.
async fn ask_regularly(url: String, session: String, answers: UnboundedSender<Duration>) {
    let client = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .pool_idle_timeout(LONGEST_IDLE)
        .build_http::<Body>();
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let request = Request::get(format!("{url}/profile"))
            .header("cookie", format!("session_id={session}"))
            .body(Body::empty())
            .unwrap();
        let started = Instant::now();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        response.into_body().collect().await.unwrap();
        if answers.send(started.elapsed()).is_err() {
            return;
        }
    }
}

/// Asks on a new connection each time, a moment after it was opened, and otherwise does the same.
async fn ask_anew(url: String, session: String, answers: UnboundedSender<Duration>) {
    let address = url.strip_prefix("http://").unwrap();
    let request = format!(
        "GET /profile HTTP/1.1\r\nHost: x\r\nCookie: session_id={session}\r\nConnection: close\r\n\r\n"
    );
    let mut ticks = interval(PAUSE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let started = ticks.tick().await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        sleep(BEFORE_REQUEST).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        if answers.send(started.elapsed()).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_behind_an_inherited_socket_loses_no_request() {
    assert_restarts_lose_nothing(ask_regularly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_one_whose_connection_was_accepted_as_the_service_ended() {
    assert_restarts_lose_nothing(ask_anew).await;
}

/// Starts the service again and again while clients ask it.
async fn assert_restarts_lose_nothing<C>(
    client: impl Fn(String, String, UnboundedSender<Duration>) -> C,
) where
    C: Future<Output = ()> + Send + 'static,
{
    let database = Database::sqlite();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = || {
        let mut command = hand_over(socket.try_clone().unwrap(), 1);
        command.args(["--database-url", &database.url]);
        Server::spawn(command)
    };
    let mut server = start();
    server.registered("bob@example.org", "b4l0u").await;
    let session = server.logged_in("bob@example.org", "b4l0u").await;
    let (answers, mut answered) = unbounded_channel();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (url, session) = (server.url.clone(), session.clone());
        clients.spawn(client(url, session, answers.clone()));
    }
    drop(answers);
    let (mut requests, mut longest) = (0, Duration::ZERO);
    for _ in 0..RESTARTS {
        let (status, log) = block_in_place(|| server.stop());
        assert_eq!(status.code(), Some(0), "{log}");
        server = block_in_place(start);
        // Those that were answered meanwhile, and as many as come in some time.
        for _ in 0..answered.len() + 2 * CLIENTS {
            longest = longest.max(answered.recv().await.expect("a client"));
            requests += 1;
        }
    }
    drop(answered);
    while let Some(client) = clients.join_next().await {
        client.expect("no request fails");
    }
    println!("{RESTARTS} restarts, {requests} requests, the longest took {longest:?}");
}
