//! Filling a database from a backup.

use std::fs;
use std::path::PathBuf;
use std::process::Child;

use bienvenue::db::{Kind, TABLES, TABLES_LEFT_OUT};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Row};
use tempfile::TempDir;

use super::*;
use crate::on_each_engine;
use crate::support::EmptyDatabase;
use crate::user_ids::{OldUser, create_old, delete_carelessly};

/// A backup in a folder of its own.
struct Backup(TempDir);

impl Backup {
    fn of(database: &Database) -> Self {
        let backup = Self(tempfile::tempdir().unwrap());
        run(database, &["backup", backup.name().to_str().unwrap()]).done();
        backup
    }

    fn name(&self) -> PathBuf {
        self.0.path().join("b.db")
    }

    fn restore_into(&self, database: &Database) -> Ended {
        run(database, &["restore", self.name().to_str().unwrap()])
    }
}

/// A backup with so many users in it, and with a row of each kind for each.
async fn filled(users: u32) -> Backup {
    let database = EmptyDatabase::sqlite();
    database.open().await.close().await;
    database.look_inside().await.fill(users).await;
    Backup::of(&database)
}

on_each_engine! {
    async fn the_list_of_tables_and_columns_is_the_schema(database: EmptyDatabase) {
        database.open().await.close().await;
        let mut connection = AnyConnection::connect(&database.url).await.unwrap();
        let is_sqlite = database.folder.is_some();
        let columns = if is_sqlite {
            "SELECT m.name AS of, c.name AS name, c.type AS type
             FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table'"
        } else {
            "SELECT table_name::text AS of, column_name::text AS name, data_type::text AS type
             FROM information_schema.columns WHERE table_schema = 'public'"
        };
        let mut found = Vec::new();
        for row in sqlx::query(columns).fetch_all(&mut connection).await.unwrap() {
            let of: String = row.get("of");
            if !["_sqlx_migrations", "_bienvenue_migration_lock", "sqlite_sequence"].contains(&&*of) {
                let kind = match row.get::<String, _>("type").to_uppercase().as_str() {
                    "INTEGER" | "BIGINT" => Kind::Number,
                    "TEXT" => Kind::Text,
                    "BLOB" | "BYTEA" => Kind::Bytes,
                    other => panic!("{of} has a column of type {other}"),
                };
                found.push((of, row.get::<String, _>("name"), kind));
            }
        }
        let mut listed = Vec::new();
        for table in TABLES {
            let columns = table.columns.iter();
            listed.extend(columns.map(|(name, kind)| (table.name.into(), (*name).into(), *kind)));
            let has = |column| table.columns.iter().any(|(name, _)| *name == column);
            assert_eq!(table.is_of_user, has("user_id"), "{}", table.name);
            assert_eq!(table.counts_ids, has("id"), "{}", table.name);
        }
        for name in TABLES_LEFT_OUT {
            assert!(found.iter().any(|(of, ..)| of == name), "{name}");
        }
        found.retain(|(of, ..)| !TABLES_LEFT_OUT.contains(&&**of));
        for list in [&mut found, &mut listed] {
            list.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
        }
        assert_eq!(found, listed);
    }

    async fn a_database_with_rows_in_it_is_refused(database: EmptyDatabase) {
        let backup = filled(3).await;
        database.open().await.close().await;
        let inside = database.look_inside().await;
        for row in [
            "INSERT INTO throttles (digest, full_at) SELECT digest, 1 FROM sessions",
            "INSERT INTO users (email, hashed_password, password_version, created_at)
             VALUES ('eve@example.org', 'x', 1, 0)",
        ] {
            inside.execute(row).await;
        }
        let arguments = ["restore", backup.name().to_str().unwrap()].map(str::to_owned);
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        assert_refused(&database, &inside, &arguments, (4, "rows in the table users")).await;
        inside.execute("DELETE FROM users").await;
        // Empty tables are no hindrance. The number that was given to the user before is not given again.
        backup.restore_into(&database).done();
        assert_eq!(inside.count("users").await, 3);
    }

    async fn a_database_of_another_program_is_refused(database: EmptyDatabase) {
        let backup = filled(3).await;
        let creating = database.url.replace(".db", ".db?mode=rwc");
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&creating).await.unwrap();
        let create = sqlx::query("CREATE TABLE notes (id BIGINT PRIMARY KEY)");
        create.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        backup.restore_into(&database).refused(1, "another program");
        assert!(database.look_inside().await.try_execute("SELECT * FROM users").await.is_err());
    }

    async fn a_backup_of_an_earlier_version_is_restored_and_stays_as_it_is(database: EmptyDatabase) {
        let old = EmptyDatabase::sqlite();
        let [OldUser { email, .. }, _] = create_old(&old, ["bob", "last"]).await;
        old.look_inside().await.execute("DELETE FROM users WHERE id = 2").await;
        let before = fs::read(old.file()).unwrap();
        let restored = run(&database, &["restore", old.file().to_str().unwrap()]).done();
        assert!(restored.stderr.contains("restored 1 users, 1 sessions"), "{restored:?}");
        assert_eq!(fs::read(old.file()).unwrap(), before);
        let names = fs::read_dir(old.folder.as_ref().unwrap().path()).unwrap();
        assert_eq!(names.count(), 1);
        let inside = database.look_inside().await;
        assert_eq!(inside.rows_of_users().await.len(), 3);
        assert_eq!(inside.count(&format!("users WHERE email = '{email}'")).await, 1);
    }

    async fn what_a_deleted_user_left_behind_is_not_carried(database: EmptyDatabase) {
        let origin = EmptyDatabase::sqlite();
        origin.open().await.close().await;
        origin.look_inside().await.fill(3).await;
        delete_carelessly(&origin, "id = 2").await;
        Backup::of(&origin).restore_into(&database).done();
        let inside = database.look_inside().await;
        for table in ["users", "sessions", "reset_tokens", "familiar_sources"] {
            assert_eq!(inside.count(table).await, 2, "{table}");
        }
    }

    async fn a_restore_that_is_cut_off_leaves_the_database_empty(database: EmptyDatabase) {
        let backup = filled(10_000).await;
        database.open().await.close().await;
        let inside = database.look_inside().await;
        for signal in ["TERM", "KILL"] {
            let mut restore = command(&database, &["restore", backup.name().to_str().unwrap()]);
            let mut restore = restore.stderr(Stdio::piped()).spawn().unwrap();
            wait_until_it_writes(&mut restore, &database, &inside).await;
            let pid = restore.id().to_string();
            assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
            let ended = restore.wait_with_output().unwrap();
            assert!(!ended.status.success(), "it was done before it was cut off");
            for table in TABLES {
                assert_eq!(inside.count(table.name).await, 0, "{signal}: {}", table.name);
            }
        }
        backup.restore_into(&database).done();
        assert_eq!(inside.count("sessions").await, 10_000);
    }
}

