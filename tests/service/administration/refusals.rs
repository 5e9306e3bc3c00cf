//! Databases that commands do not work on, and leave as they are.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;

use super::*;
use crate::on_each_engine;
use crate::support::{EmptyDatabase, is_root};

/// One command of each kind that there is.
const COMMANDS: [&[&str]; 13] = [
    &["users", "list"],
    &["users", "show", "1"],
    &["users", "add", EMAIL],
    &["users", "reset-link", "1"],
    &["users", "set-password", "1"],
    &["users", "lock", "1"],
    &["users", "unlock", "1"],
    &["users", "delete", "1", "--yes"],
    &["users", "confirm", "1"],
    &["groups", "list"],
    &["groups", "add", "1", "staff"],
    &["sessions", "list", "1"],
    &["sessions", "revoke", "--all", "--yes"],
];

/// The names and the bytes of all files in a folder.
fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        (name, fs::read(entry.path()).unwrap())
    });
    let mut files: Vec<_> = files.collect();
    files.sort();
    files
}

/// That every command is refused with this code and these words, and leaves the files as they are.
#[track_caller]
fn assert_all_refused(database: &Database, code: i32, words: &str) {
    let folder = database.folder.as_ref().map(tempfile::TempDir::path);
    let before = folder.map(files_in);
    for arguments in COMMANDS {
        let refused = run(database, arguments);
        refused.refused(code, words);
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    }
    assert_eq!(folder.map(files_in), before);
}

#[test]
fn a_database_that_is_not_there_is_not_made() {
    let database = EmptyDatabase::sqlite();
    assert_all_refused(&database, 1, "start bienvenue once to create it");
    let folder = database.folder.as_ref().unwrap().path();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    fs::write(database.file(), "").unwrap();
    assert_all_refused(&database, 1, "there are no tables in");
    fs::write(database.file(), "Buy milk. ".repeat(1000)).unwrap();
    assert_all_refused(&database, 1, "not an SQLite database");
}

#[test]
fn a_relative_name_is_shown_with_the_folder_that_it_is_looked_for_in() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().canonicalize().unwrap().join("bienvenue.db");
    for (content, start) in [
        (None, "there is no database"),
        (Some(""), "there are no tables in"),
    ] {
        if let Some(content) = content {
            fs::write(&whole, content).unwrap();
        }
        let mut command = Server::command();
        command.args(["users", "list"]).current_dir(folder.path());
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let words = format!("{start} sqlite:{}: ", whole.display());
        assert!(said.contains(&words), "{said}");
    }
}

#[test]
fn the_file_of_another_user_is_not_opened() {
    if !is_root() {
        return;
    }
    let database = EmptyDatabase::sqlite();
    Server::start(&database.url).stop();
    chown(database.file(), Some(65534), None).unwrap();
    assert_all_refused(&database, 1, "sudo -u nobody bienvenue");
    chown(database.file(), Some(54321), None).unwrap();
    assert_all_refused(&database, 1, "sudo -u '#54321' bienvenue");
    let folder = database.folder.as_ref().unwrap().path();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_not_made_on_a_server_either() {
    let Some(database) = EmptyDatabase::postgres().await else {
        return;
    };
    assert_all_refused(&database, 1, "there are no tables in");
    let inside = database.look_inside().await;
    inside.execute("CREATE TABLE notes (x INT)").await;
    assert_all_refused(&database, 1, "belongs to another program");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(inside.number(tables).await, 1);
}

#[test]
fn a_server_that_is_away_is_told_by_7() {
    let database = Database {
        url: "postgres:///b?host=/no/such/folder&user=bienvenue".to_owned(),
        folder: None,
    };
    assert_all_refused(&database, 7, "cannot connect to");
}

#[test]
fn a_bad_command_line_is_told_by_2() {
    let database = EmptyDatabase::sqlite();
    for (arguments, words) in [
        (&["users"][..], "Usage"),
        (&["users", "lock"], "USER"),
        (&["users", "lock", "bob"], "the email address of a user"),
        (&["users", "add", "bob"], "is not an email address"),
        (&["users", "add", EMAIL, PASSWORD], "unexpected argument"),
        (
            &["users", "reset-link", EMAIL, "--mail", "--json"],
            "--json",
        ),
        (&["users", "lokc", EMAIL], "'lock'"),
    ] {
        run(&database, arguments).refused(2, words);
    }
    let folder = database.folder.as_ref().unwrap().path();
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
}

#[test]
fn a_bad_setting_of_the_service_is_no_affair_of_a_command_that_has_it_not() {
    let database = EmptyDatabase::sqlite();
    Server::start(&database.url).stop();
    let mut list = command(&database, &["users", "list", "--json"]);
    let list = list
        .env("BIENVENUE_LISTEN", "nowhere")
        .env("BIENVENUE_LOGO", "no-such-file");
    let listed: Ended = list.output().unwrap().into();
    assert_eq!((&*listed.done().stderr), "");
}

on_each_engine! {
    async fn a_schema_of_another_version_is_told_by_6_and_left_as_it_is(database: EmptyDatabase) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        let versions = "SELECT max(version) FROM _sqlx_migrations";
        let last = inside.number(versions).await;
        inside.execute(&format!("UPDATE _sqlx_migrations SET version = 9999 WHERE version = {last}")).await;
        inside.close().await;
        assert_all_refused(&database, 6, "use the newer version");

        let inside = database.look_inside().await;
        inside.execute("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
        inside.close().await;
        assert_all_refused(&database, 6, "run bienvenue migrate");
        let inside = database.look_inside().await;
        assert_eq!(inside.number(versions).await, last - 1);
    }

    async fn a_user_who_is_not_there_is_told_by_3(database: EmptyDatabase) {
        database.open().await.close().await;
        for arguments in [
            &["users", "show"][..],
            &["users", "reset-link"],
            &["users", "lock"],
            &["users", "unlock"],
            &["users", "confirm"],
            &["users", "delete"],
            &["sessions", "list"],
        ] {
            for (user, words) in [("7", "no user number 7"), (EMAIL, "no user bob@example.org")] {
                run(&database, &[arguments, &[user]].concat()).refused(3, words);
            }
        }
    }

    async fn commands_and_a_busy_service_do_not_disturb_each_other(database: EmptyDatabase) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let busy = async {
            for round in 0..60 {
                let email = format!("user{round}@example.org");
                server.registered(&email, PASSWORD).await;
                server.logged_in(&email, PASSWORD).await;
            }
        };
        let url = database.url.clone();
        let commands = tokio::task::spawn_blocking(move || {
            let database = Database { url, folder: None };
            for _ in 0..5 {
                for arguments in [
                    &["users", "lock", EMAIL][..],
                    &["groups", "add", EMAIL, "staff"],
                    &["users", "list"],
                    &["sessions", "revoke", EMAIL],
                    &["groups", "remove", EMAIL, "staff"],
                    &["users", "unlock", EMAIL],
                ] {
                    run(&database, arguments).done();
                }
            }
        });
        let ((), commands) = tokio::join!(busy, commands);
        commands.unwrap();
    }
}
