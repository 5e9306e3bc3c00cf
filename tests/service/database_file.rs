//! The file of an SQLite database is lost, cut or damaged, while the service runs or before it starts.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bienvenue::db::{Db, LostDatabase, OpenError};
use sqlx::{AnyConnection, Connection, Executor, Row};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::client::{Call, Client};
use crate::support::server::Server;
use crate::support::{Database, TestApp};

mod start;

const EMAIL: &str = "bob@example.org";
const OTHER: &str = "other@example.org";
const UNAVAILABLE: &str = "temporarily unavailable";

const ZEROS: [u8; 4096] = [0; 4096];
const PAGE: u64 = ZEROS.len() as u64;

/// Above this a log is truncated when it can be.
const LOG_LIMIT: u64 = 8 * 1024 * 1024;

fn file_of(database: &Database) -> PathBuf {
    database
        .folder
        .as_ref()
        .unwrap()
        .path()
        .join("bienvenue.db")
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn length(file: &Path) -> u64 {
    fs::metadata(file).unwrap().len()
}

fn cut(file: &Path, bytes: u64) {
    let opened = OpenOptions::new().write(true).open(file).unwrap();
    opened.set_len(length(file) - bytes).unwrap();
}

/// Every request whose answer depends on the database.
fn calls(client: &Client, session: &str) -> Vec<Call> {
    vec![
        client.register("new@example.org", "b4l0u"),
        client.register(EMAIL, "b4l0u"),
        client.log_in(EMAIL, "b4l0u"),
        client.log_in(EMAIL, "wrong"),
        client.profile(session),
        client.log_out(session),
        client.ask_reset(EMAIL),
    ]
}

async fn assert_unavailable(client: &Client, session: &str) {
    for call in calls(client, session) {
        call.send().await.assert_refusal(503, UNAVAILABLE);
    }
}

/// Starts the program over a database that it must refuse, and returns what it says.
fn refused_start(database: &Database) -> String {
    let mut start = Server::command()
        .args(["--listen", "127.0.0.1:0", "--database-url", &database.url])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let status = loop {
        if let Some(status) = start.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > Duration::from_secs(30) {
            start.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let said = std::io::read_to_string(start.stderr.unwrap()).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    said
}

/// A database with two users, a session of the first, and so many other users.
async fn filled(users: u32) -> (Database, String) {
    let app = TestApp::new(Database::sqlite()).await;
    app.inside.fill(users).await;
    for email in [EMAIL, OTHER] {
        app.registered(email, "b4l0u").await;
    }
    let session = app.logged_in(EMAIL, "b4l0u").await;
    app.db.close().await;
    app.inside.close().await;
    assert!(!beside(&file_of(&app.database), "-wal").exists());
    (app.database, session)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_to_a_file_that_is_gone_is_not_acknowledged() {
    for gone in ["", "-wal", "-shm"] {
        let app = TestApp::new(Database::sqlite()).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        fs::remove_file(beside(&file_of(&app.database), gone)).unwrap();
        for call in [
            app.register("new@example.org", "b4l0u"),
            app.log_in(EMAIL, "b4l0u"),
            app.ask_reset(EMAIL),
        ] {
            call.send().await.assert_refusal(503, UNAVAILABLE);
        }
        app.db.look_after_file().await;
        assert_unavailable(&app, &session).await;
        assert!(matches!(app.db.lost(), Some(LostDatabase::Gone(_))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_takes_the_place_of_is_not_served() {
    let app = TestApp::new(Database::sqlite()).await;
    app.registered(EMAIL, "b4l0u").await;
    let session = app.logged_in(EMAIL, "b4l0u").await;
    let (backup, _) = filled(0).await;
    fs::rename(file_of(&backup), file_of(&app.database)).unwrap();
    let untouched = fs::read(file_of(&app.database)).unwrap();
    app.log_in(EMAIL, "b4l0u")
        .send()
        .await
        .assert_refusal(503, UNAVAILABLE);
    app.db.look_after_file().await;
    assert_unavailable(&app, &session).await;
    app.db.close().await;
    assert_eq!(fs::read(file_of(&app.database)).unwrap(), untouched);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_comes_back_is_served_again() {
    let app = TestApp::new(Database::sqlite()).await;
    app.registered(EMAIL, "b4l0u").await;
    let session = app.logged_in(EMAIL, "b4l0u").await;
    let file = file_of(&app.database);
    let elsewhere = beside(&file, ".moved");
    for _ in 0..3 {
        fs::rename(&file, &elsewhere).unwrap();
        app.db.look_after_file().await;
        assert_unavailable(&app, &session).await;
        fs::rename(&elsewhere, &file).unwrap();
        app.db.look_after_file().await;
        assert_eq!(app.db.lost(), None);
        assert!(app.is_logged_in(&session).await);
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_ends_in_order_when_its_file_does_not_come_back() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    let session = server.logged_in(EMAIL, "b4l0u").await;
    let file = file_of(&database);
    fs::rename(&file, beside(&file, ".moved")).unwrap();
    let moved = Instant::now();
    while server.profile(&session).send().await.status == 200 {
        assert!(moved.elapsed() < Duration::from_secs(5), "still served");
        sleep(Duration::from_millis(10)).await;
    }
    assert_unavailable(&server, &session).await;
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(8), "{log}");
    let told = "bienvenue.db was removed, moved or replaced while the service ran";
    let errors = log.lines().filter(|line| line.contains("ERROR"));
    assert_eq!(
        errors.filter(|line| line.contains(told)).count(),
        1,
        "{log}"
    );
    let last = log.lines().last().unwrap();
    assert!(
        last.contains("the database was lost") && last.contains(told),
        "{log}"
    );
    // A start by itself would make an empty database.
    let unit = Server::command().args(["print", "systemd"]).output();
    let unit = String::from_utf8(unit.unwrap().stdout).unwrap();
    assert!(
        unit.contains("\nRestartPreventExitStatus=2 6 8\n"),
        "{unit}"
    );

    // With everything put back, nothing that was acknowledged is missing.
    fs::rename(beside(&file, ".moved"), &file).unwrap();
    let server = Server::start(&database.url);
    assert!(server.is_logged_in(&session).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_cut_while_it_is_served_is_served_no_more() {
    for bytes in [1, 1000, PAGE, 5 * PAGE] {
        let (database, session) = filled(200).await;
        let app = TestApp::new(database).await;
        assert!(app.is_logged_in(&session).await);
        app.registered("new@example.org", "b4l0u").await;
        cut(&file_of(&app.database), bytes);
        app.db.look_after_file().await;
        assert_unavailable(&app, &session).await;
        assert!(matches!(app.db.lost(), Some(LostDatabase::Cut { .. })));
        timeout(Duration::from_secs(10), app.db.lost_for_good())
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_noticed_that_follows_on_growth_before_the_next_look() {
    let (database, session) = filled(200).await;
    let app = TestApp::new(database).await;
    assert!(app.is_logged_in(&session).await);
    app.db.look_after_file().await;
    let before = length(&file_of(&app.database));
    for number in 0..500 {
        let add = format!(
            "INSERT INTO users (email, hashed_password, password_version, created_at)
             VALUES ('more{number}@example.org', 'x', 1, 0)"
        );
        app.inside.execute(&add).await;
    }
    app.inside.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    cut(&file_of(&app.database), 1000);
    assert!(length(&file_of(&app.database)) > before);
    app.db.look_after_file().await;
    assert!(matches!(app.db.lost(), Some(LostDatabase::Cut { .. })));
    assert_unavailable(&app, &session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_emptied_is_noticed_if_the_file_needs_it() {
    let app = TestApp::new(Database::sqlite()).await;
    app.registered(EMAIL, "b4l0u").await;
    let session = app.logged_in(EMAIL, "b4l0u").await;
    app.db.look_after_file().await;
    fs::write(beside(&file_of(&app.database), "-wal"), "").unwrap();
    app.db.look_after_file().await;
    assert!(matches!(app.db.lost(), Some(LostDatabase::Cut { .. })));
    assert_unavailable(&app, &session).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_acknowledged_once_the_log_was_cut() {
    for rest in [0, 1, PAGE] {
        let app = TestApp::new(Database::sqlite()).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let log = beside(&file_of(&app.database), "-wal");
        cut(&log, length(&log) - rest);
        let reply = app.register("late@example.org", "b4l0u").send().await;
        assert_eq!(reply.status, 503, "{rest}");
        app.db.look_after_file().await;
        assert!(matches!(app.db.lost(), Some(LostDatabase::Cut { .. })));
        assert_unavailable(&app, &session).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_not_hidden_by_the_end_of_the_service() {
    let (database, _) = filled(200).await;
    let server = Server::start(&database.url);
    for number in 0..40 {
        server
            .registered(&format!("{number}@new.example.org"), "b4l0u")
            .await;
    }
    cut(&file_of(&database), 1000);
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(8), "{log}");
    assert!(log.contains("bytes are missing at the end"), "{log}");
    let refusal = refused_start(&database);
    assert!(
        refusal.contains("bytes are missing at the end"),
        "{refusal}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_another_program_has_vacuumed_is_served_on() {
    let (database, session) = filled(5000).await;
    let app = TestApp::new(database).await;
    let before = length(&file_of(&app.database));
    for statement in [
        "DELETE FROM throttles",
        "DELETE FROM outbox",
        "VACUUM",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    ] {
        app.inside.execute(statement).await;
    }
    assert!(length(&file_of(&app.database)) < before);
    app.db.look_after_file().await;
    assert_eq!(app.db.lost(), None);
    assert!(app.is_logged_in(&session).await);
    assert!(app.can_log_in(EMAIL, "b4l0u").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_zeros_is_an_error_and_no_lie() {
    let (database, session) = filled(60).await;
    let file = file_of(&database);
    let whole = fs::read(&file).unwrap();
    let (mut served, mut failed, mut refused) = (0, 0, 0);
    for page in 0..whole.len() as u64 / PAGE {
        fs::write(&file, &whole).unwrap();
        let opened = OpenOptions::new().write(true).open(&file).unwrap();
        opened.write_all_at(&ZEROS, page * PAGE).unwrap();
        let db = match Db::open(&database.url.parse().unwrap()).await {
            Ok(db) => db,
            Err(OpenError::NotADatabase(..) | OpenError::Migrate(..)) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("page {page}: {error}"),
        };
        db.close().await;
        let app = TestApp::new(Database {
            url: database.url.clone(),
            folder: None,
        });
        let app = app.await;
        for (call, truth) in [
            (app.log_in(EMAIL, "b4l0u"), 200),
            (app.profile(&session), 200),
            (app.register(OTHER, "b4l0u"), 400),
            (app.ask_reset(OTHER), 200),
            (app.log_in(OTHER, "wrong"), 401),
        ] {
            match call.send().await.status.as_u16() {
                500 => failed += 1,
                status if status == truth => served += 1,
                status => panic!("page {page}: {status} instead of {truth}"),
            }
        }
        app.db.close().await;
        app.inside.close().await;
    }
    assert!(served > 0 && failed > 0 && refused > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_page_fails_the_session_checks_that_need_it_and_no_others() {
    let app = TestApp::new(Database::sqlite()).await;
    app.inside.fill(2000).await;
    app.registered(EMAIL, "b4l0u").await;
    let mut sessions = Vec::new();
    for _ in 0..20 {
        sessions.push(app.logged_in(EMAIL, "b4l0u").await);
    }
    let mut inside = AnyConnection::connect(&app.database.url).await.unwrap();
    let leaves = "SELECT pageno FROM dbstat WHERE name = 'sessions' AND pagetype = 'leaf'";
    let leaves = sqlx::query(leaves).fetch_all(&mut inside).await.unwrap();
    let leaves: Vec<i64> = leaves.iter().map(|row| row.get(0)).collect();
    inside.close().await.unwrap();
    app.db.close().await;
    app.inside.close().await;

    let opened = OpenOptions::new().write(true).open(file_of(&app.database));
    let opened = opened.unwrap();
    for leaf in &leaves[..leaves.len() / 3] {
        let place = (leaf.cast_unsigned() - 1) * PAGE;
        opened.write_all_at(&ZEROS, place).unwrap();
    }
    let app = TestApp::new(app.database).await;
    let mut alone = Vec::new();
    for session in &sessions {
        alone.push(app.profile(session).send().await.status.as_u16());
    }
    assert!(alone.contains(&200) && alone.contains(&500), "{alone:?}");
    assert!(
        alone.iter().all(|status| [200, 500].contains(status)),
        "{alone:?}"
    );
    for _ in 0..5 {
        let mut together = JoinSet::new();
        for (number, session) in sessions.iter().enumerate() {
            let call = app.profile(session);
            together.spawn(async move { (number, call.send().await.status.as_u16()) });
        }
        for (number, status) in together.join_all().await {
            assert_eq!(status, alone[number]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_grew_beside_a_long_reader_shrinks_when_it_has_ended() {
    let app = TestApp::new(Database::sqlite()).await;
    let log = beside(&file_of(&app.database), "-wal");
    let mut reader = AnyConnection::connect(&app.database.url).await.unwrap();
    for step in ["BEGIN", "SELECT count(*) FROM users"] {
        reader.execute(step).await.unwrap();
    }
    app.inside.fill(20_000).await;
    app.registered(EMAIL, "b4l0u").await;
    let session = app.logged_in(EMAIL, "b4l0u").await;
    app.db.look_after_file().await;
    let grown = length(&log);
    assert!(grown > LOG_LIMIT, "{grown}");
    assert!(app.is_logged_in(&session).await);

    reader.execute("COMMIT").await.unwrap();
    app.db.look_after_file().await;
    let shrunk = length(&log);
    assert!(shrunk <= LOG_LIMIT, "{shrunk}");
    assert!(app.can_log_in(EMAIL, "b4l0u").await);
    assert!(app.is_logged_in(&session).await);
}
