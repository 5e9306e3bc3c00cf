//! The SQLite file of the classic Flask service, as `SQLAlchemy` and others create it.

use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::on_each_engine;

/// As the services of this kind declare it, without a word about unique addresses.
const SQLALCHEMY: &str = "
    CREATE TABLE users (
        id INTEGER NOT NULL,
        email VARCHAR(250) NOT NULL,
        hashed_password VARCHAR(250) NOT NULL,
        session_id VARCHAR(250),
        reset_token VARCHAR(250),
        PRIMARY KEY (id)
    )";

const WITH_MORE_COLUMNS: &str = "
    CREATE TABLE users (
        first_name TEXT, hashed_password, is_admin BOOLEAN DEFAULT 0, email TEXT, session_id TEXT,
        id INTEGER PRIMARY KEY, created TIMESTAMP
    )";

/// `b4l0u` by Werkzeug, with little memory.
const SCRYPT: &str = "scrypt:64:8:2$ndXeJvpgaErVX5ZE$16b5b13c6377d95c071dad4d6d2609d0e643c8533b6d061982\
                      ff242ad482b3983ca3956bd397ce683cc12f6326c2fafb7d4660932416f18034ac2aadb860b17c";

/// A file with this schema.
struct FlaskFile {
    folder: TempDir,
    connection: SqliteConnection,
}

impl FlaskFile {
    async fn new(schema: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("a.db"))
            .create_if_missing(true);
        let mut file = Self {
            folder,
            connection: options.connect().await.unwrap(),
        };
        file.execute(schema).await;
        file
    }

    async fn execute(&mut self, statement: &str) {
        let statement = sqlx::query(AssertSqlSafe(statement.to_owned()));
        statement.execute(&mut self.connection).await.unwrap();
    }

    async fn add(&mut self, email: &str, hash: &str, cast: &str) {
        let insert =
            format!("INSERT INTO users (email, hashed_password) VALUES ($1, CAST($2 AS {cast}))");
        let insert = sqlx::query(AssertSqlSafe(insert)).bind(email).bind(hash);
        insert.execute(&mut self.connection).await.unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("a.db")
    }
}

fn import_file(database: &Database, file: &Path, options: &[&str]) -> Ended {
    let file = file.to_str().unwrap();
    run(database, &[&["users", "import", file], options].concat())
}

