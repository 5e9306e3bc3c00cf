//! `PUT /profile/password`.

use bienvenue::auth::rate_limit::RateLimits;
use bienvenue::password::PasswordRule;
use serde_json::json;

use super::{EMAIL, OTHER, PASSWORD};
use crate::on_each_engine;
use crate::support::{LIFETIMES, NO_LIMITS, TestApp};

const NEW: &str = "t4rt1fl3tt3";

on_each_engine! {
    async fn the_old_password_changes_it_and_ends_every_other_session(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let another = app.another().await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            assert!(app.is_logged_in(&session).await && another.is_logged_in(&session).await);
            sessions.push(session);
        }
        let token = app.reset_token(EMAIL).await;
        let rounds = app.passwords.rounds_spent();
        let reply = app.change_password(&sessions[1], PASSWORD, NEW).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "Password updated" }));
        assert_eq!(app.passwords.rounds_spent() - rounds, 32, "one to check, one to hash");
        let session = reply.session_id().unwrap();
        assert!(!sessions.contains(&session));

        for client in [&another, &*app] {
            assert!(client.is_logged_in(&session).await && client.is_logged_in(&of_other).await);
            for ended in &sessions {
                client.profile(ended).send().await.assert_refusal(403, "not logged in");
            }
        }
        assert_eq!(app.sessions(&session).await.len(), 1);
        let reset = app.reset(EMAIL, &token, "third");
        app.assert_refused(reset, 403, "invalid reset token").await;
        assert!(app.can_log_in(EMAIL, NEW).await && app.can_log_in(OTHER, PASSWORD).await);
        assert!(!app.can_log_in(EMAIL, PASSWORD).await);
        // Logging out with a session that has been voided is a logout all the same; the one that asked was
        // replaced.
        assert_eq!(app.log_out(&sessions[0]).send().await.status, 302);
        app.assert_refused(app.log_out(&sessions[1]), 403, "not logged in").await;
    }

    async fn json_multipart_and_the_form_of_a_page_change_it_too(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let fields = json!({ "password": PASSWORD, "new_password": "second" });
        let call = app.request("PUT", "/profile/password").json(&fields).session(&session);
        let session = call.send().await.session_id().unwrap();
        let fields = [("password", "second"), ("new_password", "third"), ("remember", "on")];
        let call = app.request("PUT", "/profile/password").multipart(&fields).session(&session);
        let reply = call.send().await;
        let kept = format!("; Max-Age={}", LIFETIMES.session.as_secs());
        assert!(reply.header("set-cookie").unwrap().ends_with(&kept));
        let session = reply.session_id().unwrap();
        let fields = [("_method", "PUT"), ("password", "third"), ("new_password", "fourth")];
        let call = app.post("/profile/password", &fields).session(&session);
        let reply = call.by_browser().header("user-agent", "MyApp/1").send().await;
        reply.assert_leads_to("/profile?password=updated");
        let session = reply.session_id().unwrap();
        assert_eq!(app.sessions(&session).await[0]["client"], "MyApp");
        let page = app.get("/profile?password=updated").session(&session).by_browser();
        let page = page.send().await.assert_page(200);
        assert!(page.text("[role=status]").starts_with("Your password has been changed."));
        assert!(app.can_log_in(EMAIL, "fourth").await);
    }

    async fn a_wrong_password_changes_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let call = app.change_password(&session, "wrong", NEW);
        app.assert_refused(call.clone(), 401, "wrong password").await;
        let page = call.by_browser().send().await.assert_page(401);
        assert_eq!(page.text("#password-problem"), "This is not your current password.");
        assert_eq!(page.one("[autofocus]").attr("id"), Some("password"));
        assert!(app.is_logged_in(&session).await);
    }

    async fn guessing_by_a_session_is_limited_like_guessing_by_logins(database: Database) {
        let limits = RateLimits { logins_per_account: "3/h".parse().unwrap(), ..NO_LIMITS };
        let app = TestApp::with_limits(database, limits, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.assert_refused(app.change_password(&session, "wrong", NEW), 401, "wrong password").await;
        app.log_in(EMAIL, "wrong").send().await.assert_refusal(401, "wrong email or password");
        app.assert_refused(app.change_password(&session, "wrong", NEW), 401, "wrong password").await;
        for password in ["wrong", PASSWORD] {
            let call = app.change_password(&session, password, NEW);
            app.assert_refused(call.clone(), 429, "too many attempts").await;
            call.by_browser().send().await.assert_page(429);
        }
        app.log_in(EMAIL, PASSWORD).send().await.assert_refusal(429, "too many attempts");
        assert!(app.is_logged_in(&session).await);
    }

    async fn changing_it_again_and_again_is_limited_like_logging_in(database: Database) {
        let limits = RateLimits { successful_logins_per_source: "3/h".parse().unwrap(), ..NO_LIMITS };
        let app = TestApp::with_limits(database, limits, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        let mut session = app.logged_in(EMAIL, PASSWORD).await;
        for (password, new) in [(PASSWORD, NEW), (NEW, PASSWORD)] {
            let reply = app.change_password(&session, password, new).send().await;
            session = reply.session_id().unwrap();
        }
        let call = app.change_password(&session, PASSWORD, NEW);
        app.assert_refused(call, 429, "too many attempts").await;
    }

    async fn a_weak_new_password_is_refused_and_costs_no_attempt(database: Database) {
        let limits = RateLimits { logins_per_account: "1/h".parse().unwrap(), ..NO_LIMITS };
        let app = TestApp::with_limits(database, limits, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        let rounds = app.passwords.rounds_spent();
        for _ in 0..2 {
            let call = app.change_password(&session, "wrong", "short");
            let words = "new_password is shorter than 8 characters";
            app.assert_refused(call.clone(), 400, words).await;
            let page = call.by_browser().send().await.assert_page(400);
            assert!(page.text("#new_password-problem").contains("at least 8 characters"));
        }
        assert_eq!(app.passwords.rounds_spent(), rounds);
        let reply = app.change_password(&session, PASSWORD, "r3bl0ch0n de savoie").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    async fn the_session_of_a_user_who_was_locked_changes_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.inside
            .execute("UPDATE users SET locked_at = 1, password_version = password_version + 1")
            .await;
        for call in [app.change_password(&session, PASSWORD, NEW), app.delete_user(&session)] {
            app.assert_refused(call, 403, "not logged in").await;
        }
    }
}
