//! Databases that the program refuses, and leaves as they are.

use super::*;

/// That the program refuses to start with this exit status and one line with these words.
#[track_caller]
fn assert_refuses(folder: &Path, database_url: &str, code: i32, words: &str) {
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", database_url];
    let output = run_in(folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("bienvenue: "), "{said}");
    assert!(said.contains(words), "{said}");
}

fn fingerprint(file: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(file).unwrap()).to_vec()
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_to_is_told_as_that() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use crate::support::postgres::is_root;

    let folder = tempdir().unwrap();
    let file = folder.path().join("b.db");
    let url = format!("sqlite:{}", file.display());
    Server::start(&url).stop();
    let before = fingerprint(&file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = Server::command();
    if is_root() {
        // Root may write everywhere, by a capability.
        let mut without = Command::new("setpriv");
        without
            .arg("--bounding-set=-all")
            .arg(command.get_program());
        for (name, _) in command.get_envs() {
            without.env_remove(name);
        }
        command = without;
    }
    command.args(["--listen", "127.0.0.1:0", "--database-url", &url]);
    let output = command.output().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let told = said.contains("cannot write to") && said.contains("read-only");
    assert!(told && !said.contains("damaged"), "{said}");
    assert_eq!(fingerprint(&file), before);
}

#[test]
fn a_database_that_cannot_be_written_is_refused() {
    let folder = tempdir().unwrap();
    let url = "sqlite:no/such/folder/b.db";
    assert_refuses(folder.path(), url, 1, url);
    fs::create_dir(folder.path().join("folder.db")).unwrap();
    assert_refuses(folder.path(), "sqlite:folder.db", 1, "folder.db");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "Buy milk. ".repeat(1000)).unwrap();
    let before = fingerprint(&file);
    assert_refuses(
        folder.path(),
        "sqlite:notes.txt",
        1,
        "not an SQLite database",
    );
    assert_eq!(fingerprint(&file), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_not_touched() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("a.db");
    let url = format!("sqlite:{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection
        .execute("CREATE TABLE users (id, email, hashed_password)")
        .await
        .unwrap();
    connection.close().await.unwrap();
    let before = fingerprint(&file);
    assert_refuses(
        folder.path(),
        "sqlite:a.db",
        1,
        "belongs to another program",
    );
    assert_eq!(fingerprint(&file), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

on_each_engine! {
    async fn a_schema_from_the_future_is_refused_and_not_touched(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        inside.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations
             WHERE version = 1",
        )
        .await;
        inside.close().await;
        let file = database.folder.as_ref().map(|folder| folder.path().join("bienvenue.db"));
        let before = file.as_deref().map(fingerprint);

        let folder = tempdir().unwrap();
        assert_refuses(folder.path(), &database.url, 6, "has migration 9999");
        assert_eq!(file.as_deref().map(fingerprint), before);
    }
}
