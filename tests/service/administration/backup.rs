//! Backups.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bienvenue::db::TABLES_LEFT_OUT;
use sqlx::{Connection, Row, SqliteConnection};
use tokio::task::yield_now;

use super::*;
use crate::on_each_engine;
use crate::support::EmptyDatabase;
use crate::support::client::Client;

const BACKUP_BEFORE: &str = "the backup before";

/// The tables of a file.
async fn inside_of(file: &Path) -> Inside {
    let (url, folder) = (format!("sqlite:{}", file.display()), None);
    Database { url, folder }.look_inside().await
}

/// That SQLite finds nothing wrong with a file, and these addresses are in it.
async fn assert_is_sound(file: &Path, emails: &[String]) {
    let url = format!("sqlite:{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let check = sqlx::query("PRAGMA integrity_check").fetch_one(&mut connection);
    assert_eq!(check.await.unwrap().get::<String, _>(0), "ok");
    for email in emails {
        let found = sqlx::query("SELECT id FROM users WHERE email = $1").bind(email);
        let found = found.fetch_optional(&mut connection).await.unwrap();
        assert!(
            found.is_some(),
            "{email} was acknowledged and is not in the backup"
        );
    }
    connection.close().await.unwrap();
}

/// What is in a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// How many files in a folder are what a backup to `b.db` has written so far.
fn partial_files(folder: &Path) -> usize {
    let is_partial = |name: &String| name.starts_with(".b.db.") && name.ends_with(".partial");
    names_in(folder).into_iter().filter(is_partial).count()
}

/// Has a backup take the place of the one before in `b.db`, and sends it this signal while it writes. Returns
/// how it ended.
async fn cut_off(database: &Database, file: &Path, signal: &str) -> Output {
    let folder = file.parent().unwrap();
    for _ in 0..100 {
        fs::write(file, BACKUP_BEFORE).unwrap();
        let mut backup = command(database, &["backup", file.to_str().unwrap(), "--force"]);
        let mut backup = backup.stderr(Stdio::piped()).spawn().unwrap();
        while partial_files(folder) == 0 && backup.try_wait().unwrap().is_none() {
            yield_now().await;
        }
        // On a busy machine it may be done by now. If it is not, it waits for the signal.
        let pid = backup.id().to_string();
        let send = |signal| Command::new("kill").args(["-s", signal, &pid]).status();
        send("STOP").unwrap();
        if partial_files(folder) > 0 {
            send(signal).unwrap();
        }
        send("CONT").unwrap();
        let ended = backup.wait_with_output().unwrap();
        if !ended.status.success() {
            return ended;
        }
    }
    panic!("each backup was done before it could be cut off");
}

/// Those of these rows that a backup has of both engines.
fn copied(mut rows: Vec<String>) -> Vec<String> {
    let is_left_out = |row: &String| {
        let table = row.split(':').next().unwrap_or_default();
        TABLES_LEFT_OUT.contains(&table)
    };
    rows.retain(|row| !is_left_out(row));
    rows
}

on_each_engine! {
    async fn a_backup_has_every_row_and_is_for_its_owner_alone(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        // More than one batch of rows, and one that is not full.
        inside.fill(1_200).await;
        inside.execute("INSERT INTO user_groups (user_id, name) VALUES (7, 'admins')").await;
        inside.execute("UPDATE users SET locked_at = 5, email_confirmed_at = 6 WHERE id = 9").await;
        let folder = tempfile::tempdir().unwrap();
        for umask in ["022", "077"] {
            let file = folder.path().join(umask);
            let text = format!("umask {umask}; exec \"$0\" backup \"$1\"");
            let program = command(&database, &[]);
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(text).arg(program.get_program()).arg(&file);
            for (name, value) in program.get_envs() {
                match value {
                    Some(value) => shell.env(name, value),
                    None => shell.env_remove(name),
                };
            }
            let made = Ended::from(shell.output().unwrap()).done();
            assert_eq!(made.stdout, "");
            assert!(made.stderr.contains("backed up 1200 users, 1200 sessions"), "{made:?}");
            let audit = made.audit();
            assert_eq!(audit["event"], "backup_made");
            assert_eq!(audit["rows"], 9 * 1_200 + 1);
            let rights = fs::metadata(&file).unwrap().permissions();
            assert_eq!(rights.mode() & 0o777, 0o600);
            let backup = inside_of(&file).await;
            assert_eq!(copied(backup.all_rows().await), copied(inside.all_rows().await));
            assert_eq!(backup.count("throttles").await, 1_200);
            backup.close().await;
        }
        // Nothing beside it, neither of the writing nor of the reading.
        assert_eq!(names_in(folder.path()), ["022", "077"]);
    }

    async fn a_backup_under_writes_has_all_that_was_acknowledged_before(database: Database) {
        let server = Server::start(&database.url);
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let mut clients = Vec::new();
        for client in 0..4 {
            let (server, acknowledged) = (Client::of_url(&server.url), Arc::clone(&acknowledged));
            clients.push(tokio::spawn(async move {
                for number in 0.. {
                    let email = format!("user{client}.{number}@example.org");
                    server.registered(&email, PASSWORD).await;
                    acknowledged.lock().unwrap().push(email);
                }
            }));
        }
        let folder = tempfile::tempdir().unwrap();
        for number in 0..8 {
            let file = folder.path().join(number.to_string());
            let before = loop {
                let emails = acknowledged.lock().unwrap().clone();
                if emails.len() > number {
                    break emails;
                }
                yield_now().await;
            };
            let made = tokio::task::spawn_blocking({
                let mut backup = command(&database, &["backup", file.to_str().unwrap()]);
                move || Ended::from(backup.output().unwrap())
            });
            made.await.unwrap().done();
            assert_is_sound(&file, &before).await;
        }
        for client in clients {
            assert!(!client.is_finished(), "a request failed");
            client.abort();
        }
    }

    async fn a_backup_that_is_cut_off_leaves_no_file_of_its_name(database: Database) {
        database.open().await.close().await;
        database.look_inside().await.fill(20_000).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.db");
        for (signal, is_orderly) in [("TERM", true), ("KILL", false)] {
            let ended = cut_off(&database, &file, signal).await;
            assert_eq!(ended.status.code(), is_orderly.then_some(1), "{ended:?}");
            assert_eq!(fs::read_to_string(&file).unwrap(), BACKUP_BEFORE);
            assert_eq!(partial_files(folder.path()), usize::from(!is_orderly));
        }
        // What is left behind is in the way of nothing.
        run(&database, &["backup", file.to_str().unwrap(), "--force"]).done();
        assert_is_sound(&file, &["user20000@example.org".to_owned()]).await;
    }

    async fn a_file_is_replaced_only_if_that_is_said(database: Database) {
        database.open().await.close().await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.db");
        fs::write(&file, BACKUP_BEFORE).unwrap();
        let name = file.to_str().unwrap();
        run(&database, &["backup", name]).refused(4, "--force");
        assert_eq!(fs::read_to_string(&file).unwrap(), BACKUP_BEFORE);
        run(&database, &["backup", name, "--force"]).done();
        assert_is_sound(&file, &[]).await;
        // Nor is what is no file.
        let name = folder.path().to_str().unwrap();
        run(&database, &["backup", name, "--force"]).refused(1, "not a file");
        let name = format!("{name}/missing/b.db");
        run(&database, &["backup", &name]).refused(1, "No such file or directory");
        assert_eq!(names_in(folder.path()), ["b.db"]);
    }

    async fn a_backup_goes_through_a_pipe(database: Database) {
        database.open().await.close().await;
        database.look_inside().await.fill(3_000).await;
        let streamed = command(&database, &["backup", "-"]).output().unwrap();
        assert!(streamed.status.success(), "{streamed:?}");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("b.db");
        fs::write(&file, &streamed.stdout).unwrap();
        assert_is_sound(&file, &["user3000@example.org".to_owned()]).await;

        // Half of it is no success.
        let mut backup = command(&database, &["backup", "-"]);
        let backup = backup.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut backup = backup.spawn().unwrap();
        drop(backup.stdout.take());
        Ended::from(backup.wait_with_output().unwrap()).refused(1, "the whole backup");
    }
}

#[tokio::test]
async fn a_backup_never_takes_the_place_of_the_database() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, PASSWORD).await;
    let file = database.file();
    let folder = file.parent().unwrap();
    std::os::unix::fs::symlink(&file, folder.join("link.db")).unwrap();
    let inside = database.look_inside().await;
    for name in [
        "bienvenue.db",
        "bienvenue.db-wal",
        "bienvenue.db-shm",
        "link.db",
    ] {
        let name = folder.join(name);
        let backup = ["backup", name.to_str().unwrap(), "--force"];
        assert_refused(&database, &inside, &backup, (1, "the database itself")).await;
    }
    assert!(server.can_log_in(EMAIL, PASSWORD).await);
}

#[test]
fn a_backup_of_no_database_creates_none() {
    let database = EmptyDatabase::sqlite();
    let folder = database.file().parent().unwrap().to_path_buf();
    let name = folder.join("b.db");
    run(&database, &["backup", name.to_str().unwrap()]).refused(1, "there is no database");
    assert_eq!(names_in(&folder), Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_database_is_not_backed_up() {
    let database = Database::sqlite();
    database.open().await.close().await;
    let inside = database.look_inside().await;
    inside.fill(1_000).await;
    inside.close().await;
    let mut bytes = fs::read(database.file()).unwrap();
    let half = bytes.len() / 2;
    bytes[half..half + 65_536].fill(0x5a);
    fs::write(database.file(), bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("b.db");
    run(&database, &["backup", name.to_str().unwrap()]).refused(1, "damaged");
    assert_eq!(names_in(folder.path()), Vec::<String>::new());
}
