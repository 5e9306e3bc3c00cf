//! `serve --no-migrate`: waits until another process has made or migrated the schema.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::{TempDir, tempdir};
use tokio::task::block_in_place;

use crate::on_each_engine;
use crate::support::server::Server;
use crate::support::service_manager::Ear;
use crate::support::{Database, EmptyDatabase};
use crate::user_ids::create_old;

const PATIENCE: Duration = Duration::from_secs(30);

/// Longer than a service that accepts takes to answer.
const A_WHILE: Duration = Duration::from_millis(500);

/// The program, started with `--no-migrate`, listening on Unix sockets. Killed when it is dropped.
struct Waiting {
    process: Child,
    folder: TempDir,
    ear: Ear,
}

impl Waiting {
    fn start(database: &Database) -> Self {
        let folder = tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let ear = Ear::at(&at("notify"));
        let mut command = Server::command();
        command
            .env("BIENVENUE_NO_MIGRATE", "true")
            .env("NOTIFY_SOCKET", at("notify"))
            .args(["--database-url", &database.url, "--bcrypt-cost", "4"])
            .args(["--listen", &format!("unix:{}", at("http").display())])
            .args([
                "--operations",
                &format!("unix:{}", at("operations").display()),
            ])
            .stderr(fs::File::create(at("log")).unwrap());
        let process = command.spawn().unwrap();
        Self {
            process,
            folder,
            ear,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("log")).unwrap()
    }

    /// What `bienvenue health` says of it.
    fn health(&self) -> String {
        let mut command = Server::command();
        command.args([
            "health",
            "--operations",
            &format!("unix:{}", self.at("operations").display()),
        ]);
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    }

    fn wait_for_health(&self, words: &str) {
        let since = Instant::now();
        loop {
            let health = self.health();
            if health.trim_end() == words {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{health}: {}", self.log());
        }
    }

    /// That the service manager was told to be patient, and not that the service is up.
    fn assert_asks_for_patience(&self) {
        let said = self.ear.hear();
        assert!(said.starts_with("EXTEND_TIMEOUT_USEC="), "{said}");
    }

    /// Waits for its end.
    fn wait(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn tell_to_stop(&self) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Asks for a path on a connection of its own.
fn ask(socket: &Path, path: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The first line of the answer, which must come.
fn status(mut stream: UnixStream) -> String {
    let mut answer = String::new();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

fn assert_not_answered(stream: &mut UnixStream) {
    stream.set_read_timeout(Some(A_WHILE)).unwrap();
    let error = stream.read(&mut [0]).unwrap_err();
    assert!(
        [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()),
        "{error}"
    );
}

fn migrate(database: &Database) {
    let mut command = Server::command();
    command.args(["migrate", "--database-url", &database.url]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// That the program lives, is not ready and accepts nothing, and serves when the schema was made.
fn assert_waits_until_migrated(database: &Database) {
    let mut waiting = Waiting::start(database);
    waiting.wait_for_health("bienvenue: not ready: starting");
    for (path, expected) in [
        ("/livez", "HTTP/1.1 200 OK"),
        ("/readyz", "HTTP/1.1 503 Service Unavailable"),
        ("/metrics", "HTTP/1.1 503 Service Unavailable"),
        ("/openapi.json", "HTTP/1.1 200 OK"),
    ] {
        assert_eq!(
            status(ask(&waiting.at("operations"), path)),
            expected,
            "{path}"
        );
    }
    let mut early = ask(&waiting.at("http"), "/");
    assert_not_answered(&mut early);
    // It has looked more than once.
    for _ in 0..2 {
        waiting.assert_asks_for_patience();
    }
    migrate(database);
    assert_eq!(status(early), "HTTP/1.1 200 OK");
    waiting.wait_for_health("");
    assert_eq!(
        status(ask(&waiting.at("operations"), "/metrics")),
        "HTTP/1.1 200 OK"
    );
    while waiting.ear.hear() != "READY=1\n" {}
    waiting.tell_to_stop();
    assert_eq!(waiting.wait(), Some(0));
    let log = waiting.log();
    assert_eq!(log.matches("--no-migrate").count(), 1, "{log}");
    assert!(log.contains("bienvenue migrate"), "{log}");
    assert!(
        !log.contains("created") && !log.contains("brought the schema"),
        "{log}"
    );
}

on_each_engine! {
    async fn a_service_that_does_not_migrate_waits_for_a_first_schema(database: EmptyDatabase) {
        block_in_place(|| assert_waits_until_migrated(&database));
    }

    async fn a_service_that_does_not_migrate_waits_for_a_later_schema(database: EmptyDatabase) {
        create_old(&database, ["bob"]).await;
        block_in_place(|| assert_waits_until_migrated(&database));
        assert_eq!(database.look_inside().await.count("users").await, 1);
    }

    async fn a_service_that_waits_changes_nothing_and_stops_when_it_is_told(database: EmptyDatabase) {
        create_old(&database, ["bob"]).await;
        let mut waiting = Waiting::start(&database);
        block_in_place(|| {
            waiting.wait_for_health("bienvenue: not ready: starting");
            waiting.assert_asks_for_patience();
            waiting.tell_to_stop();
            assert_eq!(waiting.wait(), Some(0), "{}", waiting.log());
        });
        assert!(waiting.log().contains("stopped"), "{}", waiting.log());
        let inside = database.look_inside().await;
        assert_eq!(inside.number("SELECT max(version) FROM _sqlx_migrations").await, 3);
    }

    async fn a_service_that_does_not_migrate_serves_at_once_if_there_is_nothing_to_do(database: EmptyDatabase) {
        database.open().await.close().await;
        let server = Server::start_with(&database.url, &["--no-migrate", "--bcrypt-cost", "4"]);
        server.registered("bob@example.org", "b4l0u").await;
        let (_, log) = block_in_place(|| server.stop());
        assert!(!log.contains("--no-migrate"), "{log}");
    }
}

#[test]
fn a_service_that_waits_makes_no_file() {
    let database = EmptyDatabase::sqlite();
    let folder = database.folder.as_ref().unwrap().path();
    for is_empty in [false, true] {
        if is_empty {
            fs::write(database.file(), "").unwrap();
        }
        let waiting = Waiting::start(&database);
        waiting.wait_for_health("bienvenue: not ready: starting");
        waiting.assert_asks_for_patience();
        waiting.assert_asks_for_patience();
        assert_eq!(fs::read_dir(folder).unwrap().count(), usize::from(is_empty));
        if is_empty {
            assert_eq!(fs::metadata(database.file()).unwrap().len(), 0);
        }
    }
}

#[test]
fn what_no_migration_cures_is_refused_at_once() {
    let database = EmptyDatabase::sqlite();
    fs::write(database.file(), "Buy milk. ".repeat(1000)).unwrap();
    let mut waiting = Waiting::start(&database);
    assert_eq!(waiting.wait(), Some(1));
    assert!(
        waiting.log().contains("not an SQLite database"),
        "{}",
        waiting.log()
    );
}
