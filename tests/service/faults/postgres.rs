//! PostgreSQL crashes, hangs, ends connections, is read-only or has no connection left, under load.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::CLIENTS;
use crate::support::ledger::{Ledgers, Load};
use crate::support::postgres::{Cluster, MAX_CONNECTIONS};
use crate::support::server::Server;

const ROUNDS: usize = 3;

/// How long a fault may take until every write is refused. Far below the lifetime of a reset token,
/// which would expire before the ledgers are checked.
const FAULT_TIMEOUT: Duration = Duration::from_mins(3);

/// Brings a fault about and takes it away again, under load.
async fn survives<Fault>(
    name: &str,
    cluster: &Cluster,
    bring_about: impl AsyncFn(&str) -> Fault,
    take_away: impl AsyncFn(&str, Fault),
) {
    let url = cluster.create_database().await;
    let server = Server::start(&url);
    let mut ledgers = Ledgers::default();
    for round in 0..ROUNDS {
        let mut load = Load::start(&format!("user-{round}"), &[&server.url], CLIENTS);
        load.acknowledged(100).await;
        let fault = bring_about(&url).await;
        timeout(FAULT_TIMEOUT, wait_for_refusals(&server, round))
            .await
            .expect("every write refused");
        take_away(&url, fault).await;
        load.acknowledged(100).await;
        ledgers = ledgers.and(load.stop().await);
    }
    ledgers.assert_hold(&server, name, ROUNDS).await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
}

/// Waits until whatever writes is refused.
async fn wait_for_refusals(server: &Server, round: usize) {
    loop {
        let mut sign_ups = JoinSet::new();
        for number in 0..10 {
            let email = format!("refused-{round}-{number}@example.org");
            sign_ups.spawn(server.register(&email, "b4l0u").send());
        }
        let replies = sign_ups.join_all().await;
        if replies.iter().all(|reply| reply.status == 503) {
            return;
        }
        // Connections from before the fault may go on for a while.
        for reply in replies {
            assert!(
                [200, 400, 503].contains(&reply.status.as_u16()),
                "{reply:?}"
            );
        }
    }
}

async fn run(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let statement = AssertSqlSafe(statement.to_owned());
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

/// The name of the database and the URL of another on the same server.
fn neighbour(url: &str) -> (&str, String) {
    let name = url.split(['/', '?']).nth(3).unwrap();
    (name, url.replacen(name, "postgres", 1))
}

/// Ends every connection to the database.
async fn end_connections(url: &str) {
    let (name, neighbour) = neighbour(url);
    let end =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    run(&neighbour, &end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_the_server_loses_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start_durable() else {
        return;
    };
    let down = async |_: &str| cluster.down();
    let up = async |_: &str, ()| cluster.up();
    survives("PostgreSQL crashed", &cluster, down, up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_loses_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let pause = async |_: &str| cluster.pause();
    let resume = async |_: &str, ()| cluster.resume();
    survives("PostgreSQL paused", &cluster, pause, resume).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_server_loses_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let set = async |url: &str, setting: &str| {
        let (name, neighbour) = neighbour(url);
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {setting}");
        run(&neighbour, &set).await;
        end_connections(url).await;
    };
    let read_only = async |url: &str| set(url, "on").await;
    let writable = async |url: &str, ()| set(url, "off").await;
    survives("PostgreSQL read-only", &cluster, read_only, writable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_a_free_connection_loses_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let occupy = async |url: &str| {
        let (name, neighbour) = neighbour(url);
        let mut taken = vec![PgConnection::connect(&neighbour).await.unwrap()];
        loop {
            while let Ok(connection) = PgConnection::connect(&neighbour).await {
                taken.push(connection);
            }
            // Counted, because the server does not list a connection that is just being opened.
            if taken.len() == MAX_CONNECTIONS {
                return taken;
            }
            let end = format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
            );
            taken[0].execute(AssertSqlSafe(end)).await.unwrap();
        }
    };
    let release = async |_: &str, taken: Vec<PgConnection>| {
        for connection in taken {
            connection.close().await.unwrap();
        }
    };
    survives(
        "PostgreSQL without a free connection",
        &cluster,
        occupy,
        release,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_ends_lose_nothing_that_was_acknowledged() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let url = cluster.create_database().await;
    let server = Server::start(&url);
    let mut load = Load::start("user", &[&server.url], CLIENTS);
    let rounds = 20;
    for _ in 0..rounds {
        load.acknowledged(20).await;
        end_connections(&url).await;
    }
    load.acknowledged(20).await;
    let ledgers = load.stop().await;
    let fault = "PostgreSQL's connections ended";
    ledgers.assert_hold(&server, fault, rounds).await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
}
