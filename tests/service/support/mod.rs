//! What the tests stand on: a fresh database each, the real router over it, a clock to turn.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use bienvenue::db::{DatabaseUrl, Db, POSTGRES_SERVING_SETTINGS};
use sqlx::{AnyConnection, AnyPool, AssertSqlSafe, Executor, Row};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::yield_now;
use tokio::time::timeout;

pub mod app;
pub mod client;
mod fakes;
pub mod ledger;
pub mod openapi;
pub mod pgbouncer;
pub mod postgres;
pub mod proxy;
pub mod races;
pub mod raw;
pub mod report;
pub mod server;
pub mod service_manager;
pub mod smtp_server;

use postgres::{Cluster, make_tables};

pub use app::{LIFETIMES, NO_LIMITS, PUBLIC_URL, TestApp, guarding_settings, home};
pub use fakes::StuckTokens;

/// Turns each function, which takes a fresh [`Database`] or an [`EmptyDatabase`], into one test on each
/// engine.
#[macro_export]
macro_rules! on_each_engine {
    ($($(#[$attribute:meta])* async fn $name:ident($database:ident: $kind:ident) $body:block)*) => {
        $(
            $(#[$attribute])*
            mod $name {
                #[allow(unused_imports, reason = "a body may need nothing from outside")]
                use super::*;
                use $crate::support::Database;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_sqlite() {
                    $crate::support::limited(case($crate::support::$kind::sqlite())).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn on_postgres() {
                    if let Some(database) = $crate::support::$kind::postgres().await {
                        $crate::support::limited(case(database)).await;
                    }
                }

                async fn case($database: Database) $body
            }
        )*
    };
}

/// How long a test may take: several times what the slowest one needs on a busy machine.
const TEST_LIMIT: Duration = Duration::from_mins(5);

/// Runs a test, which fails if it waits for ever, so that it is known which one does.
pub async fn limited(case: impl Future<Output = ()>) {
    let ended = timeout(TEST_LIMIT, case).await;
    ended.expect("the end of the test within five minutes");
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// A database with the tables of today and nobody in them, gone when it is dropped. A copy: to make the tables
/// takes as long as many a test.
pub struct Database {
    pub url: String,
    /// Holds the file, for SQLite.
    pub folder: Option<TempDir>,
}

/// A database without tables.
pub struct EmptyDatabase;

impl EmptyDatabase {
    pub fn sqlite() -> Database {
        let folder = tempfile::tempdir().unwrap();
        Database {
            url: format!("sqlite:{}/bienvenue.db", folder.path().display()),
            folder: Some(folder),
        }
    }

    /// `None` where PostgreSQL is not installed.
    pub async fn postgres() -> Option<Database> {
        Some(Database {
            url: Cluster::shared()?.create_database().await,
            folder: None,
        })
    }
}

impl Database {
    pub fn sqlite() -> Self {
        let database = EmptyDatabase::sqlite();
        let file = database.file();
        fs::write(&file, sqlite_file_with_tables()).unwrap();
        // As the service makes it.
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        database
    }

    /// `None` where PostgreSQL is not installed.
    pub async fn postgres() -> Option<Self> {
        Some(Self {
            url: Cluster::shared()?.create_database_with_tables().await,
            folder: None,
        })
    }

    /// The file of an SQLite database.
    pub fn file(&self) -> PathBuf {
        self.folder.as_ref().unwrap().path().join("bienvenue.db")
    }

    /// The name of the engine.
    pub fn engine(&self) -> &'static str {
        if self.folder.is_some() {
            "SQLite"
        } else {
            "PostgreSQL"
        }
    }

    pub async fn open(&self) -> Db {
        let url: DatabaseUrl = self.url.parse().unwrap();
        Db::open(&url).await.unwrap()
    }

    /// A way to look behind the service's back.
    pub async fn look_inside(&self) -> Inside {
        sqlx::any::install_default_drivers();
        Inside(AnyPool::connect(&self.url).await.unwrap())
    }
}

/// What is in the file of an SQLite database with the tables of today.
fn sqlite_file_with_tables() -> &'static [u8] {
    static FILE: OnceLock<Vec<u8>> = OnceLock::new();
    FILE.get_or_init(|| {
        let database = EmptyDatabase::sqlite();
        let url = database.url.clone();
        // The caller may be part of a runtime, which must not wait for another one.
        let made = thread::spawn(move || Runtime::new().unwrap().block_on(make_tables(&url)));
        made.join().unwrap();
        fs::read(database.file()).unwrap()
    })
}

const TABLES_OF_USERS: &[(&str, &str)] = &[
    (
        "users",
        "id, email, hashed_password, password_version, created_at",
    ),
    (
        "sessions",
        "digest, user_id, password_version, created_at, last_seen_at",
    ),
    (
        "reset_tokens",
        "user_id, digest, password_version, created_at",
    ),
];

const OTHER_TABLES: &[(&str, &str)] = &[
    (
        "users",
        "id, coalesce(locked_at, -1), coalesce(email_confirmed_at, -1)",
    ),
    (
        "sessions",
        "digest, coalesce(client, 'unknown'), coalesce(length(source), -1)",
    ),
    ("sign_ups", "email, digest, mailed, created_at"),
    (
        "pending_addresses",
        "user_id, email, coalesce(length(digest), -1), mailed, password_version, asked_at,
         coalesce(issued_at, -1)",
    ),
    (
        "past_addresses",
        "id, user_id, email, coalesce(length(undo_digest), -1), mailed, changed_at",
    ),
    ("user_groups", "name || ' ' || user_id"),
    (
        "tickets",
        "digest, session_digest, app, state, next, created_at, coalesce(used_at, -1)",
    ),
    ("app_sessions", "digest, session_digest, app, created_at"),
    (
        "outbox",
        "id, turn, kind, email, asked_at, coalesce(due_at, -1), quiet_until, attempts,
         coalesce(length(claim), 0), coalesce(network, 'none')",
    ),
    (
        "familiar_sources",
        "digest, user_id, password_version, last_proof_at",
    ),
];

/// The tables themselves.
pub struct Inside(AnyPool);

impl Inside {
    /// Every row of the tables, as text, in a settled order: equal if and only if nothing changed.
    /// But for the throttles, which count what is refused too.
    pub async fn all_rows(&self) -> Vec<String> {
        self.rows_of([TABLES_OF_USERS, OTHER_TABLES].concat()).await
    }

    /// The same of the users, their sessions and their reset tokens, which every version has.
    pub async fn rows_of_users(&self) -> Vec<String> {
        self.rows_of(TABLES_OF_USERS.to_vec()).await
    }

    async fn rows_of(&self, tables: Vec<(&str, &str)>) -> Vec<String> {
        let mut rows = Vec::new();
        for (table, columns) in tables {
            let query = format!("SELECT {columns} FROM {table} ORDER BY 1");
            for row in sqlx::query(AssertSqlSafe(query))
                .fetch_all(&self.0)
                .await
                .unwrap()
            {
                let values = (0..row.len()).map(|index| {
                    row.try_get::<i64, _>(index)
                        .map(|number| number.to_string())
                        .or_else(|_| row.try_get::<String, _>(index))
                        .or_else(|_| {
                            let bytes = row.try_get::<Vec<u8>, _>(index);
                            bytes.map(|bytes| format!("{bytes:02x?}"))
                        })
                        .unwrap()
                });
                let values: Vec<String> = values.collect();
                rows.push(format!("{table}: {}", values.join(", ")));
            }
        }
        rows
    }

    pub async fn count(&self, table: &str) -> i64 {
        let query = format!("SELECT count(*) FROM {table}");
        let row = sqlx::query(AssertSqlSafe(query)).fetch_one(&self.0).await;
        row.unwrap().get(0)
    }

    /// Waits until so many statements wait for a lock. SQLite does not tell who does.
    pub async fn wait_for_waiting(&self, least: i64) {
        let waiting = "pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let enough = async {
            while self.count(waiting).await < least {
                yield_now().await;
            }
        };
        let enough = timeout(Duration::from_secs(10), enough).await;
        enough.expect("statements that wait for a lock");
    }

    /// The number that a query finds.
    pub async fn number(&self, query: &str) -> i64 {
        let row = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_one(&self.0);
        row.await.unwrap().try_get(0).unwrap()
    }

    /// Runs a statement that the service has not.
    pub async fn execute(&self, statement: &str) {
        self.try_execute(statement).await.unwrap();
    }

    /// The same for a statement that may be refused.
    pub async fn try_execute(&self, statement: &str) -> sqlx::Result<()> {
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::query(statement).execute(&self.0).await.map(drop)
    }

    /// Adds so many users with a session, a reset token, a mail, a throttle and a familiar source each.
    pub async fn fill(&self, users: u32) {
        let digest = match self.backend_name().await.as_str() {
            "SQLite" => "randomblob(32)",
            _ => "sha256(n::text::bytea)",
        };
        let numbers = format!(
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {users})"
        );
        for insert in [
            "INSERT INTO users (id, email, hashed_password, password_version, created_at)
             NUMBERS SELECT n, 'user' || n || '@example.org', 'x', 1, n FROM numbers",
            "INSERT INTO sessions (digest, user_id, password_version, created_at, last_seen_at)
             NUMBERS SELECT DIGEST, n, 1, n, n FROM numbers",
            "INSERT INTO tickets (digest, session_digest, app, state, next, created_at)
             SELECT digest, digest, 'wiki.example.org', digest, '/', created_at FROM sessions",
            "INSERT INTO app_sessions (digest, session_digest, app, created_at)
             SELECT digest, digest, 'wiki.example.org', created_at FROM sessions",
            "INSERT INTO reset_tokens (user_id, digest, password_version, created_at)
             NUMBERS SELECT n, DIGEST, 1, n FROM numbers",
            "INSERT INTO sign_ups (email, digest, mailed, created_at)
             NUMBERS SELECT 'new' || n || '@example.org', DIGEST, 1, n FROM numbers",
            "INSERT INTO pending_addresses
                 (user_id, email, digest, mailed, password_version, asked_at, issued_at)
             NUMBERS SELECT n, 'other' || n || '@example.org', DIGEST, 1, 1, n, n FROM numbers",
            "INSERT INTO past_addresses (user_id, email, undo_digest, mailed, changed_at)
             NUMBERS SELECT n, 'past' || n || '@example.org', DIGEST, 1, n FROM numbers",
            "INSERT INTO outbox
                 (kind, email, asked_at, due_at, quiet_until, attempts, network, turn)
             NUMBERS SELECT 'reset_link', 'user' || n || '@example.org', n, n, n, 0,
                 'network ' || n % 100, n / 100 FROM numbers",
            "INSERT INTO throttles (digest, full_at) NUMBERS SELECT DIGEST, n FROM numbers",
            "INSERT INTO familiar_sources (digest, user_id, password_version, last_proof_at)
             NUMBERS SELECT DIGEST, n, 1, n FROM numbers",
        ] {
            let insert = insert
                .replace("NUMBERS", &numbers)
                .replace("DIGEST", digest);
            self.execute(&insert).await;
        }
        self.execute("ANALYZE").await;
    }

    /// How the database goes about a statement, whatever its parameters: a step a line.
    pub async fn explain(&self, statement: &str) -> Vec<String> {
        let mut connection = self.0.acquire().await.unwrap();
        let is_sqlite = connection.backend_name() == "SQLite";
        let explain = if is_sqlite {
            format!("EXPLAIN QUERY PLAN {statement}")
        } else {
            let has = |number: &usize| statement.contains(&format!("${number}"));
            let nulls = vec!["NULL"; (1..1000).take_while(has).count()].join(", ");
            let prepare =
                format!("{POSTGRES_SERVING_SETTINGS}; DEALLOCATE ALL; PREPARE it AS {statement}");
            connection.execute(AssertSqlSafe(prepare)).await.unwrap();
            format!("EXPLAIN EXECUTE it({nulls})")
        };
        let rows = sqlx::raw_sql(AssertSqlSafe(explain));
        let rows = rows.fetch_all(&mut *connection).await.unwrap();
        let column = if is_sqlite { "detail" } else { "QUERY PLAN" };
        rows.iter().map(|row| row.get(column)).collect()
    }

    async fn backend_name(&self) -> String {
        let connection = self.0.acquire().await.unwrap();
        connection.backend_name().to_owned()
    }

    /// A connection of one's own.
    pub async fn connection(&self) -> AnyConnection {
        self.0.acquire().await.unwrap().detach()
    }

    /// Keeps everybody else from writing until the result is dropped.
    pub async fn lock_out_writers(&self) -> AnyConnection {
        let mut connection = self.connection().await;
        let lock = match connection.backend_name() {
            "SQLite" => "BEGIN IMMEDIATE",
            _ => {
                "BEGIN;
                 LOCK TABLE users, sessions, reset_tokens, throttles, familiar_sources, outbox
                 IN EXCLUSIVE MODE"
            }
        };
        connection.execute(lock).await.unwrap();
        connection
    }

    /// Lets go of the database.
    pub async fn close(self) {
        self.0.close().await;
    }

    /// The stored hash of a user.
    pub async fn hash_of(&self, email: &str) -> String {
        let query = sqlx::query("SELECT hashed_password FROM users WHERE email = $1");
        let row = query.bind(email.to_owned()).fetch_one(&self.0).await;
        row.unwrap().get(0)
    }

    /// Puts another hash in the place of a user's.
    pub async fn set_hash(&self, email: &str, hash: &str) {
        sqlx::query("UPDATE users SET hashed_password = $2 WHERE email = $1")
            .bind(email.to_owned())
            .bind(hash.to_owned())
            .execute(&self.0)
            .await
            .unwrap();
    }
}
