//! `DELETE /users`.

use serde_json::json;

use super::{EMAIL, OTHER, PASSWORD};
use crate::on_each_engine;
use crate::support::TestApp;

/// The tables that have rows of a user.
const TABLES: [&str; 6] = [
    "users",
    "sessions",
    "reset_tokens",
    "familiar_sources",
    "user_groups",
    "outbox",
];

on_each_engine! {
    async fn all_that_is_a_users_is_gone_at_once(database: Database) {
        let app = TestApp::with_limits(database, bienvenue::auth::rate_limit::RateLimits::public(), &[]).await;
        app.registered(OTHER, PASSWORD).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        app.reset_token(OTHER).await;
        let add_rows = |email: &str| {
            let user = format!("(SELECT id FROM users WHERE email = '{email}')");
            [
                format!("INSERT INTO user_groups (user_id, name) VALUES ({user}, 'admins')"),
                format!(
                    "INSERT INTO outbox (kind, email, asked_at, due_at, quiet_until, attempts)
                     VALUES ('reset_link', '{email}', 1, NULL, 1, 0)"
                ),
            ]
        };
        for statement in add_rows(OTHER) {
            app.inside.execute(&statement).await;
        }
        let before = app.inside.all_rows().await;

        app.registered(EMAIL, PASSWORD).await;
        let another = app.another().await;
        let elsewhere = app.logged_in(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let token = app.reset_token(EMAIL).await;
        for statement in add_rows(EMAIL) {
            app.inside.execute(&statement).await;
        }
        for table in TABLES {
            assert!(app.inside.count(table).await >= 2, "{table}");
        }
        for client in [&*app, &another] {
            assert!(client.is_logged_in(&session).await && client.is_logged_in(&elsewhere).await);
        }
        let reply = app.delete_user(&session).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "user deleted" }));
        let cleared = "session_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0";
        assert_eq!(reply.header("set-cookie"), Some(cleared));
        assert_eq!(app.inside.all_rows().await, before, "nothing is left, and nobody else's has gone");

        // Whoever signs up with the address begins anew.
        app.registered(EMAIL, "another").await;
        for client in [&another, &*app] {
            for session in [&session, &elsewhere] {
                client.profile(session).send().await.assert_refusal(403, "not logged in");
                client.log_out(session).send().await.assert_refusal(403, "not logged in");
            }
            assert!(client.is_logged_in(&of_other).await);
        }
        app.assert_refused(app.reset(EMAIL, &token, "new"), 403, "invalid reset token").await;
        assert!(!app.can_log_in(EMAIL, PASSWORD).await);
        let session = app.logged_in(EMAIL, "another").await;
        let account = app.get("/users/me").session(&session).send().await.json();
        assert_eq!(account["id"], 3, "no number is used twice");
    }

    async fn a_person_reads_a_warning_and_is_told_that_it_was_done(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let page = app.get("/users/me").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("dd"), EMAIL);
        assert!(page.text(".problem").contains("cannot be undone"));
        assert_eq!(page.attribute("form", "action").unwrap(), "/users");
        let form = [("_method", "DELETE")];
        let reply = app.post("/users", &form).session(&session).by_browser().send().await;
        reply.assert_leads_to("/sessions?account=deleted");
        assert!(reply.header("set-cookie").unwrap().ends_with("Max-Age=0"));
        assert_eq!(app.inside.count("users").await, 0);
        let page = app.get("/sessions?account=deleted").by_browser().send().await.assert_page(200);
        assert_eq!(page.text("[role=status]"), "Your account has been deleted.");
    }

    async fn looking_at_the_page_deletes_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let before = app.inside.all_rows().await;
        for path in ["/users/me", "/users?_method=DELETE", "/sessions/others?_method=DELETE"] {
            for method in ["GET", "HEAD"] {
                let call = app.request(method, path).session(&session);
                call.clone().send().await;
                call.by_browser().send().await;
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
    }
}
