//! The database itself: its statements, its schema, its files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use bienvenue::db::{DatabaseUrl, Db, statements};
use bienvenue::email::Email;
use bienvenue::user::HashedPassword;
use sqlx::{AnyConnection, Connection, Executor, SqlSafeStr};
use tokio::time::timeout;

use crate::on_each_engine;
use crate::support::server::Server;
use crate::support::{Database, EmptyDatabase, TestApp};

async fn assert_rows_are_found_by_keys(database: Database, users: u32) {
    let db = database.open().await;
    let inside = database.look_inside().await;
    inside.fill(users).await;
    // No request waits for these, and how they go about it depends on how much there is, or has expired.
    let not_waited_for = [
        "::PURGE",
        "groups::LIST",
        "users::import::FIND",
        "users::import::FIND_KEPT",
    ];
    let waited_for =
        |(name, _): &(&str, &str)| !not_waited_for.iter().any(|end| name.ends_with(end));
    for (name, statement) in statements().into_iter().filter(waited_for) {
        for step in inside.explain(statement).await {
            let scans = step.contains("Seq Scan") || step.starts_with("SCAN");
            // A statement that only puts a constant row together scans that, and some choose among a few
            // rows that they have found by a key.
            let constants = step.contains("CONSTANT ROW") || step.contains("VALUES CLAUSE");
            let found = [
                "SCAN head",
                "SCAN chosen",
                "SCAN waiting",
                "SCAN first_of_network",
                "SCAN of_any_turn",
                "SCAN page",
            ];
            let found = found.iter().any(|found| step.starts_with(found));
            assert!(!scans || constants || found, "{name}: {step}");
            let sorts = step.contains("TEMP B-TREE") || step.trim_start().starts_with("Sort");
            // The sessions of a user are few, and so are the sources, the mails claimed at once and the
            // users on a page.
            let few = [
                "sessions::insert::DELETE_OLDEST",
                "sessions::insert::FIND_CROWDED_USERS",
                "familiar_sources::DELETE_OLDEST",
                "outbox::delivery::CLAIM",
                "users::accounts::LIST",
            ];
            let few = few.iter().any(|few| name.ends_with(few));
            assert!(!sorts || few, "{name}: {step}");
            // No other index of theirs leads to few sessions.
            let others = step.contains("sessions_by_");
            let looks_up = name.ends_with("look_up::FIND_USERS");
            assert!(!looks_up || !others, "{name}: {step}");
        }
    }
    db.close().await;
}

