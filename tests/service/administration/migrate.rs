//! `bienvenue migrate`: the schema is brought up to date, or looked at.

use std::fs;
use std::os::unix::fs::chown;

use super::*;
use crate::on_each_engine;
use crate::support::{EmptyDatabase, is_root};
use crate::user_ids::create_old;

const CHECK: [&str; 2] = ["migrate", "--check"];

/// The number of the last migration.
async fn last_migration(inside: &Inside) -> i64 {
    inside
        .number("SELECT max(version) FROM _sqlx_migrations")
        .await
}

/// That there is nothing to do, and that it is said and nothing is logged.
fn assert_is_current(database: &Database) {
    let again = run(database, &["migrate"]).done();
    assert!(again.stderr.contains("nothing to do"), "{again:?}");
    assert_eq!(again.stderr.lines().count(), 1, "{again:?}");
    let checked = run(database, &CHECK).done();
    assert_eq!((&*checked.stdout, &*checked.stderr), ("", ""));
}

on_each_engine! {
    async fn migrate_creates_a_database_that_is_not_there(database: EmptyDatabase) {
        run(&database, &CHECK).refused(6, "migrations are pending: run bienvenue migrate");
        if let Some(folder) = &database.folder {
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        }
        let made = run(&database, &["migrate"]).done();
        let inside = database.look_inside().await;
        let last = last_migration(&inside).await;
        assert!(made.stderr.contains(&format!("created the schema of migration {last}")), "{made:?}");
        assert_eq!(made.stdout, "");
        let audit = made.audit();
        assert_eq!((&audit["event"], &audit["from"], &audit["to"]),
            (&"schema_migrated".into(), &0.into(), &last.into()));
        assert_is_current(&database);
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let (_, log) = server.stop();
        assert!(!log.contains("created"), "{log}");
    }

    async fn migrate_brings_an_earlier_schema_up_to_date_and_check_changes_nothing(database: EmptyDatabase) {
        let [bob] = create_old(&database, ["bob"]).await;
        let inside = database.look_inside().await;
        let checked = run(&database, &CHECK);
        assert_eq!(last_migration(&inside).await, 3);
        let made = run(&database, &["migrate"]).done();
        let last = last_migration(&inside).await;
        checked.refused(6, &format!("{} migrations are pending: run bienvenue migrate", last - 3));
        assert_eq!(checked.stderr.lines().count(), 1, "{checked:?}");
        let told = format!("brought the schema from migration 3 to {last}");
        assert_eq!(made.stderr.matches(&told).count(), 1, "{made:?}");
        let audit = made.audit();
        assert_eq!((&audit["from"], &audit["to"]), (&3.into(), &last.into()));
        assert_eq!(audit["command"], "migrate");
        assert_is_current(&database);
        let listed = run(&database, &["users", "list", "--json"]).done();
        assert_eq!(listed.json()[0]["email"], bob.email);
    }

    async fn migrate_refuses_a_newer_schema_and_another_programs(database: EmptyDatabase) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        let last = last_migration(&inside).await;
        for (change, code, words) in [
            (format!("UPDATE _sqlx_migrations SET version = 9999 WHERE version = {last}"), 6, "use the newer version"),
            ("UPDATE _sqlx_migrations SET description = 'notes' WHERE version = 1".to_owned(), 1, "belongs to another program"),
        ] {
            inside.execute(&change).await;
            for arguments in [&["migrate"][..], &CHECK] {
                run(&database, arguments).refused(code, words);
            }
        }
        assert_eq!(last_migration(&inside).await, 9999);
    }
}

#[test]
fn migrate_tells_a_database_that_is_away_by_7() {
    let database = Database {
        url: "postgres:///b?host=/no/such/folder&user=bienvenue".to_owned(),
        folder: None,
    };
    for arguments in [&["migrate"][..], &CHECK] {
        run(&database, arguments).refused(7, "cannot connect to");
    }
}

#[test]
fn migrate_does_not_open_the_file_of_another_user() {
    if !is_root() {
        return;
    }
    let database = EmptyDatabase::sqlite();
    Server::start(&database.url).stop();
    chown(database.file(), Some(65534), None).unwrap();
    let before = fs::read(database.file()).unwrap();
    for arguments in [&["migrate"][..], &CHECK] {
        run(&database, arguments).refused(1, "sudo -u nobody bienvenue");
    }
    assert_eq!(fs::read(database.file()).unwrap(), before);
}