/// Waits until a restore holds the lock under which it writes.
async fn wait_until_it_writes(restore: &mut Child, database: &Database, inside: &Inside) {
    while restore.try_wait().unwrap().is_none() {
        let is_writing = if database.folder.is_some() {
            let log = format!("{}-wal", database.file().display());
            fs::metadata(log).is_ok_and(|log| log.len() > 2_000_000)
        } else {
            let locks = "pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted";
            inside.count(locks).await > 0
        };
        if is_writing {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it was done before it was seen to write");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_moves_to_postgresql_and_back_with_all_sessions() {
    let Some(postgres) = EmptyDatabase::postgres().await else {
        return;
    };
    let (sqlite, sqlite_again) = (EmptyDatabase::sqlite(), Database::sqlite());
    let server = Server::start(&sqlite.url);
    for name in ["bob", "alice", "eve", "last"] {
        server
            .registered(&format!("{name}@example.org"), PASSWORD)
            .await;
    }
    let session = server.logged_in(EMAIL, PASSWORD).await;
    run(&sqlite, &["groups", "add", EMAIL, "admins"]).done();
    run(&sqlite, &["users", "lock", "3"]).done();
    run(&sqlite, &["users", "confirm", "2"]).done();
    run(&sqlite, &["users", "delete", "4", "--yes"]).done();
    server.stop();

    let mut before = sqlite.look_inside().await.all_rows().await;
    let mut from = &sqlite;
    for (into, id) in [(&postgres, 5), (&sqlite_again, 6)] {
        let restored = Backup::of(from).restore_into(into).done();
        let audit = restored.audit();
        assert_eq!(audit["event"], "database_restored");
        assert_eq!(
            (&audit["users"], &audit["sessions"]),
            (&(id - 2).into(), &1.into())
        );
        assert_eq!(into.look_inside().await.all_rows().await, before);

        let server = Server::start(&into.url);
        assert!(server.is_logged_in(&session).await);
        assert!(server.can_log_in("alice@example.org", PASSWORD).await);
        server.log_in("eve@example.org", PASSWORD).send().await;
        let email = format!("new{id}@example.org");
        server.registered(&email, PASSWORD).await;
        server.stop();
        // The next number, also after the user with the highest was deleted.
        let shown = run(into, &["users", "show", &email, "--json"]).done();
        assert_eq!(shown.json()[0]["id"], id);
        let inside = into.look_inside().await;
        inside
            .execute("DELETE FROM sessions WHERE user_id = 2")
            .await;
        before = inside.all_rows().await;
        from = into;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_not_given_again_even_if_no_user_is_left() {
    for (origin, target) in [
        (
            Some(EmptyDatabase::sqlite()),
            EmptyDatabase::postgres().await,
        ),
        (
            EmptyDatabase::postgres().await,
            Some(EmptyDatabase::sqlite()),
        ),
    ] {
        let (Some(origin), Some(target)) = (origin, target) else {
            continue;
        };
        origin.open().await.close().await;
        let add = "INSERT INTO users (email, hashed_password, password_version, created_at)
                   VALUES ('bob@example.org', 'x', 1, 0)";
        let inside = origin.look_inside().await;
        inside.execute(add).await;
        inside.execute("DELETE FROM users").await;
        Backup::of(&origin).restore_into(&target).done();
        let inside = target.look_inside().await;
        inside.execute(add).await;
        assert_eq!(inside.number("SELECT id FROM users").await, 2);
    }
}

#[tokio::test]
async fn what_is_no_whole_backup_of_ours_is_refused_before_anything_is_created() {
    let backup = filled(500).await;
    let whole = fs::read(backup.name()).unwrap();
    let target = EmptyDatabase::sqlite();
    let assert_refused = |bytes: &[u8], code, words| {
        fs::write(backup.name(), bytes).unwrap();
        backup.restore_into(&target).refused(code, words);
        assert_eq!(fs::read(backup.name()).unwrap(), bytes);
        assert!(!target.file().exists());
    };
    assert_refused(b"", 1, "not a backup of bienvenue");
    assert_refused(
        b"id,email\n1,bob@example.org\n",
        1,
        "not an SQLite database",
    );
    assert_refused(&whole[..whole.len() - 4096], 1, "damaged");
    assert_refused(&whole[..whole.len() - 100], 1, "100 bytes are missing");
    let mut damaged = whole.clone();
    let half = damaged.len() / 2;
    damaged[half..half + 16_384].fill(0x5a);
    assert_refused(&damaged, 1, "damaged");

    fs::write(backup.name(), &whole).unwrap();
    let url = format!("sqlite:{}", backup.name().display());
    let mut connection = AnyConnection::connect(&url).await.unwrap();
    for (change, code, words) in [
        (
            "UPDATE _sqlx_migrations SET version = 1000 + version WHERE version > 1",
            6,
            "newer version",
        ),
        (
            "DROP TABLE _sqlx_migrations",
            1,
            "not a backup of bienvenue",
        ),
    ] {
        let change = sqlx::query(AssertSqlSafe(change.to_owned()));
        change.execute(&mut connection).await.unwrap();
        let bytes = fs::read(backup.name()).unwrap();
        assert_refused(&bytes, code, words);
    }
    connection.close().await.unwrap();

    fs::remove_file(backup.name()).unwrap();
    backup
        .restore_into(&target)
        .refused(1, "No such file or directory");
    // A copy of a database in use lacks what is in its log.
    let running = EmptyDatabase::sqlite();
    let server = Server::start(&running.url);
    server.registered(EMAIL, PASSWORD).await;
    run(&target, &["restore", running.file().to_str().unwrap()]).refused(1, "-wal");
    assert!(!target.file().exists());
}
