//! The service, and the route that it is compared with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::routing::get;
use axum::{Json, Router};
use bienvenue::app::{Settings, app};
use bienvenue::auth::rate_limit::RateLimits;
use bienvenue::auth::{Auth, Lifetimes};
use bienvenue::clock::SystemClock;
use bienvenue::db::Db;
use bienvenue::password::{Cost, Passwords};
use bienvenue::server::{ConnectionLimits, listen, serve};
use bienvenue::token::{OsRandom, SessionId};
use serde_json::json;
use sqlx::{Connection, Executor, Row, SqliteConnection};
use tempfile::TempDir;

use super::clients;
use super::postgres::{Cluster, ON_DISK};

/// A running program.
pub struct Service {
    pub url: String,
    process: Child,
    database_url: String,
    options: Vec<String>,
    _folder: Option<TempDir>,
}

/// The program on a new SQLite database.
pub fn sqlite(options: &[&str]) -> Service {
    let folder = tempfile::tempdir_in(ON_DISK).expect("a folder");
    let url = format!("sqlite:{}/bienvenue.db", folder.path().display());
    Service::start(&url, options, Some(folder))
}

/// The program on a new PostgreSQL database.
pub fn postgres(cluster: &Cluster, options: &[&str]) -> Service {
    let url = block_on(cluster.create_database());
    Service::start(&url, options, None)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(future)
}

fn spawn(database_url: &str, options: &[String]) -> (Child, String) {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let cheap = ["--bcrypt-cost".to_owned(), "4".to_owned()];
    let has_cost = options.contains(&cheap[0]);
    let process = Command::new(env!("CARGO_BIN_EXE_bienvenue"))
        .args(["--listen", &address, "--database-url", database_url])
        .args(if has_cost { &[] } else { &cheap[..] })
        .args(options)
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    (process, format!("http://{address}"))
}

pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Waits until a URL answers at all.
pub fn await_answer(url: &str) {
    let address = url.strip_prefix("http://").expect("http");
    let started = Instant::now();
    while started.elapsed() < Duration::from_mins(10) {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            if stream.read(&mut [0; 12]).is_ok_and(|bytes| bytes > 0) {
                return;
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    panic!("{url} does not answer");
}

impl Service {
    fn start(database_url: &str, options: &[&str], folder: Option<TempDir>) -> Self {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let (process, url) = spawn(database_url, &options);
        await_answer(&url);
        Self {
            url,
            process,
            database_url: database_url.to_owned(),
            options,
            _folder: folder,
        }
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    pub fn register(&self, email: &str) {
        clients::register(&self.url, email);
    }

    /// Registers so many users and logs them in; returns their cookies.
    pub fn log_many_in(&self, users: usize) -> Vec<String> {
        clients::log_many_in(&self.url, users)
    }

    /// How long starting takes until a request is answered, so many times.
    pub fn start_milliseconds(mut self, times: usize) -> Vec<f64> {
        let mut milliseconds = Vec::new();
        for _ in 0..times {
            let _ = self.process.kill();
            let _ = self.process.wait();
            let started = Instant::now();
            (self.process, self.url) = spawn(&self.database_url, &self.options);
            await_answer(&self.url);
            milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
        }
        milliseconds
    }

    pub fn resident_mb(&self) -> f64 {
        self.status("VmRSS:")
    }

    pub fn peak_resident_mb(&self) -> f64 {
        self.status("VmHWM:")
    }

    fn status(&self, name: &str) -> f64 {
        let file = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(file).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kilobytes.expect("a size").parse::<f64>().expect("a number") * 1.024 / 1e3
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This environment variable, with a database URL, turns the benchmark into a [`Bare`] server.
pub const SERVE_BARE: &str = "BIENVENUE_SERVE_BARE";

/// A process that serves two things side by side: the service, and a route that returns the same
/// body and does nothing for it.
pub struct Bare {
    pub url: String,
    pub service_url: String,
    pub cookies: Vec<String>,
    process: Child,
    _folder: TempDir,
}

impl Bare {
    pub fn start() -> Self {
        let folder = tempfile::tempdir_in(ON_DISK).expect("a folder");
        let database_url = format!("sqlite:{}/bienvenue.db", folder.path().display());
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .env(SERVE_BARE, database_url)
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let stdout = BufReader::new(process.stdout.take().expect("its output"));
        let mut urls = stdout.lines().map(|line| line.expect("a line"));
        let (url, service_url) = (urls.next().expect("a URL"), urls.next().expect("another"));
        let cookies = clients::log_many_in(&service_url, 1000);
        Self {
            url,
            service_url,
            cookies,
            process,
            _folder: folder,
        }
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What the process of [`Bare`] does.
pub fn serve_bare(database_url: &str) {
    block_on(async {
        let db = Db::open(&database_url.parse().expect("a URL"))
            .await
            .expect("a database");
        let lifetimes = Lifetimes {
            session_idle: Duration::from_hours(1),
            session: Duration::from_hours(1),
            fresh_login: Duration::from_hours(1),
            reset_token: Duration::from_hours(1),
        };
        let auth = Auth::new(
            db,
            Passwords::new(Cost::MIN, Duration::from_secs(5)),
            lifetimes,
            RateLimits::local(),
            Arc::new(SystemClock),
            Arc::new(OsRandom),
        );
        let same_body = async || Json(json!({ "email": "user1@example.org" }));
        let bare = Router::new().route("/profile", get(same_body));
        let mut servers = tokio::task::JoinSet::new();
        for router in [bare, app(auth, Settings::default())] {
            let free = "127.0.0.1:0".parse().expect("an address");
            let listener = listen(&free).expect("a port");
            println!("http://{}", listener.address());
            let forever = std::future::pending();
            servers.spawn(serve(
                listener,
                router,
                ConnectionLimits::default(),
                forever,
            ));
        }
        servers.join_all().await;
    });
}

/// The program on a database with very many users, a session each.
pub struct Grown {
    pub service: Service,
    /// Of those that are known.
    pub cookies: Vec<String>,
    pub bytes_per_user: f64,
    pub bytes_per_session: f64,
}

/// Fills a database as the program would have, but faster. The cookies of at most so many sessions are
/// known, spread over all.
#[expect(clippy::cast_precision_loss)]
pub fn grown(users: u32, known: u32, options: &[&str]) -> Grown {
    let folder = tempfile::tempdir_in(ON_DISK).expect("a folder");
    let file = folder.path().join("bienvenue.db");
    let url = format!("sqlite:{}", file.display());
    let known = known.min(users);
    let sessions: Vec<SessionId> = (0..known).map(|_| SessionId::new(&OsRandom)).collect();
    let size = || std::fs::metadata(&file).map_or(0, |file| file.len());
    let (empty, with_users, with_sessions) = block_on(async {
        let db = Db::open(&url.parse().expect("a URL"))
            .await
            .expect("a database");
        db.close().await;
        let empty = size();
        let mut connection = SqliteConnection::connect(&url).await.expect("a connection");
        let numbers = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {users})"
        );
        let trusted = |statement: String| sqlx::AssertSqlSafe(statement);
        connection
            .execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -4000000")
            .await
            .expect("a setting");
        let hash = bcrypt::hash("b4l0u", 4).expect("a hash");
        let add_users = format!(
            "INSERT INTO users (email, hashed_password, password_version, created_at)
             {numbers} SELECT 'user' || n || '@example.org', '{hash}', 1, unixepoch() FROM numbers"
        );
        connection.execute(trusted(add_users)).await.expect("users");
        connection
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await
            .expect("a checkpoint");
        let with_users = size();
        // All in one transaction: there are too many for one each.
        connection.execute("BEGIN").await.expect("a transaction");
        for (session, number) in sessions.iter().zip(1_i64..) {
            sqlx::query(
                "INSERT INTO sessions
                 VALUES ($1, $2, 1, unixepoch(), unixepoch(), 'Chrome on Android', randomblob(8))",
            )
            .bind(session.digest().as_bytes().to_vec())
            // Spread over all users.
            .bind(number * i64::from(users / known))
            .execute(&mut connection)
            .await
            .expect("a session");
        }
        connection.execute("COMMIT").await.expect("a commit");
        let others = users - known;
        let add_sessions = format!(
            "INSERT INTO sessions {numbers}
             SELECT randomblob(32), n, 1, unixepoch(), unixepoch(), 'Chrome on Android', randomblob(8)
             FROM numbers LIMIT {others}"
        );
        connection
            .execute(trusted(add_sessions))
            .await
            .expect("sessions");
        connection
            .execute("PRAGMA wal_checkpoint(TRUNCATE)")
            .await
            .expect("a checkpoint");
        let row = sqlx::query("SELECT count(*) FROM sessions")
            .fetch_one(&mut connection)
            .await;
        assert_eq!(row.expect("a count").get::<i64, _>(0), i64::from(users));
        connection.close().await.expect("an end");
        (empty, with_users, size())
    });
    Grown {
        service: Service::start(&url, options, Some(folder)),
        cookies: sessions
            .iter()
            .map(|id| format!("session_id={}", id.reveal()))
            .collect(),
        bytes_per_user: (with_users - empty) as f64 / f64::from(users),
        bytes_per_session: (with_sessions - with_users) as f64 / f64::from(users),
    }
}
