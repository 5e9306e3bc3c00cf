//! Replacing the hashes of users who are there.

use super::*;
use crate::on_each_engine;

on_each_engine! {
    async fn an_update_replaces_a_hash_and_ends_what_the_old_one_allowed(database: Database) {
        let server = Server::start(&database.url);
        for email in [EMAIL, ALICE] {
            server.registered(email, PASSWORD).await;
        }
        let inside = database.look_inside().await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let other_session = server.logged_in(ALICE, PASSWORD).await;
        for session in [&session, &other_session] {
            assert!(server.is_logged_in(session).await);
        }
        let token = server.reset_token(EMAIL).await;
        let kept = inside.hash_of(ALICE).await;
        let csv = format!(
            "email,password_hash\nBOB@example.org,{}\n{ALICE},{kept}\n{EMAIL},{}\neve@example.org,{kept}\n",
            bcrypt_hash("b4l0u"),
            bcrypt_hash("repeated"),
        );
        let before = inside.all_rows().await;
        let summary = |would: &str| {
            format!("1 {would}imported, 1 {would}given another hash, 1 exist already, 1 not usable")
        };
        assert_summary(&import(&database, &["--update", "--dry-run"], &csv), &summary("would be "));
        assert_eq!(inside.all_rows().await, before);

        let updated = import(&database, &["--update"], &csv);
        assert_eq!(updated.code, 1, "{updated:?}");
        assert_summary(&updated, &summary(""));
        assert_eq!(updated.audit()["replaced"], 1);
        assert!(!server.is_logged_in(&session).await);
        assert!(server.is_logged_in(&other_session).await);
        assert!(!server.can_log_in(EMAIL, PASSWORD).await);
        assert!(server.can_log_in(EMAIL, "b4l0u").await);
        assert_eq!(server.reset(EMAIL, &token, "new").send().await.status, 403);
        assert!(server.can_log_in(ALICE, PASSWORD).await);
    }

    async fn an_update_leaves_a_locked_user_locked(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        run(&database, &["users", "lock", EMAIL]).done();
        let csv = format!("email,password_hash\n{EMAIL},{}\n", bcrypt_hash("b4l0u"));
        import(&database, &["--update"], &csv).done();
        assert_eq!(server.log_in(EMAIL, "b4l0u").send().await.status, 403);
        run(&database, &["users", "unlock", EMAIL]).done();
        assert!(server.can_log_in(EMAIL, "b4l0u").await);
    }

    async fn an_update_without_a_password_takes_none_away(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let line = format!("{{\"email\":\"{EMAIL}\",\"password_hash\":null}}");
        let updated = import(&database, &["--update"], &line).done();
        assert_summary(&updated, "0 imported, 0 given another hash, 1 exist already, 0 not usable");
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
    }
}
