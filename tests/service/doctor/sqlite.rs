//! SQLite databases.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::time::Instant;

use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::tempdir;

use super::*;
use crate::faults::SmallDisk;
use crate::support::{Database, EmptyDatabase, is_root};

/// A database that a service has left.
async fn left() -> Database {
    let database = Database::sqlite();
    database.open().await.close().await;
    database
}

fn folder(database: &Database) -> &Path {
    database.folder.as_ref().unwrap().path()
}

/// What is found of it, which changes nothing.
#[track_caller]
fn found(database: &Database) -> Found {
    let before = files(folder(database));
    let found = doctor(&database.url, &[]);
    assert_eq!(files(folder(database)), before);
    found
}

/// Runs a statement on the file, on a connection without our settings.
async fn execute(database: &Database, statement: &'static str) {
    let url = format!("sqlite:{}", database.file().display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn a_sound_database_is_found_so_at_rest_in_use_and_after_a_crash() {
    let database = left().await;
    let sound = |found: &Found| {
        found
            .has("ok", "files", "for its owner alone")
            .has("ok", "disk", "MiB are free")
            .has("ok", "schema", "of this version")
            .has("ok", "journal", "WAL")
            .has("ok", "integrity", "no fault");
        assert_eq!(found.lines.len(), 6, "{found:?}");
        found.all_well_but(&[]);
    };
    sound(&found(&database));

    let server = Server::start(&database.url);
    server.registered("bob@example.org", "b4l0u").await;
    sound(&doctor(&database.url, &[]));
    let session = server.logged_in("bob@example.org", "b4l0u").await;
    assert!(server.is_logged_in(&session).await);

    server.kill();
    assert_eq!(files(folder(&database)).len(), 3);
    sound(&found(&database));
    // What was acknowledged is still in the log.
    let server = Server::start(&database.url);
    assert!(server.is_logged_in(&session).await);
}

#[tokio::test]
async fn a_log_without_its_index_is_left_to_the_service() {
    let database = left().await;
    let server = Server::start(&database.url);
    server.registered("bob@example.org", "b4l0u").await;
    server.kill();
    fs::remove_file(folder(&database).join("bienvenue.db-shm")).unwrap();
    found(&database).has("warn", "integrity", "start the service");
}

#[test]
fn a_database_that_is_not_there_is_not_made() {
    let database = EmptyDatabase::sqlite();
    let missing = format!("there is no {} yet", database.url);
    found(&database).has("warn", "files", &missing).has(
        "warn",
        "files",
        "without users; if there were users, do not start: put the same files back",
    );
    assert!(files(folder(&database)).is_empty());

    let url = format!("sqlite:{}/no/b.db", folder(&database).display());
    let words = "put the same files back, or restore a backup; else create the folder";
    doctor(&url, &[]).has("fail", "files", words);
    fs::write(folder(&database).join("no"), "").unwrap();
    doctor(&url, &[]).has("fail", "files", "check that its folder exists");
    let url = format!("sqlite:{}", folder(&database).display());
    doctor(&url, &[]).has("fail", "files", "it is not a file");
}

#[tokio::test]
async fn a_relative_name_is_shown_with_the_folder_that_it_is_looked_for_in() {
    let database = left().await;
    let elsewhere = tempdir().unwrap();
    for (folder, result, words) in [
        (folder(&database), "ok", "is there"),
        (elsewhere.path(), "warn", "yet: the start makes it"),
    ] {
        let whole = folder.canonicalize().unwrap().join("bienvenue.db");
        let words = format!("sqlite:{} {words}", whole.display());
        let mut command = command("sqlite:bienvenue.db", &[]);
        let output = command.current_dir(folder).output().unwrap();
        Found::from(output).has(result, "files", &words);
    }
}

#[tokio::test]
async fn a_database_that_a_service_has_lost_is_not_taken_for_one_to_be_made() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &["--operations", "127.0.0.1:0"]);
    let operations = ["--operations", server.operations_address()];
    fs::rename(database.file(), folder(&database).join("moved")).unwrap();
    let found = loop {
        let found = doctor(&database.url, &operations);
        if found
            .lines
            .iter()
            .any(|[result, check, _]| result == "fail" && check == "service")
        {
            break found;
        }
    };
    found.has("fail", "files", "put the same files back");
    found.has("fail", "service", "not ready: database: look into its log");
}

#[tokio::test]
async fn files_that_others_can_read_are_told_and_stay() {
    let database = left().await;
    fs::set_permissions(database.file(), Permissions::from_mode(0o640)).unwrap();
    found(&database).has("warn", "files", "chmod 600");
}

