//! Which mails leave first, and how many may wait.

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bienvenue::auth::{self, Error};
use bienvenue::language::Language;
use bienvenue::source::Source;
use tokio::task::yield_now;
use tokio::time::timeout;

use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestApp};

const EMAIL: &str = "bob@example.org";
const NOBODY: &str = "nob@example.org";
const A_SECOND: Duration = Duration::from_secs(1);
/// Far less than the mail server takes for the mails that it is slow for.
const PATIENCE: Duration = Duration::from_secs(10);

/// A host of the network that the floods come from.
fn flooding(host: u32) -> Source {
    source(&format!("198.51.100.{}", host % 256))
}

/// Where the owner is.
fn elsewhere() -> Source {
    source("203.0.113.5")
}

fn source(address: &str) -> Source {
    address.parse::<IpAddr>().unwrap().into()
}

async fn app_with(database: Database, server: &SmtpServer, users: u32) -> TestApp {
    let app = TestApp::mailing(database, server.mailer()).await;
    app.registered(EMAIL, "b4l0u").await;
    for number in 0..users {
        app.registered(&format!("user{number}@example.org"), "b4l0u")
            .await;
    }
    app
}

async fn ask(app: &TestApp, email: &str, source: Source) -> Result<(), Error> {
    let asked = app
        .auth
        .ask_for_reset(Some(&email.parse().unwrap()), Language::English, source)
        .await;
    asked.map(|reset| assert!(matches!(reset, auth::Reset::ByMail)))
}

/// Adds so many mails to made-up addresses that wait, all asked for from one network.
async fn add_waiting(app: &TestApp, count: u32, network: &str) {
    let insert = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count} - 1)
         INSERT INTO outbox (kind, email, asked_at, due_at, quiet_until, attempts, network, turn)
         SELECT 'reset_link', n || '@flood.test', 1800000000, 1800000000, 1800000300, 0, '{network}', n
         FROM numbers"
    );
    app.inside.execute(&insert).await;
}

/// That all are refused, whatever the address, and that nothing is recorded.
async fn assert_no_more_are_taken(app: &TestApp, source: Source) {
    let before = app.inside.count("outbox").await;
    for email in [EMAIL, NOBODY, "0@flood.test"] {
        let refused = ask(app, email, source).await;
        assert!(
            matches!(refused, Err(Error::Throttled { .. })),
            "{email}: {refused:?}"
        );
    }
    assert_eq!(app.inside.count("outbox").await, before);
}

/// The addresses that mails came to since the last time.
fn recipients(server: &SmtpServer) -> Vec<String> {
    let mails = server.take().into_iter();
    mails.map(|mut mail| mail.to.remove(0)).collect()
}

