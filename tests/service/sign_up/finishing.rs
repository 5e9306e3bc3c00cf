//! `PUT /users`: finishing a sign-up by a token.

use std::time::Duration;

use bienvenue::auth::{SIGN_UP_TOKEN_LIFETIME, SignUpMode};
use bienvenue::password::PasswordRule;
use serde_json::json;
use uuid::Uuid;

use super::{EMAIL, INVALID, NEW, PASSWORD, UNKNOWN_TOKEN, app_without_mail};
use crate::on_each_engine;
use crate::support::client::Call;

on_each_engine! {
    async fn without_mail_the_token_is_in_the_answer(database: Database) {
        let app = app_without_mail(database).await;
        let reply = app.ask_sign_up("New@Example.org").send().await;
        let token = reply.json()["sign_up_token"].as_str().unwrap().to_owned();
        reply.assert_is(200, &json!({ "email": NEW, "sign_up_token": token }));
        assert_eq!(Uuid::parse_str(&token).unwrap().get_version_num(), 4);
        assert!(!app.inside.all_rows().await.join("\n").contains(&token));
        assert_eq!(app.inside.count("users").await, 1);
        assert_eq!(app.inside.count("outbox").await, 0);
        let reply = app.finish_sign_up("NEW@example.org", &token, "t4rt1fl3tt3").send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": "user created" }));
        assert_eq!(reply.header("set-cookie"), None, "programs log in by themselves");
        assert!(app.can_log_in(NEW, "t4rt1fl3tt3").await);
        assert_eq!(app.inside.count("sign_ups").await, 0);
    }

    async fn without_mail_a_taken_address_is_told_of(database: Database) {
        let app = app_without_mail(database).await;
        let call = app.ask_sign_up(EMAIL);
        app.assert_refused(call, 400, "email already registered").await;
    }

    async fn json_and_multipart_work_too(database: Database) {
        let app = app_without_mail(database).await;
        let reply = app.request("POST", "/users").json(&json!({ "email": NEW })).send().await;
        let body = json!({ "email": NEW, "sign_up_token": reply.json()["sign_up_token"], "password": "json" });
        let reply = app.request("PUT", "/users").json(&body).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(app.can_log_in(NEW, "json").await);
        let email = "other@example.org";
        let reply = app.request("POST", "/users/").multipart(&[("email", email)]).send().await;
        let token = reply.json()["sign_up_token"].as_str().unwrap().to_owned();
        let fields = [("email", email), ("sign_up_token", &token), ("password", "part")];
        let reply = app.request("PUT", "/users/").multipart(&fields).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(app.can_log_in(email, "part").await);
    }

    async fn a_token_works_once_for_its_address(database: Database) {
        let app = app_without_mail(database).await;
        let superseded = app.sign_up_token(NEW).await;
        let of_another = app.sign_up_token("other@example.org").await;
        let token = app.sign_up_token(NEW).await;
        for (email, token) in [
            (NEW, UNKNOWN_TOKEN),
            (NEW, "x"),
            (NEW, &superseded),
            (NEW, &of_another),
            ("other@example.org", &token),
            ("nobody", &token),
            (EMAIL, &token),
        ] {
            let call = app.finish_sign_up(email, token, PASSWORD);
            app.assert_refused(call, 403, INVALID).await;
        }
        assert_eq!(app.finish_sign_up(NEW, &token, PASSWORD).send().await.status, 200);
        let call = app.finish_sign_up(NEW, &token, "another");
        app.assert_refused(call, 403, INVALID).await;
        assert!(app.can_log_in(NEW, PASSWORD).await);
        // It stands for no session and no reset, and neither does a reset token for it.
        let token = app.sign_up_token("third@example.org").await;
        assert!(!app.is_logged_in(&token).await);
        let call = app.reset(EMAIL, &token, "new");
        app.assert_refused(call, 403, "invalid reset token").await;
        let reset_token = app.reset_token(EMAIL).await;
        let call = app.finish_sign_up("third@example.org", &reset_token, PASSWORD);
        app.assert_refused(call, 403, INVALID).await;
    }

    async fn a_token_expires_after_a_day(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        app.clock.turn(SIGN_UP_TOKEN_LIFETIME);
        let reply = app.finish_sign_up(NEW, &token, PASSWORD).send().await;
        reply.assert_refusal(403, INVALID);
        app.clock.turn_back(Duration::from_mins(1));
        let call = app.finish_sign_up(NEW, &token, PASSWORD);
        app.assert_refused(call, 403, INVALID).await;
        assert_eq!(app.inside.count("users").await, 1);
    }

    async fn a_refused_password_does_not_use_the_token_up(database: Database) {
        let app = app_without_mail(database).await;
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        let token = app.sign_up_token(NEW).await;
        for (password, message) in [
            ("short", "password is shorter than 8 characters"),
            ("", "password is empty"),
        ] {
            let call = app.finish_sign_up(NEW, &token, password);
            app.assert_refused(call, 400, message).await;
        }
        let reply = app.finish_sign_up(NEW, &token, "r3bl0ch0n de savoie").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    async fn an_address_that_has_an_account_by_now_is_refused(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        // As an administrator adds one.
        app.signing_up(SignUpMode::Unverified).registered(NEW, "first").await;
        let rounds = app.passwords.rounds_spent();
        let call = app.finish_sign_up(NEW, &token, "second");
        app.assert_refused(call, 400, "email already registered").await;
        assert_eq!(app.passwords.rounds_spent(), rounds, "no hash for nothing");
        assert!(app.can_log_in(NEW, "first").await);
    }

    async fn a_token_of_an_address_goes_with_its_account(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        let at_once = app.signing_up(SignUpMode::Unverified);
        at_once.registered(NEW, PASSWORD).await;
        let session = at_once.logged_in(NEW, PASSWORD).await;
        let reply = app.request("DELETE", "/users").session(&session).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(app.inside.count("sign_ups").await, 0);
        let call = app.finish_sign_up(NEW, &token, PASSWORD);
        app.assert_refused(call, 403, INVALID).await;
    }

    async fn addresses_with_an_account_and_without_are_refused_alike(database: Database) {
        let app = app_without_mail(database).await;
        let rounds = app.passwords.rounds_spent();
        let [taken, free] = [EMAIL, "nob@example.org"].map(|email| app.finish_sign_up(email, UNKNOWN_TOKEN, PASSWORD));
        let (taken, free) = (taken.send().await, free.send().await);
        assert_eq!((taken.status, taken.body), (free.status, free.body));
        assert_eq!(app.passwords.rounds_spent(), rounds);
    }

    async fn a_link_that_is_looked_at_is_not_used_up(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        let link = format!("/users?email={NEW}&sign_up_token={token}");
        let before = app.inside.all_rows().await;
        for _ in 0..50 {
            app.get(&link).by_browser().send().await.assert_page(200);
            assert_eq!(app.request("HEAD", &link).by_browser().send().await.status, 200);
            assert_eq!(app.get(&link).send().await.status, 405);
        }
        assert_eq!(app.inside.all_rows().await, before);
        assert_eq!(app.finish_sign_up(NEW, &token, PASSWORD).send().await.status, 200);
    }

    async fn a_page_of_another_site_signs_nobody_up(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        let foreign = |call: Call| [
            call.clone().header("sec-fetch-site", "cross-site"),
            call.header("origin", "https://evil.example"),
        ];
        let form = [("_method", "PUT"), ("email", NEW), ("sign_up_token", &*token), ("password", PASSWORD)];
        for call in [
            app.ask_sign_up("other@example.org"),
            app.finish_sign_up(NEW, &token, PASSWORD),
            app.post("/users", &form),
        ] {
            for call in foreign(call) {
                app.assert_refused(call, 403, "cross-site requests are refused").await;
            }
        }
        // Nor does a link.
        let link = format!("/users?_method=PUT&email={NEW}&sign_up_token={token}&password={PASSWORD}");
        let before = app.inside.all_rows().await;
        app.get(&link).by_browser().send().await.assert_page(200);
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn where_people_sign_up_at_once_a_token_that_was_given_still_works(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        let at_once = app.signing_up(SignUpMode::Unverified);
        let reply = at_once.ask_sign_up("other@example.org").send().await;
        reply.assert_refusal(400, "password is missing");
        let reply = at_once.finish_sign_up(NEW, &token, PASSWORD).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
}