#[tokio::test]
async fn a_file_system_that_takes_no_writes_is_told() {
    if !is_root() {
        return;
    }
    let database = left().await;
    let mounted = folder(&database).join("mounted");
    fs::create_dir(&mounted).unwrap();
    fs::copy(database.file(), mounted.join("b.db")).unwrap();
    let mount = |arguments: &[&str]| {
        let path = mounted.to_str().unwrap();
        let mount = Command::new("mount").args(arguments).arg(path).output();
        mount.is_ok_and(|output| output.status.success())
    };
    if !(mount(&["--bind", mounted.to_str().unwrap()]) && mount(&["-o", "remount,bind,ro"])) {
        return;
    }
    let url = format!("sqlite:{}/b.db", mounted.display());
    let found = doctor(&url, &[]);
    assert!(
        Command::new("umount")
            .arg(&mounted)
            .status()
            .unwrap()
            .success()
    );
    found.has("fail", "files", "cannot be written to");
}

#[tokio::test]
async fn files_of_another_user_are_told_and_not_opened() {
    if !is_root() {
        // Nobody else can give files away; where the tests decide, root runs them.
        return;
    }
    let database = left().await;
    let log = folder(&database).join("bienvenue.db-wal");
    fs::write(&log, "").unwrap();
    chown(&log, Some(65534), None).unwrap();
    found(&database).has("fail", "files", "chown");
    fs::remove_file(&log).unwrap();

    chown(database.file(), Some(65534), None).unwrap();
    found(&database).has("fail", "files", "sudo -u nobody");
}

#[tokio::test]
async fn other_schemas_are_told_with_what_to_do() {
    let database = left().await;
    let newer =
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                 SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations
                 WHERE version = 1";
    execute(&database, newer).await;
    found(&database).has("fail", "schema", "use the newer version");
    execute(&database, "DELETE FROM _sqlx_migrations WHERE version > 4").await;
    found(&database).has("fail", "schema", "run bienvenue migrate");
    execute(&database, "DELETE FROM _sqlx_migrations").await;
    found(&database).has("fail", "schema", "belongs to another program");

    let database = Database::sqlite();
    fs::write(database.file(), "").unwrap();
    found(&database)
        .has("warn", "schema", "do not start: put the same files back")
        .all_well_but(&["files", "schema"]);
}

#[tokio::test]
async fn a_database_without_a_write_ahead_log_is_told() {
    let database = left().await;
    execute(&database, "PRAGMA journal_mode = DELETE").await;
    found(&database).has("warn", "journal", "start the service");
}

#[tokio::test]
async fn damage_is_told() {
    let database = left().await;
    let whole = fs::read(database.file()).unwrap();
    let mut damaged = whole.clone();
    // The root of some table.
    damaged[4096 * 3..4096 * 3 + 200].fill(0xa5);
    fs::write(database.file(), &damaged).unwrap();
    let damage = found(&database);
    damage.has("fail", "integrity", "restore");

    fs::write(database.file(), &whole[..whole.len() - 4096]).unwrap();
    found(&database).has("fail", "integrity", "bytes are missing");

    fs::write(database.file(), "Buy milk. ".repeat(1000)).unwrap();
    found(&database).has("fail", "integrity", "not an SQLite database");
}

#[tokio::test]
async fn a_disk_without_room_for_a_backup_or_for_anything_is_told() {
    let Some(disk) = SmallDisk::mount(12) else {
        return;
    };
    let url = format!("sqlite:{}", disk.path().join("b.db").display());
    Server::start(&url).stop();
    doctor(&url, &[]).has("ok", "disk", "MiB are free");
    fs::write(disk.path().join("other"), vec![1; 6 * 1024 * 1024]).unwrap();
    doctor(&url, &[]).has("warn", "disk", "make room");
    disk.fill();
    doctor(&url, &[]).has("fail", "disk", "without room nothing is written");
}

#[tokio::test]
async fn a_database_that_another_process_holds_ends_the_look_in_time() {
    let database = left().await;
    let url = format!("sqlite:{}", database.file().display());
    let mut holder = SqliteConnection::connect(&url).await.unwrap();
    holder
        .execute("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; DELETE FROM users")
        .await
        .unwrap();
    let since = Instant::now();
    let found = doctor(&database.url, &[]);
    assert!(since.elapsed().as_secs() < 60, "{found:?}");
    assert!(!found.lines.is_empty());
    holder.execute("ROLLBACK").await.unwrap();
}
