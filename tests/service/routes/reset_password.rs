//! `POST /reset_password` and `PUT /reset_password`.

use std::time::Duration;

use bienvenue::email::Email;
use bienvenue::language::Language;
use bienvenue::token::ResetToken;
use serde_json::json;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::{LIFETIMES, TestApp, home};

const EMAIL: &str = "bob@example.org";
const OTHER: &str = "other@example.org";
const INVALID: &str = "invalid reset token";

/// An app with two users, whose password is `b4l0u`.
async fn app_with_users(database: crate::support::Database) -> TestApp {
    let app = TestApp::new(database).await;
    app.registered(EMAIL, "b4l0u").await;
    app.registered(OTHER, "b4l0u").await;
    app
}

on_each_engine! {
    async fn whoever_asks_gets_a_token(database: Database) {
        let app = app_with_users(database).await;
        let reply = app.ask_reset("Bob@Example.org").send().await;
        let token = reply.json()["reset_token"].as_str().unwrap().to_owned();
        reply.assert_is(200, &json!({ "email": EMAIL, "reset_token": token }));
        assert_eq!(Uuid::parse_str(&token).unwrap().get_version_num(), 4);
        assert!(!app.inside.all_rows().await.join("\n").contains(&token));
    }

    async fn an_unknown_address_gets_none(database: Database) {
        let app = app_with_users(database).await;
        let call = app.ask_reset("nobody@example.org");
        app.assert_refused(call, 403, "email not registered").await;
    }

    async fn asking_for_a_token_changes_neither_password_nor_sessions(database: Database) {
        let app = app_with_users(database).await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        app.reset_token(EMAIL).await;
        assert!(app.is_logged_in(&session).await);
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }

    async fn a_token_sets_the_password(database: Database) {
        let app = app_with_users(database).await;
        let token = app.reset_token(EMAIL).await;
        let reply = app.reset("BOB@example.org", &token, "t4rt1fl3tt3").send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "Password updated" }));
        assert_eq!(reply.header("set-cookie"), None, "nobody is logged in by a reset");
        assert!(app.can_log_in(EMAIL, "t4rt1fl3tt3").await);
        assert!(!app.can_log_in(EMAIL, "b4l0u").await);
        assert!(app.can_log_in(OTHER, "b4l0u").await);
    }

    async fn a_reset_takes_json_and_multipart_too(database: Database) {
        let app = app_with_users(database).await;
        let reply = app.request("POST", "/reset_password").json(&json!({ "email": EMAIL }));
        let token = reply.send().await.json()["reset_token"].clone();
        let body = json!({ "email": EMAIL, "reset_token": token, "new_password": "json" });
        let reply = app.request("PUT", "/reset_password").json(&body).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let reply = app.request("POST", "/reset_password").multipart(&[("email", EMAIL)]);
        let token = reply.send().await.json()["reset_token"].as_str().unwrap().to_owned();
        let fields = [("email", EMAIL), ("reset_token", &token), ("new_password", "part")];
        let reply = app.request("PUT", "/reset_password").multipart(&fields).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(app.can_log_in(EMAIL, "part").await);
    }

    async fn a_new_password_ends_every_session_and_token_of_the_user(database: Database) {
        let app = app_with_users(database).await;
        let sessions = [
            app.logged_in(EMAIL, "b4l0u").await,
            app.logged_in(EMAIL, "b4l0u").await,
        ];
        let others_session = app.logged_in(OTHER, "b4l0u").await;
        let others_token = app.reset_token(OTHER).await;
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);

        for session in &sessions {
            let call = app.profile(session);
            app.assert_refused(call, 403, "not logged in").await;
        }
        let again = app.reset(EMAIL, &token, "newer");
        app.assert_refused(again, 403, INVALID).await;
        assert!(app.is_logged_in(&others_session).await);
        assert_eq!(app.reset(OTHER, &others_token, "new").send().await.status, 200);
    }

    async fn a_newer_token_supersedes_an_older_one(database: Database) {
        let app = app_with_users(database).await;
        let older = app.reset_token(EMAIL).await;
        let newer = app.reset_token(EMAIL).await;
        let call = app.reset(EMAIL, &older, "new");
        app.assert_refused(call, 403, INVALID).await;
        assert_eq!(app.reset(EMAIL, &newer, "new").send().await.status, 200);
    }

    async fn a_token_expires(database: Database) {
        let app = app_with_users(database).await;
        let token = app.reset_token(EMAIL).await;
        app.clock.turn(LIFETIMES.reset_token.checked_sub(Duration::from_secs(1)).unwrap());
        let others_token = app.reset_token(OTHER).await;
        app.clock.turn(Duration::from_secs(1));
        app.reset(EMAIL, &token, "new").send().await.assert_refusal(403, INVALID);
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
        assert_eq!(app.reset(OTHER, &others_token, "new").send().await.status, 200);
    }

    async fn a_token_is_good_for_its_own_user_only_and_not_used_up_by_others(database: Database) {
        let app = app_with_users(database).await;
        let token = app.reset_token(EMAIL).await;
        for email in [OTHER, "nobody@example.org"] {
            let call = app.reset(email, &token, "new");
            app.assert_refused(call, 403, INVALID).await;
        }
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn nothing_but_the_token_is_the_token(database: Database) {
        let app = app_with_users(database).await;
        let token = app.reset_token(EMAIL).await;
        let unknown = Uuid::new_v4().to_string();
        let nines = "9".repeat(5000);
        for text in ["null", "None", " ", "%", &nines, &unknown, &token[..35], &(token.clone() + " ")] {
            let call = app.reset(EMAIL, text, "new");
            app.assert_refused(call, 403, INVALID).await;
        }
        // Of a user who never asked for a token.
        let call = app.reset(OTHER, "null", "new");
        app.assert_refused(call, 403, INVALID).await;
    }

    async fn a_refused_new_password_does_not_use_up_the_token(database: Database) {
        let app = app_with_users(database).await;
        let token = app.reset_token(EMAIL).await;
        for (new_password, message) in [
            ("", "new_password is empty"),
            ("\0", "new_password contains a nul character"),
            (&"x".repeat(1025), "new_password is longer than 1024 bytes"),
        ] {
            let call = app.reset(EMAIL, &token, new_password);
            app.assert_refused(call, 400, message).await;
        }
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn a_bad_token_costs_no_hash(database: Database) {
        let app = app_with_users(database).await;
        let before = app.passwords.rounds_spent();
        let unknown = Uuid::new_v4().to_string();
        let call = app.reset(EMAIL, &unknown, "new");
        app.assert_refused(call, 403, INVALID).await;
        assert_eq!(app.passwords.rounds_spent(), before);
    }

    async fn a_login_that_a_password_change_overtakes_opens_nothing(database: Database) {
        let app = app_with_users(database).await;
        let email: Email = EMAIL.parse().unwrap();
        let token = ResetToken::parse(&app.reset_token(EMAIL).await).unwrap();

        let user = app.auth.valid_login(Some(&email), &"b4l0u".parse().unwrap(), home()).await.unwrap();
        let new_password = "new".parse().unwrap();
        let change = app.auth.update_password(&email, &token, &new_password, Language::English, home());
        change.await.unwrap();
        let session_id = app.auth.create_session(&user, None, None, home()).await.unwrap();

        let call = app.profile(&session_id.reveal());
        app.assert_refused(call, 403, "not logged in").await;
    }
}
