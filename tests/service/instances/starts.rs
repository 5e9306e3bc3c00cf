//! Instances that start at the same moment: one migrates, all serve.

use std::time::Duration;

use bienvenue::db::{Db, OpenError};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tokio::task::block_in_place;
use tokio::time::timeout;

use super::be_serializable;
use crate::on_each_engine;
use crate::support::report::counted;
use crate::support::server::Server;
use crate::support::{Database, EmptyDatabase, Inside};
use crate::user_ids::create_old;

/// How often three instances start at once.
const ROUNDS: usize = 10;

const INSTANCES: usize = 3;

/// What the program makes to lock.
const CREATE_LOCK: &str = "CREATE TABLE _bienvenue_migration_lock (id BIGINT PRIMARY KEY)";
const ADD_LOCK: &str = "INSERT INTO _bienvenue_migration_lock (id) VALUES (1)";
const LOCK: &str = "SELECT id FROM _bienvenue_migration_lock WHERE id = 1 FOR UPDATE";

/// Longer than a start takes that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts instances at once, and returns what each has logged after it has served.
async fn start_together(database: &Database) -> Vec<String> {
    let starts = [(); INSTANCES].map(|()| {
        let url = database.url.clone();
        std::thread::spawn(move || Server::start(&url))
    });
    let servers: Vec<Server> = block_in_place(|| {
        starts
            .map(|start| start.join().unwrap())
            .into_iter()
            .collect()
    });
    let mut logs = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        server
            .registered(&format!("user{number}@example.org"), "b4l0u")
            .await;
        server.signal("TERM");
    }
    for server in servers {
        let (status, log) = block_in_place(|| server.wait());
        assert!(status.success(), "{log}");
        logs.push(log);
    }
    logs
}

fn count(logs: &[String], words: &str) -> usize {
    logs.iter().map(|log| log.matches(words).count()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_that_start_on_an_empty_database_one_makes_the_tables_and_all_serve() {
    for round in 0..ROUNDS {
        let Some(database) = EmptyDatabase::postgres().await else {
            return;
        };
        if round % 2 == 1 {
            be_serializable(&database.look_inside().await).await;
        }
        let logs = start_together(&database).await;
        assert_eq!(count(&logs, "created them"), 1, "round {round}: {logs:?}");
    }
    counted(&format!(
        "{INSTANCES} first starts at once, PostgreSQL: {ROUNDS} rounds, one made the tables in each, 0 failed"
    ));
}

on_each_engine! {
    async fn of_three_that_start_on_an_earlier_schema_one_migrates_and_all_serve(database: EmptyDatabase) {
        create_old(&database, ["bob"]).await;
        let logs = start_together(&database).await;
        assert_eq!(count(&logs, "brought the schema from migration 3"), 1, "{logs:?}");
        let users = database.look_inside().await.count("users").await;
        assert_eq!(usize::try_from(users).unwrap(), 1 + INSTANCES);
    }

    async fn a_migration_that_fails_undoes_those_before_it(database: EmptyDatabase) {
        create_old(&database, ["bob"]).await;
        let inside = database.look_inside().await;
        // One of the later ones wants to create it.
        inside.execute("CREATE TABLE user_groups (x BIGINT)").await;
        let failed = Db::open(&database.url.parse().unwrap()).await;
        assert!(matches!(failed.err(), Some(OpenError::Migrate(..))));
        assert_eq!(inside.number("SELECT max(version) FROM _sqlx_migrations").await, 3);
        assert!(inside.try_execute("SELECT turn FROM outbox").await.is_err());
        inside.execute("DROP TABLE user_groups").await;
        database.open().await.close().await;
        assert_eq!(inside.number("SELECT count(turn) FROM outbox").await, 0);
    }
}

/// A database of PostgreSQL as an earlier version left it, and a transaction in which this was done.
async fn old_and_held_up(statements: &[&str]) -> Option<(Database, Inside, AnyConnection)> {
    let database = EmptyDatabase::postgres().await?;
    create_old(&database, ["bob"]).await;
    let inside = database.look_inside().await;
    be_serializable(&inside).await;
    let mut other = AnyConnection::connect(&database.url).await.unwrap();
    other
        .execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await
        .unwrap();
    for statement in statements {
        let statement = AssertSqlSafe((*statement).to_owned());
        other.execute(statement).await.unwrap();
    }
    Some((database, inside, other))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_the_row_that_another_one_holds_and_not_if_there_is_nothing_to_do() {
    let Some((database, inside, mut other)) = old_and_held_up(&[]).await else {
        return;
    };
    for statement in [CREATE_LOCK, ADD_LOCK] {
        inside.execute(statement).await;
    }
    other.execute(LOCK).await.unwrap();
    let versions = "SELECT max(version) FROM _sqlx_migrations";
    let let_go = async {
        inside.wait_for_waiting(1).await;
        assert_eq!(inside.number(versions).await, 3);
        other.execute("COMMIT").await.unwrap();
    };
    let (opened, ()) = tokio::join!(database.open(), let_go);
    opened.close().await;
    assert!(inside.number(versions).await > 3);

    for statement in ["BEGIN", LOCK] {
        other.execute(statement).await.unwrap();
    }
    let opened = timeout(PATIENCE, database.open()).await;
    opened.expect("a start without a lock").close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_on_after_another_one_has_made_the_lock_first_or_has_given_up() {
    for end in ["COMMIT", "ROLLBACK"] {
        let Some((database, inside, mut other)) = old_and_held_up(&[CREATE_LOCK, ADD_LOCK]).await
        else {
            return;
        };
        let let_go = async {
            inside.wait_for_waiting(1).await;
            other.execute(end).await.unwrap();
        };
        let (opened, ()) = tokio::join!(database.open(), let_go);
        opened.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_alone_is_no_other_programs_table() {
    let Some(database) = EmptyDatabase::postgres().await else {
        return;
    };
    let inside = database.look_inside().await;
    inside.execute(CREATE_LOCK).await;
    database.open().await.close().await;
    assert_eq!(inside.count("users").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_create_no_tables_serves_a_current_schema() {
    let Some(database) = EmptyDatabase::postgres().await else {
        return;
    };
    database.open().await.close().await;
    let inside = database.look_inside().await;
    let role = format!("server_{}", std::process::id());
    for statement in [
        format!("CREATE ROLE {role} LOGIN"),
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC".to_owned(),
        format!("GRANT USAGE ON SCHEMA public TO {role}"),
        format!("GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}"),
    ] {
        inside.execute(&statement).await;
    }
    let url = database
        .url
        .replace("user=bienvenue", &format!("user={role}"));
    let restricted = Database { url, folder: None };
    assert!(
        restricted
            .look_inside()
            .await
            .try_execute("CREATE TABLE notes (x INT)")
            .await
            .is_err()
    );
    let server = Server::start(&restricted.url);
    server.registered("bob@example.org", "b4l0u").await;
    block_in_place(|| server.stop());
    for statement in [format!("DROP OWNED BY {role}"), format!("DROP ROLE {role}")] {
        inside.execute(&statement).await;
    }
}
