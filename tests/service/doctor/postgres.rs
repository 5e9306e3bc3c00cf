//! PostgreSQL servers.

use std::net::{IpAddr, UdpSocket};

use super::*;
use crate::faults::libfaketime;
use crate::support::pgbouncer::{KNOWN, PgBouncer};
use crate::support::postgres::Cluster;
use crate::support::{Database, EmptyDatabase};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_serves_well_is_found_so() {
    let Some(cluster) = Cluster::start_durable() else {
        return;
    };
    let url = cluster.create_database().await;
    doctor(&url, &[])
        .has(
            "warn",
            "schema",
            "without users; if there were users, do not",
        )
        .all_well_but(&["schema"]);
    let server = Server::start(&url);
    let found = doctor(&url, &[]);
    found
        .has("ok", "server", "PostgreSQL")
        .has("ok", "pooler", "not shared")
        .has("ok", "encryption", "stays on this machine")
        .has("ok", "clock", "within 2 s")
        .has("ok", "durability", "synchronous_commit is on")
        .has("ok", "schema", "of this version");
    assert_eq!(found.lines.len(), 7, "{found:?}");
    found.all_well_but(&[]);
    server.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_does_not_do_well_is_told_and_nothing_is_changed() {
    let Some(database) = EmptyDatabase::postgres().await else {
        return;
    };
    doctor(&database.url, &[])
        .has("warn", "durability", "set fsync = on")
        .has(
            "warn",
            "schema",
            "give the URL of their database, or restore",
        );
    let inside = database.look_inside().await;
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(inside.number(tables).await, 0);

    database.open().await.close().await;
    let before = inside.all_rows().await;
    inside
        .execute("DELETE FROM _sqlx_migrations WHERE version > 4")
        .await;
    doctor(&database.url, &[]).has("fail", "schema", "run bienvenue migrate");
    assert_eq!(inside.all_rows().await, before);

    let name = database.url.split(['/', '?']).nth(3).unwrap();
    inside
        .execute(&format!(
            "ALTER DATABASE {name} SET default_transaction_read_only = on"
        ))
        .await;
    doctor(&database.url, &[]).has("fail", "server", "takes no writes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_told_at_the_start_too() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let name = database.url.split(['/', '?']).nth(3).unwrap();
    for (setting, told) in [("off", 0), ("on", 1)] {
        let set = format!("ALTER DATABASE {name} SET default_transaction_read_only = {setting}");
        let set = sqlx::AssertSqlSafe(set);
        sqlx::query(set).execute(&pool).await.unwrap();
        let (status, log) = Server::start(&database.url).stop();
        assert!(status.success(), "{log}");
        let words = "takes no writes: give the URL of the primary server, not of a standby, and check \
                     default_transaction_read_only";
        assert_eq!(log.matches(words).count(), told, "{log}");
        let found = doctor(&database.url, &[]);
        let lines = found.lines.iter();
        assert_eq!(
            lines
                .filter(|[_, _, message]| message.contains(words))
                .count(),
            told
        );
    }
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_that_do_not_wait_are_told_to_be_mended_by_the_service() {
    let Some(cluster) = Cluster::start_durable() else {
        return;
    };
    let url = cluster.create_database().await;
    let name = url.split(['/', '?']).nth(3).unwrap();
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let set = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sqlx::query(sqlx::AssertSqlSafe(set))
        .execute(&pool)
        .await
        .unwrap();
    doctor(&url, &[]).has("ok", "durability", "switches it on for itself");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_let_us_in_is_told_with_what_to_do() {
    doctor("postgres://bob@127.0.0.1:1/b", &[]).has(
        "fail",
        "server",
        "is PostgreSQL running there",
    );
    let Some(database) = Database::postgres().await else {
        return;
    };
    let other = database.url.replace("/test_", "/nothing_");
    doctor(&other, &[]).has("fail", "server", "createdb");
    let stranger = database.url.replace("user=bienvenue", "user=stranger");
    doctor(&stranger, &[]).has("fail", "server", "check user and password");
    let encrypted = format!("{}&sslmode=require", database.url);
    // PostgreSQL does not encrypt on a Unix socket.
    doctor(&encrypted, &[]).has("fail", "server", "sslmode");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_may_not_write_or_not_read_is_told_with_what_it_needs() {
    let Some(database) = Database::postgres().await else {
        return;
    };
    assert!(Server::start(&database.url).stop().0.success());
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let execute = async |statement: String| {
        let statement = sqlx::AssertSqlSafe(statement);
        sqlx::query(statement).execute(&pool).await.unwrap();
    };
    let name = database.url.split(['/', '?']).nth(3).unwrap();
    let role = format!("reader_of_{name}");
    execute(format!("CREATE ROLE {role} LOGIN")).await;
    let url = database
        .url
        .replace("user=bienvenue", &format!("user={role}"));
    doctor(&url, &[]).has("fail", "server", "GRANT SELECT, INSERT, UPDATE, DELETE");

    execute(format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await;
    doctor(&url, &[])
        .has("fail", "server", "may not both read and change")
        .has("fail", "server", "sessions");
    execute(format!(
        "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    ))
    .await;
    doctor(&url, &[]).has("ok", "server", "answers");
    execute(format!("DROP OWNED BY {role}")).await;
    execute(format!("DROP ROLE {role}")).await;
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_is_told_at_the_start_and_by_doctor() {
    let (Some(library), Some(database)) = (libfaketime(), Database::postgres().await) else {
        return;
    };
    let sqlite = Database::sqlite();
    for (offset, url, words) in [
        ("+7s", &database.url, "s behind this machine's"),
        ("-7s", &database.url, "s ahead of this machine's"),
        ("+7s", &sqlite.url, ""),
        ("+0s", &database.url, ""),
    ] {
        let wrong = |mut command: Command| {
            command
                .env("LD_PRELOAD", &library)
                .env("FAKETIME", offset)
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
            command
        };
        let mut start = Server::command();
        start.args(["--listen", "127.0.0.1:0", "--database-url", url]);
        let (status, log) = Server::spawn(wrong(start)).stop();
        assert!(status.success(), "{log}");
        let told = log.matches("the clock of the database is").count();
        assert_eq!(told, usize::from(!words.is_empty()), "{log}");
        assert!(log.contains(words), "{log}");

        let output = wrong(command(url, &[])).output().unwrap();
        let found = Found::from(output);
        if words.is_empty() {
            found.all_well_but(&["durability"]);
        } else {
            found
                .has("warn", "clock", words)
                .has("warn", "clock", "by NTP");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_is_told_by_what_it_does_with_connections() {
    for (mode, result, words) in [
        ("session", "ok", "not shared"),
        ("transaction", "fail", "set pool_mode = session"),
        ("statement", "fail", "set pool_mode = session"),
    ] {
        let Some(pooler) = PgBouncer::start(mode, &[KNOWN]) else {
            return;
        };
        let database = Database::postgres().await.unwrap();
        doctor(&pooler.url(&database), &[]).has(result, "pooler", words);
    }
    let pooler = PgBouncer::start("session", &[]).unwrap();
    let database = Database::postgres().await.unwrap();
    doctor(&pooler.url(&database), &[]).has("fail", "server", KNOWN);
    let pooler = PgBouncer::start("session", &[KNOWN, "default_pool_size = 1"]).unwrap();
    doctor(&pooler.url(&database), &[]).has("warn", "pooler", "have 12");
}

/// An address of this machine that is not loopback. Sends nothing: only asks the system by which way it
/// would.
fn far_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").unwrap();
    socket.local_addr().unwrap().ip()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_another_machine_is_to_be_encrypted() {
    let address = far_address();
    let listen = format!("listen_addr = {address}");
    let Some(pooler) = PgBouncer::start("session", &[KNOWN, &listen]) else {
        return;
    };
    let database = Database::postgres().await.unwrap();
    let far = pooler.far_url(&database, address);
    doctor(&far, &[]).has("warn", "encryption", "ssl = on").has(
        "warn",
        "configuration",
        "sslmode=verify-full",
    );
    drop(pooler);

    let pooler = PgBouncer::start_with_tls(address, &[KNOWN, &listen]).unwrap();
    let far = pooler.far_url(&database, address);
    let root = pooler.certificate();
    for (mode, is_verified) in [
        ("require".to_owned(), false),
        (format!("verify-full&sslrootcert={}", root.display()), true),
    ] {
        let found = doctor(&format!("{far}&sslmode={mode}"), &[]);
        found.has("ok", "encryption", "by TLS");
        if is_verified {
            found.all_well_but(&["durability"]);
        }
    }
}
