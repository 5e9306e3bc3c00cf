//! Instances that are upgraded, or only started again, one after the other, while clients ask them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::{JoinSet, block_in_place};

use crate::on_each_engine;
use crate::support::client::{Call, Client, Reply};
use crate::support::report::counted;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";

/// How many clients ask all the time.
const CLIENTS: usize = 8;

/// How often each instance is started again.
const RESTARTS: usize = 3;

/// How many requests are answered between two restarts.
const BETWEEN: usize = 100;

/// Two instances behind what asks them in turns, and the other one where nobody listens.
struct Balancer {
    urls: Mutex<[String; 2]>,
    turn: AtomicUsize,
    /// How often each status was the answer.
    statuses: Mutex<BTreeMap<u16, usize>>,
    answers: UnboundedSender<()>,
}

impl Balancer {
    /// Tells of each answer, until nobody wants to know.
    fn new(servers: &[Server; 2], answers: UnboundedSender<()>) -> Self {
        Self {
            urls: Mutex::new([0, 1].map(|number| servers[number].url.clone())),
            turn: AtomicUsize::default(),
            statuses: Mutex::default(),
            answers,
        }
    }

    /// The answer of one of the instances to a request on a connection of its own.
    async fn ask(&self, call: impl Fn(&Client) -> Call) -> Reply {
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let url = self.urls.lock().unwrap()[turn % 2].clone();
            match call(&Client::of_url(&url)).try_send().await {
                Ok(reply) => {
                    let status = reply.status.as_u16();
                    *self.statuses.lock().unwrap().entry(status).or_default() += 1;
                    let _ = self.answers.send(());
                    return reply;
                }
                Err(error) if error.contains("Connect") => {}
                Err(error) => panic!("a request was not answered: {error}"),
            }
        }
    }

    /// Logs in, looks and logs out, again and again.
    async fn keep_asking(&self) {
        while !self.answers.is_closed() {
            let reply = self.ask(|client| client.log_in(EMAIL, PASSWORD)).await;
            let Some(session) = session_in(&reply) else {
                continue;
            };
            self.ask(|client| client.profile(&session)).await;
            self.ask(|client| client.log_out(&session)).await;
        }
    }
}

/// The session that a login began; `None` if it is to be tried later.
fn session_in(reply: &Reply) -> Option<String> {
    if reply.status == 503 {
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        return None;
    }
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.session_id()
}

on_each_engine! {
    async fn instances_that_are_started_again_one_after_the_other_fail_no_request(database: Database) {
        let mut servers = [Server::start(&database.url), Server::start(&database.url)];
        servers[0].registered(EMAIL, PASSWORD).await;
        let (answers, mut answered) = unbounded_channel();
        let balancer = Arc::new(Balancer::new(&servers, answers));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let balancer = Arc::clone(&balancer);
            clients.spawn(async move { balancer.keep_asking().await });
        }
        for round in 0..2 * RESTARTS {
            // Those that came meanwhile, and as many as come in some time.
            for _ in 0..answered.len() + BETWEEN {
                answered.recv().await.expect("an answer");
            }
            let number = round % 2;
            let started = block_in_place(|| Server::start(&database.url));
            let url = started.url.clone();
            let stopped = std::mem::replace(&mut servers[number], started);
            // Only now, so that clients meet one that stops, and one that is gone.
            let (status, log) = block_in_place(|| stopped.stop());
            assert_eq!(status.code(), Some(0), "{log}");
            balancer.urls.lock().unwrap()[number] = url;
        }
        for _ in 0..answered.len() + BETWEEN {
            answered.recv().await.expect("an answer");
        }
        drop(answered);
        while let Some(client) = clients.join_next().await {
            client.unwrap();
        }
        let statuses = balancer.statuses.lock().unwrap().clone();
        let is_expected = |status: &u16| [200, 302, 503].contains(status);
        assert!(statuses.keys().all(is_expected), "{statuses:?}");
        counted(&format!(
            "two instances restarted in turns under load, {}: {} restarts, answers by status {statuses:?}",
            database.engine(),
            2 * RESTARTS,
        ));
    }
}
