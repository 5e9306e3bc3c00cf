//! Sessions.

use super::*;
use crate::on_each_engine;

on_each_engine! {
    async fn the_sessions_of_a_user_end_at_the_next_request(database: Database) {
        let server = Server::start(&database.url);
        let alice = "alice@example.org";
        let mut sessions = Vec::new();
        for email in [EMAIL, EMAIL, alice] {
            if email == alice || sessions.is_empty() {
                server.registered(email, PASSWORD).await;
            }
            sessions.push(server.logged_in(email, PASSWORD).await);
            assert!(server.is_logged_in(sessions.last().unwrap()).await);
        }
        let listed = run(&database, &["sessions", "list", EMAIL, "--json"]).done().json();
        assert_eq!(listed.len(), 2);
        for session in &listed {
            for key in ["created_at", "last_seen_at"] {
                assert!(session[key].as_str().unwrap().ends_with('Z'), "{session}");
            }
            assert_eq!((&session["client"], &session["source"]), (&Value::Null, &"127.0.0.1".into()));
        }
        let revoked = run(&database, &["sessions", "revoke", EMAIL]).done();
        let audit = revoked.audit();
        assert_eq!(audit["event"], "sessions_revoked");
        assert_eq!((&audit["user"], &audit["sessions"]), (&1.into(), &2.into()));
        assert!(revoked.stderr.contains("ended 2 sessions"), "{revoked:?}");
        let mut are_in = Vec::new();
        for session in &sessions {
            are_in.push(server.is_logged_in(session).await);
        }
        assert_eq!(are_in, [false, false, true]);
        let listed = run(&database, &["sessions", "list", EMAIL]).done();
        assert_eq!(listed.stdout, "CREATED_AT  LAST_SEEN_AT  CLIENT  SOURCE\n");
        // Who was logged out can log in again.
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn the_sessions_of_all_end_if_that_is_confirmed(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let inside = database.look_inside().await;
        inside.execute(
            "INSERT INTO users (id, email, hashed_password, password_version, created_at)
             VALUES (7, 'alice@example.org', 'x', 1, 0)"
        ).await;
        // More than one batch, and one of a clock that was ahead.
        let digest = if database.folder.is_some() { "randomblob(32)" } else { "sha256(n::text::bytea)" };
        inside.execute(&format!(
            "INSERT INTO sessions (digest, user_id, password_version, created_at, last_seen_at)
             WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 1200)
             SELECT {digest}, 7, 1, n, CASE WHEN n = 1 THEN 9000000000 ELSE n END FROM numbers"
        )).await;
        let all = ["sessions", "revoke", "--all"];
        assert_refused(&database, &inside, &all, (5, "--yes")).await;
        assert!(server.is_logged_in(&session).await);

        let revoked = run(&database, &[&all[..], &["--yes"]].concat()).done();
        let audit = revoked.audit();
        assert_eq!((&audit["event"], &audit["sessions"]), (&"sessions_revoked".into(), &1201.into()));
        assert!(audit.get("user").is_none(), "{audit}");
        assert!(!server.is_logged_in(&session).await);
        assert_eq!(inside.count("sessions").await, 0);
    }

    async fn whose_sessions_must_be_said(database: Database) {
        Server::start(&database.url).stop();
        run(&database, &["sessions", "revoke"]).refused(2, "--all");
        run(&database, &["sessions", "revoke", EMAIL, "--all"]).refused(2, "--all");
        run(&database, &["sessions", "revoke", EMAIL]).refused(3, "there is no user bob@example.org");
        run(&database, &["sessions", "list", "7"]).refused(3, "there is no user number 7");
    }
}