on_each_engine! {
    async fn the_first_mail_of_a_network_leaves_before_the_others_of_another(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 30).await;
        for number in 0..30 {
            ask(&app, &format!("user{number}@example.org"), flooding(number)).await.unwrap();
        }
        app.clock.turn(A_SECOND);
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        app.auth.deliver_due().await.unwrap();
        let first = recipients(&server);
        assert!(first.contains(&EMAIL.to_owned()), "{first:?}");
        assert_eq!(first.len(), 8, "places are left for other networks");
        assert_eq!(app.deliver().await, 23);
    }

    async fn an_owner_does_not_wait_with_a_flood_that_has_asked_for_their_mail(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 30).await;
        for number in 0..30 {
            ask(&app, &format!("user{number}@example.org"), flooding(number)).await.unwrap();
        }
        ask(&app, EMAIL, flooding(30)).await.unwrap();
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        app.auth.deliver_due().await.unwrap();
        let first = recipients(&server);
        assert!(first.contains(&EMAIL.to_owned()), "{first:?}");
        app.deliver().await;
        assert!(!recipients(&server).contains(&EMAIL.to_owned()), "once is enough");
    }

    async fn mails_to_made_up_addresses_are_settled_by_the_hundred(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 0).await;
        add_waiting(&app, 900, "198.51.100.0/24").await;
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        assert_eq!(app.auth.deliver_due().await.unwrap(), 500);
        assert_eq!(recipients(&server), [EMAIL]);
        assert_eq!(app.auth.deliver_due().await.unwrap(), 401);
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
        assert_eq!(app.inside.count("outbox WHERE network IS NOT NULL").await, 0);
    }

    async fn a_network_of_which_a_thousand_mails_wait_is_refused_others(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 0).await;
        add_waiting(&app, 999, "198.51.100.0/24").await;
        ask(&app, "last@flood.test", flooding(1)).await.unwrap();
        assert_no_more_are_taken(&app, flooding(2)).await;

        ask(&app, EMAIL, elsewhere()).await.unwrap();
        app.deliver().await;
        assert_eq!(recipients(&server), [EMAIL]);
        ask(&app, NOBODY, flooding(2)).await.unwrap();
    }

    async fn no_more_than_a_hundred_thousand_mails_wait(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 0).await;
        add_waiting(&app, 100_000, "198.51.100.0/24").await;
        app.auth.deliver_due().await.unwrap();
        assert_no_more_are_taken(&app, elsewhere()).await;

        app.auth.deliver_due().await.unwrap();
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        app.auth.deliver_due().await.unwrap();
        assert_eq!(recipients(&server), [EMAIL]);
    }

    async fn slow_mails_of_one_network_do_not_hold_up_those_of_others(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 30).await;
        server.be_slow_for("user");
        for number in 0..30 {
            ask(&app, &format!("user{number}@example.org"), flooding(number)).await.unwrap();
        }
        let auth = app.auth.clone();
        let worker = tokio::spawn(async move { auth.deliver_until(std::future::pending()).await });
        let under_way = async {
            while app.inside.count("outbox WHERE claim IS NOT NULL").await < 8 {
                yield_now().await;
            }
        };
        timeout(PATIENCE, under_way).await.expect("mails that are being sent");

        let started = Instant::now();
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        let mails = tokio::task::block_in_place(|| server.wait());
        assert_eq!(mails[0].to, [EMAIL]);
        assert!(started.elapsed() < PATIENCE, "{:?}", started.elapsed());
        worker.abort();
    }

    async fn what_cannot_be_read_stops_no_other_mail(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 0).await;
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        app.inside.execute(
            "INSERT INTO outbox (kind, email, asked_at, due_at, quiet_until, attempts)
             VALUES ('of another version', 'bob@example.org', 0, 0, 0, 0)",
        ).await;
        assert_eq!(app.deliver().await, 2);
        assert_eq!(recipients(&server), [EMAIL]);
    }

    async fn known_and_unknown_addresses_are_settled_in_the_same_moment(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with(database, &server, 0).await;
        ask(&app, EMAIL, elsewhere()).await.unwrap();
        ask(&app, NOBODY, elsewhere()).await.unwrap();
        let auth = app.auth.clone();
        let worker = tokio::spawn(async move { auth.deliver_until(std::future::pending()).await });
        let settled = async || app.inside.count("outbox WHERE due_at IS NULL").await;
        let first = async {
            loop {
                match settled().await {
                    0 => yield_now().await,
                    some => return some,
                }
            }
        };
        assert_eq!(timeout(6 * PATIENCE, first).await.expect("a mail that is noted as sent"), 2);
        assert_eq!(recipients(&server), [EMAIL]);
        worker.abort();
    }
}

/// How many transactions are in the write-ahead log of an SQLite database: how many of its frames
/// carry the size of the database after a commit (<https://www.sqlite.org/fileformat2.html>, 4.1).
fn commits(folder: &Path) -> usize {
    let log = fs::read(folder.join("bienvenue.db-wal")).unwrap();
    let page_size = u32::from_be_bytes(log[8..12].try_into().unwrap());
    let frames = log[32..].chunks(24 + usize::try_from(page_size).unwrap());
    frames.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_and_unknown_addresses_take_the_same_number_of_commits() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    let mut taken = Vec::new();
    for email in [EMAIL, NOBODY] {
        let app = app_with(Database::sqlite(), &server, 0).await;
        let folder = app.database.folder.as_ref().unwrap().path();
        ask(&app, email, elsewhere()).await.unwrap();
        let before = commits(folder);
        app.deliver().await;
        taken.push(commits(folder) - before);
    }
    assert_eq!(taken, [2, 2], "to claim and to settle");
    assert_eq!(server.take().len(), 1);
}
