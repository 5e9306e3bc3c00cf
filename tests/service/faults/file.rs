//! The database file is taken away while the service runs.

use std::fs;
use std::time::{Duration, Instant};

use super::{CLIENTS, assert_is_sound};
use crate::support::Database;
use crate::support::ledger::{Ledgers, Load};
use crate::support::server::Server;

/// How soon the service must have noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_while_the_file_is_elsewhere() {
    const ROUNDS: usize = 3;
    let database = Database::sqlite();
    let file = database.file();
    let server = Server::start(&database.url);
    let mut ledgers = Ledgers::default();
    for round in 0..ROUNDS {
        let mut load = Load::start(&format!("user-{round}"), &[&server.url], CLIENTS);
        load.acknowledged(100).await;
        let elsewhere = file.with_extension("elsewhere");
        fs::rename(&file, &elsewhere).unwrap();
        let email = format!("absent-{round}@example.org");
        for _ in 0..20 {
            let reply = server.register(&email, "b4l0u").send().await;
            reply.assert_refusal(503, "temporarily unavailable");
        }
        fs::rename(&elsewhere, &file).unwrap();
        load.acknowledged(100).await;
        ledgers = ledgers.and(load.stop().await);
    }
    ledgers
        .assert_hold(&server, "file moved away and back", ROUNDS)
        .await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_is_sound(&file).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_does_not_come_back_ends_the_process() {
    for replaced in [false, true] {
        let database = Database::sqlite();
        let file = database.file();
        let server = Server::start(&database.url);
        server.registered("bob@example.org", "b4l0u").await;
        let session = server.logged_in("bob@example.org", "b4l0u").await;
        if replaced {
            let copy = file.with_extension("copy");
            fs::copy(&file, &copy).unwrap();
            fs::rename(&copy, &file).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        let removed = Instant::now();
        let reply = server.log_out(&session).send().await;
        reply.assert_refusal(503, "temporarily unavailable");
        while server.profile(&session).send().await.status != 503 {
            assert!(removed.elapsed() < 2 * NOTICED_WITHIN, "not noticed");
        }
        let (status, log) = server.wait();
        assert_eq!(status.code(), Some(8), "{log}");
        assert!(log.contains("ERROR"), "{log}");
        // Nothing was put in the place of the file.
        assert_eq!(file.exists(), replaced);
    }
}
