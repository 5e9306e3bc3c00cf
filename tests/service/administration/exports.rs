//! Writing out all users.

use serde_json::json;

use super::*;
use crate::on_each_engine;

on_each_engine! {
    async fn an_export_with_hashes_is_imported_again_as_it_was(database: Database) {
        let server = Server::start(&database.url);
        for email in [EMAIL, "alice@example.org"] {
            server.registered(email, PASSWORD).await;
        }
        run(&database, &["users", "add", "eve@example.org"]).done();
        run(&database, &["users", "lock", "alice@example.org"]).done();
        run(&database, &["users", "confirm", EMAIL]).done();
        for group in ["staff", "admins"] {
            run(&database, &["groups", "add", EMAIL, group]).done();
        }
        let exported = run(&database, &["users", "export", "--with-hashes"]).done();
        let audit = exported.audit();
        assert_eq!((&audit["event"], &audit["command"]), (&"users_exported".into(), &"users export".into()));
        assert!(exported.stderr.contains("the output has password hashes"), "{exported:?}");
        let users = exported.json();
        assert_eq!(users.len(), 3);
        assert_eq!(users[0]["groups"], json!(["admins", "staff"]));
        assert_eq!(users[2]["password_hash"], Value::Null);

        let other = match database.engine() {
            "SQLite" => Database::sqlite(),
            _ => Database::postgres().await.unwrap(),
        };
        let other_server = Server::start(&other.url);
        let imported = run_with(&other, &["users", "import", "-"], &exported.stdout).done();
        assert!(imported.stderr.contains("3 imported, 0 exist already, 0 not usable"), "{imported:?}");
        let again = run(&other, &["users", "export", "--with-hashes"]).done();
        assert_eq!(again.stdout, exported.stdout);
        assert!(other_server.can_log_in(EMAIL, PASSWORD).await);
        assert_eq!(other_server.log_in("alice@example.org", PASSWORD).send().await.status, 403);
    }

    async fn an_export_without_hashes_shows_none_and_leaves_no_line(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let exported = run(&database, &["users", "export"]).done();
        assert_eq!(exported.stderr, "");
        let user = &exported.json()[0];
        assert_eq!(user["email"], EMAIL);
        assert!(user.get("password_hash").is_none() && !exported.stdout.contains("$2b$"), "{user}");
        let imported = run_with(&database, &["users", "import", "-"], &exported.stdout);
        imported.refused(1, "line 1: has no password_hash");
    }

    async fn an_export_goes_through_all_pages(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        inside.fill(2_500).await;
        run(&database, &["groups", "add", "2400", "admins"]).done();
        let users = run(&database, &["users", "export"]).done().json();
        let emails = users.iter().map(|user| user["email"].as_str().unwrap().to_owned());
        assert!(emails.eq((1..=2_500).map(|number| format!("user{number}@example.org"))));
        assert_eq!(users[2_399]["groups"], json!(["admins"]));
    }
}
