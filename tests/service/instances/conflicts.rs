//! Transactions that the server undoes because of others: they are done again, a few times.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bienvenue::clock::Clock;
use tempfile::tempdir;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::be_serializable;
use crate::support::client::{Call, Client, Reply};
use crate::support::report::counted;
use crate::support::server::Server;
use crate::support::{Database, TestApp};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";

/// The number from which on statements that write are undone.
const FIRST_UNDONE: i64 = 1001;

/// Lets each statement that writes take a number, and undoes the transactions of some.
fn undo_some(until: &str) -> [String; 3] {
    let function = format!(
        "CREATE OR REPLACE FUNCTION undo_some() RETURNS trigger LANGUAGE plpgsql AS $$
         DECLARE number BIGINT := nextval('writes');
         BEGIN
             IF number >= {FIRST_UNDONE} AND number < {until} THEN
                 RAISE EXCEPTION 'on purpose' USING ERRCODE = 'serialization_failure';
             END IF;
             RETURN NULL;
         END $$"
    );
    let triggers = "
        DO $$
        DECLARE name TEXT;
        BEGIN
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                EXECUTE format('CREATE OR REPLACE TRIGGER undo_some
                    BEFORE INSERT OR UPDATE OR DELETE ON %I
                    FOR EACH STATEMENT EXECUTE FUNCTION undo_some()', name);
            END LOOP;
        END $$";
    let sequence = "CREATE SEQUENCE IF NOT EXISTS writes";
    [sequence.to_owned(), function, triggers.to_owned()]
}

/// An app whose statements that write are undone between these numbers.
async fn app_with_conflicts(until: &str) -> Option<TestApp> {
    let app = TestApp::new(Database::postgres().await?).await;
    for statement in undo_some(until) {
        app.inside.execute(&statement).await;
    }
    Some(app)
}

impl TestApp {
    /// Lets so many statements pass before the first is undone.
    async fn let_pass(&self, statements: i64) {
        let next = FIRST_UNDONE - statements;
        self.inside
            .execute(&format!("SELECT setval('writes', {next}, false)"))
            .await;
    }

    /// The last number that a statement took.
    async fn last_number(&self) -> i64 {
        self.inside.number("SELECT last_value FROM writes").await
    }

    /// Does something again and again, while first its first statement that writes is undone three times,
    /// then its second one, and so on up to its last one. It must succeed each time.
    async fn do_despite_conflicts(&self, name: &str, work: impl AsyncFn(i64)) {
        for statements in 0.. {
            self.let_pass(statements).await;
            work(statements).await;
            if self.last_number().await < FIRST_UNDONE {
                assert!(statements > 0, "{name} writes nothing");
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_writes_is_done_again_when_it_is_undone_three_times() {
    let until = (FIRST_UNDONE + 3).to_string();
    let Some(app) = app_with_conflicts(&until).await else {
        return;
    };
    app.do_despite_conflicts("a sign-up", async |number| {
        app.registered(&format!("user{number}@example.org"), "b4l0u")
            .await;
    })
    .await;
    let email = "user0@example.org";
    app.do_despite_conflicts("a login", async |_| {
        app.logged_in(email, "b4l0u").await;
    })
    .await;
    app.do_despite_conflicts("a failed login", async |_| {
        assert!(!app.can_log_in(email, "wrong").await);
    })
    .await;
    app.do_despite_conflicts("a use of a session", async |statements| {
        app.let_pass(1000).await;
        let session = app.logged_in(email, "b4l0u").await;
        app.clock.turn(Duration::from_hours(1));
        app.let_pass(statements).await;
        assert!(app.is_logged_in(&session).await);
        // The answer does not wait for it for long; then the next request notes it.
        assert!(app.is_logged_in(&session).await);
        let now = app.clock.now().0;
        let noted = "SELECT max(last_seen_at) FROM sessions";
        assert_eq!(app.inside.number(noted).await, now);
    })
    .await;
    app.do_despite_conflicts("a logout", async |statements| {
        app.let_pass(1000).await;
        let session = app.logged_in(email, "b4l0u").await;
        app.let_pass(statements).await;
        assert_eq!(app.log_out(&session).send().await.status, 302);
    })
    .await;
    app.do_despite_conflicts("a request for a reset", async |_| {
        app.reset_token(email).await;
    })
    .await;
    app.do_despite_conflicts("a reset", async |statements| {
        app.let_pass(1000).await;
        let token = app.reset_token(email).await;
        app.let_pass(statements).await;
        let reply = app.reset(email, &token, "b4l0u").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    })
    .await;
    app.do_despite_conflicts("a purge", async |_| {
        app.auth.purge_expired().await.unwrap();
    })
    .await;
    app.do_despite_conflicts("a claim", async |_| {
        app.claim_mails(Duration::from_mins(2)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_undone_each_time_is_given_up_after_four_tries() {
    let Some(app) = app_with_conflicts("9999").await else {
        return;
    };
    app.let_pass(0).await;
    app.assert_refused(app.register(EMAIL, "b4l0u"), 503, "temporarily unavailable")
        .await;
    assert_eq!(app.last_number().await, FIRST_UNDONE + 3);
}

/// How many clients work at the same time, and how many users each of them is.
const CLIENTS: usize = 16;
const USERS: usize = 5;

/// How often each status was the answer.
type Statuses = Arc<Mutex<BTreeMap<u16, usize>>>;

/// The answer, which is asked for again while it is 503.
async fn insist(call: Call, statuses: &Statuses) -> Reply {
    loop {
        let reply = call.clone().send().await;
        *statuses
            .lock()
            .unwrap()
            .entry(reply.status.as_u16())
            .or_default() += 1;
        if reply.status != 503 {
            return reply;
        }
        assert!(reply.header("retry-after").is_some(), "{reply:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Does what a user does, asking now one instance and now the other.
async fn live(clients: [Client; 2], email: String, statuses: Statuses) {
    let [one, two] = clients;
    insist(one.register(&email, PASSWORD), &statuses).await;
    let reply = insist(two.log_in(&email, PASSWORD), &statuses).await;
    let session = reply.session_id().unwrap_or_else(|| panic!("{reply:?}"));
    let reply = insist(one.profile(&session), &statuses).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    insist(two.log_in(&email, "wrong"), &statuses).await;
    insist(two.log_out(&session), &statuses).await;
    let reply = insist(one.ask_reset(&email), &statuses).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    if let Some(token) = reply.json()["reset_token"].as_str() {
        let reply = insist(two.reset(&email, token, "another one"), &statuses).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let reply = insist(one.log_in(&email, "another one"), &statuses).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}

/// Lets many clients do what users do at two instances with these options, on a server whose transactions
/// are serializable unless they say otherwise.
async fn live_on_serializable(database: &Database, what: &str, options: &[&str]) -> [Server; 2] {
    let inside = database.look_inside().await;
    be_serializable(&inside).await;
    let start = || Server::start_with(&database.url, &[options, &["--bcrypt-cost", "4"]].concat());
    let servers = [start(), start()];
    let others = "pg_stat_activity WHERE datname = current_database()
                  AND current_setting('default_transaction_isolation') = 'serializable'";
    assert!(database.look_inside().await.count(others).await > 0);
    let statuses = Statuses::default();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let at = [0, 1].map(|number| Client::clone(&servers[(client + number) % 2]));
        let statuses = Arc::clone(&statuses);
        clients.spawn(async move {
            for user in 0..USERS {
                let email = format!("user-{client}-{user}@example.org");
                live(at.clone(), email, Arc::clone(&statuses)).await;
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    let statuses = statuses.lock().unwrap().clone();
    counted(&format!(
        "serializable PostgreSQL, two instances, {CLIENTS} clients, {what}: answers by status {statuses:?}"
    ));
    let is_expected = |status: &u16| [200, 302, 401, 503].contains(status);
    assert!(statuses.keys().all(is_expected), "{statuses:?}");
    let total: usize = statuses.values().sum();
    let refused = statuses.get(&503).copied().unwrap_or_default();
    assert!(refused * 20 <= total, "{statuses:?}");
    servers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_transactions_are_serializable_serves_many_at_once() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    live_on_serializable(&database, "tokens in answers", &[]).await;
    let users = database.look_inside().await.count("users").await;
    assert_eq!(usize::try_from(users).unwrap(), CLIENTS * USERS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_it_lose_a_mail_or_send_one_twice() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let folder = tempdir().unwrap();
    let mut options = vec![
        "--public-url",
        "https://auth.example.org",
        "--session-cookie",
        "plain",
        "--sign-up",
        "unverified",
    ];
    options.extend(["--mail-dir", folder.path().to_str().unwrap()]);
    for limit in [
        "--sign-up-rate-per-source",
        "--login-rate-per-source",
        "--successful-login-rate-per-source",
        "--reset-rate-per-source",
    ] {
        options.extend([limit, "100000/h"]);
    }
    let servers = live_on_serializable(&database, "mails", &options).await;
    let mails = || std::fs::read_dir(folder.path()).unwrap().count();
    let all_sent = async {
        while mails() < CLIENTS * USERS {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), all_sent)
        .await
        .expect("all mails");
    for server in servers {
        let (status, log) = tokio::task::block_in_place(|| server.stop());
        assert!(status.success(), "{log}");
    }
    assert_eq!(mails(), CLIENTS * USERS);
}
