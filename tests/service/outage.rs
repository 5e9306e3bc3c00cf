//! PostgreSQL goes away and comes back.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use uuid::Uuid;

use crate::support::Database;
use crate::support::postgres::Cluster;
use crate::support::server::Server;

/// How soon after the database the service must be back.
const BACK_WITHIN: Duration = Duration::from_secs(2);

/// Well above the 5 seconds that the service waits for its database.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_database_the_service_says_503_and_with_it_works_again() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let database_url = cluster.create_database().await;
    let server = Server::start(&database_url);
    server.registered("bob@example.org", "b4l0u").await;
    let session = server.logged_in("bob@example.org", "b4l0u").await;
    let token = server.reset_token("bob@example.org").await;
    // Several connections, all of which will break.
    let mut profiles = tokio::task::JoinSet::new();
    for _ in 0..30 {
        profiles.spawn(server.profile(&session).send());
    }
    profiles.join_all().await;

    for _ in 0..3 {
        cluster.down();
        for _ in 0..12 {
            for call in [
                server.profile(&session),
                server.profile(&Uuid::new_v4().to_string()),
                server.log_in("bob@example.org", "b4l0u"),
                server.log_in("bob@example.org", "wrong"),
                server.log_out(&session),
                server.register("new@example.org", "b4l0u"),
                server.ask_reset("bob@example.org"),
                server.reset("bob@example.org", &token, "new"),
            ] {
                let reply = call.send().await;
                reply.assert_refusal(503, "temporarily unavailable");
                assert_eq!(reply.header("retry-after"), Some("1"));
            }
        }
        assert_eq!(
            server.get("/").send().await.status,
            200,
            "home needs no database"
        );

        cluster.up();
        let returned = Instant::now();
        loop {
            let reply = server.profile(&session).send().await;
            if reply.status == 200 {
                break;
            }
            reply.assert_refusal(503, "temporarily unavailable");
            assert!(returned.elapsed() < BACK_WITHIN, "still away");
        }
        // From then on nobody meets a broken connection.
        for _ in 0..30 {
            assert!(server.is_logged_in(&session).await);
        }
    }
    assert!(server.can_log_in("bob@example.org", "b4l0u").await);
    assert_eq!(
        server
            .reset("bob@example.org", &token, "new")
            .send()
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_notices_that_the_database_was_restarted_between_two_requests() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let server = Server::start(&cluster.create_database().await);
    server.registered("bob@example.org", "b4l0u").await;
    let session = server.logged_in("bob@example.org", "b4l0u").await;
    for _ in 0..3 {
        cluster.down();
        cluster.up();
        let mut profiles = tokio::task::JoinSet::new();
        for _ in 0..30 {
            profiles.spawn(server.profile(&session).send());
        }
        for reply in profiles.join_all().await {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_answer_keeps_nobody_from_stopping() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let database = Database {
        url: cluster.create_database().await,
        folder: None,
    };
    let server = Server::start(&database.url);
    let inside = database.look_inside().await;
    let _lock = inside.lock_out_writers().await;
    let mut sign_ups = tokio::task::JoinSet::new();
    for number in 0..12 {
        let email = format!("user{number}@example.org");
        sign_ups.spawn(server.register(&email, "b4l0u").send());
    }
    // Statements are under way on most of its connections.
    inside.wait_for_waiting(8).await;
    cluster.pause();
    for reply in sign_ups.join_all().await {
        reply.assert_refusal(503, "temporarily unavailable");
    }
    let stopping = Instant::now();
    let (status, _) = server.stop();
    let took = stopping.elapsed();
    cluster.resume();
    assert!(status.success());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_answer_is_not_waited_for() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let server = Server::start(&cluster.create_database().await);
    server.registered("bob@example.org", "b4l0u").await;
    let session = server.logged_in("bob@example.org", "b4l0u").await;
    cluster.pause();
    let reply = timeout(PATIENCE, server.profile(&session).send()).await;
    cluster.resume();
    let reply = reply.expect("an answer");
    reply.assert_refusal(503, "temporarily unavailable");
    assert!(server.is_logged_in(&session).await);
}