on_each_engine! {
    async fn every_statement_is_understood(database: Database) {
        database.open().await.close().await;
        let mut connection = AnyConnection::connect(&database.url).await.unwrap();
        for (name, statement) in statements() {
            let prepared = (&mut connection).prepare(statement.into_sql_str()).await;
            assert!(prepared.is_ok(), "{name}: {:?}", prepared.err());
        }
        assert!(statements().len() > 10);
    }

    async fn every_request_finds_its_rows_by_keys(database: Database) {
        assert_rows_are_found_by_keys(database, 20_000).await;
    }

    async fn a_small_table_is_not_read_whole_either(database: Database) {
        assert_rows_are_found_by_keys(database, 300).await;
    }

    async fn opening_a_database_again_keeps_what_is_in_it(database: Database) {
        let server = Server::start(&database.url);
        server.registered("bob@example.org", "b4l0u").await;
        let session = server.logged_in("bob@example.org", "b4l0u").await;
        let token = server.reset_token("bob@example.org").await;
        server.stop();

        let server = Server::start(&database.url);
        assert!(server.is_logged_in(&session).await);
        assert!(server.can_log_in("bob@example.org", "b4l0u").await);
        assert_eq!(server.reset("bob@example.org", &token, "new").send().await.status, 200);
    }

    async fn first_starts_at_the_same_moment_all_succeed(database: EmptyDatabase) {
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let url = database.url.clone();
                std::thread::spawn(move || Server::start(&url))
            })
            .collect();
        for (number, start) in starts.into_iter().enumerate() {
            let server = start.join().unwrap();
            server.registered(&format!("user{number}@example.org"), "b4l0u").await;
        }
    }

    async fn a_session_that_is_renewed_while_the_purge_comes_to_it_stays(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        app.logged_in("bob@example.org", "b4l0u").await;
        app.clock.turn(Duration::from_hours(24 * 15));
        let mut renewing = AnyConnection::connect(&app.database.url).await.unwrap();
        let is_postgres = renewing.backend_name() == "PostgreSQL";
        for step in [
            if is_postgres { "BEGIN" } else { "BEGIN IMMEDIATE" },
            "UPDATE sessions SET last_seen_at = last_seen_at + 15 * 86400",
        ] {
            renewing.execute(step).await.unwrap();
        }
        let auth = app.auth.clone();
        let purge = tokio::spawn(async move { auth.purge_expired().await });
        // On SQLite the purge reads nothing before the lock is its own.
        if is_postgres {
            app.inside.wait_for_waiting(1).await;
        }
        renewing.execute("COMMIT").await.unwrap();
        purge.await.unwrap().unwrap();
        assert_eq!(app.inside.count("sessions").await, 1);
    }

    async fn a_rehash_that_a_password_change_overtakes_changes_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        let email: Email = "bob@example.org".parse().unwrap();
        let user = app.db.users.find_by_email(&email).await.unwrap().unwrap();
        let token = app.reset_token("bob@example.org").await;
        assert_eq!(app.reset("bob@example.org", &token, "new").send().await.status, 200);

        let late = HashedPassword::new("late".to_owned());
        app.db.users.replace_hash(&user, &late).await.unwrap();
        assert!(app.can_log_in("bob@example.org", "new").await);
    }

    async fn a_write_that_another_program_holds_up_is_given_up_and_reads_go_on(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        let session = app.logged_in("bob@example.org", "b4l0u").await;
        let lock = app.inside.lock_out_writers().await;
        let held_up = tokio::spawn(app.log_out(&session).send());
        for _ in 0..20 {
            assert!(app.is_logged_in(&session).await);
        }
        let reply = timeout(Duration::from_secs(20), held_up).await.unwrap().unwrap();
        reply.assert_refusal(503, "temporarily unavailable");
        assert!(app.is_logged_in(&session).await);

        lock.close().await.unwrap();
        assert_eq!(app.log_out(&session).send().await.status, 302);
    }

    async fn the_schema_itself_refuses_what_the_code_should_never_write(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        for statement in [
            "INSERT INTO users (email, hashed_password, password_version, created_at)
             VALUES ('Bob@example.org', 'x', 1, 0)",
            "INSERT INTO users (email, hashed_password, password_version, created_at)
             VALUES (NULL, 'x', 1, 0)",
        ] {
            assert!(inside.try_execute(statement).await.is_err(), "{statement}");
        }
        assert_eq!(inside.count("users").await, 0);
    }
}

/// Opens a PostgreSQL database in which this was done before, and returns the refusal.
async fn refusal_after(statements: &[&str]) -> Option<String> {
    let database = EmptyDatabase::postgres().await?;
    let inside = database.look_inside().await;
    for statement in statements {
        inside.execute(statement).await;
    }
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let before = inside.number(tables).await;
    let url: DatabaseUrl = database.url.parse().unwrap();
    let refused = Db::open(&url).await.err().expect("a refusal").to_string();
    assert_eq!(inside.number(tables).await, before, "{statements:?}");
    Some(refused)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let migrations = "CREATE TABLE _sqlx_migrations (version BIGINT PRIMARY KEY, description TEXT NOT NULL,
         installed_on TIMESTAMPTZ NOT NULL DEFAULT now(), success BOOLEAN NOT NULL, checksum BYTEA NOT NULL,
         execution_time BIGINT NOT NULL)";
    let applied = "INSERT INTO _sqlx_migrations VALUES (20260101, 'notes', now(), true, 'x', 0)";
    for statements in [
        &["CREATE TABLE notes (x INT)"][..],
        &["CREATE TABLE users (id INT PRIMARY KEY)"],
        &[migrations, applied],
        &[migrations, "CREATE TABLE notes (x INT)"],
    ] {
        let Some(refusal) = refusal_after(statements).await else {
            return;
        };
        assert!(
            refusal.contains("belongs to another program"),
            "{statements:?}: {refusal}"
        );
    }
    // What a first start has left that was killed is not another program's.
    let database = EmptyDatabase::postgres().await.unwrap();
    database.look_inside().await.execute(migrations).await;
    database.open().await.close().await;
}