on_each_engine! {
    async fn users_of_a_flask_service_log_in_as_before(database: Database) {
        let server = Server::start(&database.url);
        for (number, (schema, hash, cast)) in [
            (SQLALCHEMY, bcrypt_hash("b4l0u"), "BLOB"),
            (SQLALCHEMY, bcrypt_hash("b4l0u"), "TEXT"),
            (WITH_MORE_COLUMNS, bcrypt_hash("b4l0u"), "BLOB"),
            (WITH_MORE_COLUMNS, SCRYPT.to_owned(), "TEXT"),
        ]
        .into_iter()
        .enumerate()
        {
            let mut file = FlaskFile::new(schema).await;
            let emails = ["bob", "Alice"].map(|name| format!("{name}{number}@Example.org"));
            for email in &emails {
                file.add(email, &hash, cast).await;
            }
            let before = std::fs::read(file.path()).unwrap();
            let imported = import_file(&database, &file.path(), &[]).done();
            assert_summary(&imported, "2 imported, 0 exist already, 0 not usable");
            assert_eq!(imported.stderr.contains("2 of the hashes are not of bcrypt"), hash == SCRYPT);
            let audit = imported.audit();
            assert_eq!(audit["event"], "users_imported");
            assert_eq!((&audit["imported"], &audit["existing"]), (&2.into(), &0.into()));
            assert!(!audit.to_string().contains("xample.org"), "{audit}");
            for email in &emails {
                assert!(server.can_log_in(&email.to_lowercase(), "b4l0u").await, "{email}");
                assert!(!server.can_log_in(email, "another").await);
            }
            let again = import_file(&database, &file.path(), &["--format", "flask"]).done();
            assert_summary(&again, "0 imported, 2 exist already, 0 not usable");
            assert_eq!(std::fs::read(file.path()).unwrap(), before);
        }
    }

    async fn of_two_flask_accounts_with_one_address_the_older_comes_along(database: Database) {
        let server = Server::start(&database.url);
        let mut file = FlaskFile::new(SQLALCHEMY).await;
        file.add(EMAIL, &bcrypt_hash("older"), "BLOB").await;
        file.add(ALICE, &bcrypt_hash("alice"), "BLOB").await;
        file.add(" BOB@example.org", &bcrypt_hash("younger"), "BLOB").await;
        let imported = import_file(&database, &file.path(), &[]);
        assert_eq!(imported.code, 1, "{imported:?}");
        assert_summary(&imported, "2 imported, 0 exist already, 1 not usable");
        let reason = "row 3: bob@example.org: the address stands before, and the first one counts\n";
        assert!(imported.stderr.contains(reason), "{imported:?}");
        assert!(server.can_log_in(EMAIL, "older").await);
        assert!(!server.can_log_in(EMAIL, "younger").await);
    }

    async fn a_flask_row_that_is_no_user_is_reported_by_its_number(database: Database) {
        prepare(&database);
        let mut file = FlaskFile::new(WITH_MORE_COLUMNS).await;
        let hash = bcrypt_hash("b4l0u");
        for (email, hash) in [
            ("'none@example.org'", "NULL".to_owned()),
            ("NULL", format!("'{hash}'")),
            ("'two@at@example.org'", format!("'{hash}'")),
            ("'long@example.org'", "zeroblob(100000000)".to_owned()),
            ("'bytes@example.org'", "x'ff00ff'".to_owned()),
            ("'number@example.org'", "7".to_owned()),
            ("'good@example.org'", format!("'{hash}'")),
        ] {
            let insert = format!("INSERT INTO users (email, hashed_password) VALUES ({email}, {hash})");
            file.execute(&insert).await;
        }
        let imported = import_file(&database, &file.path(), &[]);
        assert_eq!(imported.code, 1, "{imported:?}");
        assert_summary(&imported, "1 imported, 0 exist already, 6 not usable");
        for reason in [
            "row 1: has no hashed_password\n",
            "row 2: has no email\n",
            "row 3: email is not an email address\n",
            "row 4: an address or a hash is longer than any that is usable\n",
            "row 5: is not UTF-8\n",
            "row 6: number@example.org: the password hash is of no known form",
        ] {
            assert!(imported.stderr.contains(reason), "{reason}: {imported:?}");
        }
    }

    async fn what_is_no_flask_database_is_not_imported(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let inside = database.look_inside().await;
        let other = FlaskFile::new("CREATE TABLE users (id INTEGER, name TEXT, email TEXT)").await;
        let damaged = other.folder.path().join("damaged.db");
        std::fs::write(&damaged, [b"SQLite format 3\0", [0xff; 5000].as_slice()].concat()).unwrap();
        let missing = other.folder.path().join("missing.db");
        let ours = Database::sqlite();
        prepare(&ours);
        for (file, words) in [
            (other.path(), "there is no table `users` with the columns `email` and `hashed_password`"),
            (damaged, "SQLite cannot read it"),
            (missing.clone(), "cannot read"),
            (ours.file(), "it is a database of bienvenue: write its users by `users export`"),
            (other.folder.path().to_owned(), "cannot read"),
        ] {
            let path = file.to_str().unwrap();
            assert_refused(&database, &inside, &["users", "import", path], (1, words)).await;
        }
        assert!(!missing.exists());
        let piped = std::fs::read(other.path()).unwrap();
        import(&database, &[], piped).refused(2, "give the Flask service's database by its name");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flask_service_that_runs_can_write_during_an_import() {
    let database = Database::sqlite();
    prepare(&database);
    let mut file = FlaskFile::new(SQLALCHEMY).await;
    let mut transaction = file.connection.begin().await.unwrap();
    for number in 0..3_000 {
        sqlx::query("INSERT INTO users (email, hashed_password) VALUES ($1, $2)")
            .bind(format!("user{number}@example.org"))
            .bind("$2b$04$eImiTXuWVxfM37uY4JANjOL7wZ5rfmmW0cEeqhbJyvb9LrGcYWVmC")
            .execute(&mut *transaction)
            .await
            .unwrap();
    }
    transaction.commit().await.unwrap();
    let importing = std::thread::spawn({
        let (url, path) = (database.url.clone(), file.path());
        move || {
            let database = Database { url, folder: None };
            import_file(&database, &path, &[])
        }
    });
    while !importing.is_finished() {
        file.execute("UPDATE users SET session_id = 'x' WHERE id = 1")
            .await;
    }
    let imported = importing.join().unwrap().done();
    assert_summary(&imported, "3000 imported, 0 exist already, 0 not usable");
}
