//! CSV, JSON Lines and Auth0's schema.

use serde_json::json;

use super::*;
use crate::on_each_engine;

fn shown(database: &Database, email: &str) -> Value {
    let shown = run(database, &["users", "show", email, "--json"]).done();
    shown.json()[0].clone()
}

on_each_engine! {
    async fn users_of_a_csv_file_log_in(database: Database) {
        let server = Server::start(&database.url);
        let (bob, alice) = (bcrypt_hash("bob's"), bcrypt_hash("alice's"));
        let csv = format!(
            "\u{FEFF}name, Email ,password_hash,created_at\r\n\
             \"Bob,\r\n\"\"the\"\" builder\",Bob@Example.org,{bob},2027-01-15T08:00:00Z\r\n\
             \r\n\
             Alice,\"alice@example.org\",{alice},"
        );
        let imported = import(&database, &[], &csv).done();
        assert_summary(&imported, "2 imported, 0 exist already, 0 not usable");
        assert!(server.can_log_in(EMAIL, "bob's").await);
        assert!(server.can_log_in(ALICE, "alice's").await);
        assert_eq!(shown(&database, EMAIL)["created_at"], "2027-01-15T08:00:00Z");
        assert_ne!(shown(&database, ALICE)["created_at"], "1970-01-01T00:00:00Z");
    }

    async fn users_of_json_lines_come_with_locks_confirmations_and_groups(database: Database) {
        let server = Server::start(&database.url);
        let lines = [
            json!({"email": EMAIL, "password_hash": bcrypt_hash("b4l0u"), "created_at": 1_800_000_000,
                "email_confirmed_at": "2027-01-15T10:30:00.5+02:30", "groups": ["staff", "admins"]}),
            json!({"email": ALICE, "password_hash": bcrypt_hash("b4l0u"), "locked_at": 1_800_000_000,
                "roles": {"what": ["else"]}, "groups": null}),
            json!({"email": "eve@example.org", "password_hash": null}),
        ];
        let lines = lines.map(|line| line.to_string()).join("\n\n");
        let imported = import(&database, &[], &lines).done();
        assert_summary(&imported, "3 imported, 0 exist already, 0 not usable");
        let bob = shown(&database, EMAIL);
        for key in ["created_at", "email_confirmed_at"] {
            assert_eq!(bob[key], "2027-01-15T08:00:00Z", "{key}");
        }
        assert_eq!(bob["groups"], json!(["admins", "staff"]));
        assert!(server.can_log_in(EMAIL, "b4l0u").await);
        assert_eq!(server.log_in(ALICE, "b4l0u").send().await.status, 403);
        // Has no password, and chooses one.
        assert!(!server.can_log_in("eve@example.org", "*").await);
        let token = server.reset_token("eve@example.org").await;
        assert_eq!(server.reset("eve@example.org", &token, "b4l0u").send().await.status, 200);
        assert!(server.can_log_in("eve@example.org", "b4l0u").await);
    }

    async fn who_was_there_gains_nothing_by_an_import(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let before = shown(&database, EMAIL);
        let line = json!({"email": EMAIL, "password_hash": bcrypt_hash("b4l0u"), "groups": ["admins"],
            "created_at": 7, "email_confirmed_at": 7, "locked_at": 7});
        let imported = import(&database, &["--format", "jsonl"], line.to_string()).done();
        assert_summary(&imported, "0 imported, 1 exist already, 0 not usable");
        let report = "line 1: bob@example.org exists with another password hash, which stays\n";
        assert!(imported.stderr.contains(report), "{imported:?}");
        assert_eq!(shown(&database, EMAIL), before);
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn users_of_auth0_stay_blocked_and_verified(database: Database) {
        let server = Server::start(&database.url);
        let hash = bcrypt_hash("b4l0u");
        let array = json!([
            {"email": EMAIL, "email_verified": true, "password_hash": hash, "app_metadata": {"a": [{}]}},
            {"email": ALICE, "email_verified": false, "password_hash": hash, "blocked": true},
            {"email": "carol@example.org", "password_hash": null},
            {"email": "eve@example.org", "name": "}],\\\"{", "custom_password_hash": {"algorithm": "md5"}},
        ]);
        for text in [array.to_string(), serde_json::to_string_pretty(&array).unwrap()] {
            let imported = import(&database, &[], &text);
            assert_eq!(imported.code, 1, "{imported:?}");
            assert!(imported.stderr.contains(": has no password_hash\n"), "{imported:?}");
        }
        shown(&database, "carol@example.org");
        assert!(shown(&database, EMAIL)["email_confirmed_at"].is_string());
        assert!(shown(&database, ALICE)["email_confirmed_at"].is_null());
        assert!(server.can_log_in(EMAIL, "b4l0u").await);
        assert_eq!(server.log_in(ALICE, "b4l0u").send().await.status, 403);
        for empty in ["[]", " [ ] \n"] {
            assert_summary(&import(&database, &[], empty).done(), "0 imported, 0 exist already, 0 not usable");
        }
    }
}