#[tokio::test]
async fn a_first_start_waits_for_another_that_holds_the_file() {
    let database = EmptyDatabase::sqlite();
    sqlx::any::install_default_drivers();
    let creating = format!("{}?mode=rwc", database.url);
    let mut other = AnyConnection::connect(&creating).await.unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let mut opening = std::pin::pin!(database.open());
    let given_up = timeout(Duration::from_millis(300), &mut opening).await;
    assert!(given_up.is_err(), "it did not wait");
    other.execute("COMMIT").await.unwrap();
    opening.await.close().await;
}

#[tokio::test]
async fn the_files_are_their_owners_alone_whatever_the_umask() {
    for umask in ["000", "022", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_bienvenue"))
            .args([
                "--listen",
                "127.0.0.1:0",
                "--bcrypt-cost",
                "4",
                "--database-url",
            ])
            .arg(format!("sqlite:{}/b.db", folder.path().display()));
        let server = Server::spawn(command);
        server.registered("bob@example.org", "b4l0u").await;
        let mut names = Vec::new();
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "umask {umask}: {entry:?}");
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["b.db", "b.db-shm", "b.db-wal"]);
    }
}

#[tokio::test]
async fn files_that_others_could_read_are_closed_to_them() {
    let database = crate::support::Database::sqlite();
    Server::start(&database.url).stop();
    let file = database
        .folder
        .as_ref()
        .unwrap()
        .path()
        .join("bienvenue.db");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let server = Server::start(&database.url);
    let mode = fs::metadata(&file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    server.registered("bob@example.org", "b4l0u").await;
}

#[tokio::test]
async fn a_database_that_is_removed_is_not_replaced_by_an_empty_one() {
    let database = crate::support::Database::sqlite();
    let folder = database.folder.as_ref().unwrap().path();
    let server = Server::start(&database.url);
    server.registered("bob@example.org", "b4l0u").await;
    for entry in fs::read_dir(folder).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // More at once than there are open connections, so that new ones are tried.
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        calls.spawn(server.ask_reset("bob@example.org").send());
    }
    for reply in calls.join_all().await {
        assert_ne!(reply.status, 403, "{reply:?}");
    }
    assert!(!folder.join("bienvenue.db").exists());
}

/// Makes writes fail that would be answered before they are on the disk.
const REFUSE_FLEETING_WRITES: [&str; 3] = [
    "CREATE FUNCTION refuse_fleeting() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         IF current_setting('synchronous_commit') = 'off' THEN
             RAISE EXCEPTION 'a commit that does not wait for the disk';
         END IF;
         RETURN NULL;
     END $$",
    "DO $$
     DECLARE name text;
     BEGIN
         FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
             EXECUTE format(
                 'CREATE TRIGGER refuse_fleeting AFTER INSERT OR UPDATE OR DELETE ON %I
                  EXECUTE FUNCTION refuse_fleeting()', name);
         END LOOP;
     END $$",
    "DO $$
     BEGIN
         EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database());
     END $$",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_need_not_wait_for_the_disk_does_so_for_us() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let app = TestApp::new(database).await;
    for statement in REFUSE_FLEETING_WRITES {
        app.inside.execute(statement).await;
    }
    // What others write on a new connection is refused, so what we write is not fleeting.
    let others = app.database.look_inside().await;
    let forget = others.try_execute("DELETE FROM users").await;
    assert!(forget.unwrap_err().to_string().contains("the disk"));

    let restarted = app.another().await;
    restarted.registered("bob@example.org", "b4l0u").await;
    let session = restarted.logged_in("bob@example.org", "b4l0u").await;
    let token = restarted.reset_token("bob@example.org").await;
    let reset = restarted
        .reset("bob@example.org", &token, "new")
        .send()
        .await;
    assert_eq!(reset.status, 200, "{reset:?}");
    assert!(!restarted.is_logged_in(&session).await);
    let session = restarted.logged_in("bob@example.org", "new").await;
    assert_eq!(restarted.log_out(&session).send().await.status, 302);
}
