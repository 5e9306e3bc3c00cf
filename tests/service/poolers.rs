//! PostgreSQL behind a pooler of connections: it serves, or it is refused at once.

use std::process::Output;

use sqlx::{AnyPool, AssertSqlSafe, Executor, Row};

use crate::support::pgbouncer::{KNOWN, PgBouncer};
use crate::support::server::Server;
use crate::support::{Database, EmptyDatabase};

const EMAIL: &str = "bob@example.org";

/// Runs the program on a database until it ends by itself, or is killed since it does not.
fn run(database_url: &str, arguments: &[&str]) -> Output {
    let mut command = Server::command_by("timeout");
    command
        .args(["--signal=KILL", "60"])
        .arg(Server::command().get_program())
        .args(arguments)
        .env("DATABASE_URL", database_url);
    command.output().unwrap()
}

const SERVE: &[&str] = &["--listen", "127.0.0.1:0"];

/// That a command is refused with this exit status and one line with these words.
#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    // Drivers also log what was slow.
    let own = said.lines().filter(|line| !line.contains("sqlx::query"));
    let own: Vec<_> = own.collect();
    assert!(own.len() == 1 && own[0].contains(words), "{said}");
    assert_eq!(output.stdout, b"", "{said}");
}

/// How many tables the database has.
async fn count_tables(database: &Database) -> i64 {
    let inside = database.look_inside().await;
    let query = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    let tables = inside.number(query).await;
    inside.close().await;
    tables
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_a_pooler_that_gives_each_client_a_connection_all_works() {
    let Some(pooler) = PgBouncer::start("session", &[KNOWN]) else {
        return;
    };
    let database = Database::postgres().await.unwrap();
    let url = pooler.url(&database);
    // The second time on connections that the first process has used, and so on.
    for round in 0..3 {
        let servers = [Server::start(&url), Server::start(&url)];
        let [server, other] = &servers;
        let email = format!("bob-{round}@example.org");
        server.registered(&email, "b4l0u").await;
        let session = server.logged_in(&email, "b4l0u").await;
        assert!(other.is_logged_in(&session).await);
        let token = other.reset_token(&email).await;
        let reply = server.reset(&email, &token, "t4rt1fl3tt3").send().await;
        assert_eq!(reply.status, 200);
        assert!(!other.is_logged_in(&session).await);
        let session = other.logged_in(&email, "t4rt1fl3tt3").await;
        // More at once than there are connections.
        let checks = (0..100).map(|_| server.is_logged_in(&session));
        assert!(
            futures_util::future::join_all(checks)
                .await
                .into_iter()
                .all(|is_in| is_in)
        );
        let output = run(&url, &["users", "list"]);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains(&email));
        for server in servers {
            let (status, log) = server.stop();
            assert!(status.success(), "{log}");
            let warnings = log.lines().filter(|line| line.contains("WARN"));
            let others = warnings.filter(|line| !line.contains("--bcrypt-cost"));
            assert_eq!(others.count(), 0, "{log}");
            assert!(!log.contains("ERROR"), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_whose_clients_share_connections_is_refused_and_nothing_is_changed() {
    for mode in ["transaction", "statement"] {
        // Also where it gives the connections away in turn.
        for order in ["server_round_robin = 0", "server_round_robin = 1"] {
            let Some(pooler) = PgBouncer::start(mode, &[KNOWN, order]) else {
                return;
            };
            let database = EmptyDatabase::postgres().await.unwrap();
            let url = pooler.url(&database);
            let words = "set pool_mode = session";
            assert_refused(&run(&url, SERVE), 1, words);
            assert_eq!(count_tables(&database).await, 0, "{mode}");

            database.open().await.close().await;
            for arguments in [SERVE, &["users", "add", EMAIL], &["backup", "-"]] {
                assert_refused(&run(&url, arguments), 1, words);
            }
            let inside = database.look_inside().await;
            assert_eq!(inside.count("users").await, 0, "{mode}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_pooler_whose_clients_share_connections_is_refused_too() {
    let Some(pooler) = PgBouncer::start("transaction", &[KNOWN]) else {
        return;
    };
    let database = Database::postgres().await.unwrap();
    let url = pooler.url(&database);
    let others = AnyPool::connect(&url).await.unwrap();
    let busy = (0..4).map(|_| {
        let others = others.clone();
        tokio::spawn(async move {
            let mut connection = others.acquire().await.unwrap();
            loop {
                let _ = connection.fetch_one("SELECT pg_backend_pid()").await;
            }
        })
    });
    let busy: Vec<_> = busy.collect();
    let output = run(&url, SERVE);
    assert_refused(&output, 1, "set pool_mode = session");
    for client in busy {
        client.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_that_does_not_know_what_drivers_say_is_told_from_others() {
    let Some(pooler) = PgBouncer::start("session", &[]) else {
        return;
    };
    let database = Database::postgres().await.unwrap();
    let output = run(&pooler.url(&database), SERVE);
    assert_refused(&output, 1, KNOWN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_without_a_free_connection_holds_no_start_up() {
    let Some(pooler) = PgBouncer::start("session", &[KNOWN, "default_pool_size = 1"]) else {
        return;
    };
    let database = Database::postgres().await.unwrap();
    let url = pooler.url(&database);
    let all = AnyPool::connect(&url).await.unwrap();
    let mut only = all.acquire().await.unwrap();
    let held = only.fetch_one(AssertSqlSafe("SELECT 1".to_owned())).await;
    assert_eq!(held.unwrap().get::<i32, _>(0), 1);
    assert_refused(&run(&url, SERVE), 7, "cannot connect to");
    drop(only);
    all.close().await;

    // One is too few as well, and is told.
    let (status, log) = Server::start(&url).stop();
    assert!(status.success(), "{log}");
    assert_eq!(
        log.matches("let each process of bienvenue have 12").count(),
        1,
        "{log}"
    );
}
