//! `PUT /profile/email`.

use std::time::Duration;

use bienvenue::auth::rate_limit::RateLimits;
use bienvenue::auth::{EMAIL_TOKEN_LIFETIME, MAIL_PAUSE};
use serde_json::json;

use super::{
    BAD_EMAIL_TOKEN, EMAIL, NEW, OTHER, PASSWORD, TAKEN, UNKNOWN_TOKEN, app_with_mail,
    app_without_mail, mailed_token, moved_by_mail, only,
};
use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{LIFETIMES, TestApp};

const A_SECOND: Duration = Duration::from_secs(1);

on_each_engine! {
    async fn a_token_in_a_session_of_its_user_changes_the_address(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let another = app.another().await;
        let elsewhere = app.logged_in(EMAIL, PASSWORD).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        assert!(another.is_logged_in(&session).await && another.is_logged_in(&elsewhere).await);
        let token = mailed_token(&app, &server, &session, NEW).await;
        // It need not be fresh.
        app.clock.turn(LIFETIMES.fresh_login);
        let rounds = app.passwords.rounds_spent();
        let reply = app.change_address(&session, &token).send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": "address changed" }));
        assert_eq!(app.passwords.rounds_spent(), rounds);
        let new = reply.session_id().unwrap();
        for client in [&another, &*app] {
            client.profile(&new).send().await.assert_is(200, &json!({ "email": NEW }));
            for ended in [&session, &elsewhere] {
                client.profile(ended).send().await.assert_refusal(403, "not logged in");
            }
            assert!(client.is_logged_in(&of_other).await);
        }
        let account = app.get("/users/me").session(&new).send().await.json();
        assert_eq!((&account["id"], &account["email_confirmed"]), (&json!(1), &json!(true)));
        assert!(app.can_log_in(NEW, PASSWORD).await);
        assert!(!app.can_log_in(EMAIL, PASSWORD).await);
        assert_eq!(app.inside.count("pending_addresses").await, 0);
        assert_eq!(app.inside.count("past_addresses").await, 1);
        // It works once.
        app.assert_refused(app.change_address(&new, &token), 403, BAD_EMAIL_TOKEN).await;
    }

    async fn an_address_that_nobody_was_found_to_read_is_not_confirmed(database: Database) {
        let (app, session) = app_without_mail(database).await;
        app.inside.execute("UPDATE users SET email_confirmed_at = 1").await;
        let (session, _) = app.moved(&session, NEW).await;
        let account = app.get("/users/me").session(&session).send().await.json();
        assert_eq!(account["email_confirmed"], false);
    }

    async fn json_multipart_and_the_box_of_the_page_are_understood(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let token = app.email_token(&session, NEW).await;
        let call = app.request("PUT", "/profile/email").json(&json!({ "email_token": token }));
        let session = call.session(&session).send().await.session_id().unwrap();
        let token = app.email_token(&session, "third@example.org").await;
        let fields = [("email_token", &*token), ("remember", "on")];
        let reply = app.request("PUT", "/profile/email").multipart(&fields).session(&session).send().await;
        let kept = format!("; Max-Age={}", LIFETIMES.session.as_secs());
        assert!(reply.header("set-cookie").unwrap().ends_with(&kept), "{reply:?}");
    }

    async fn without_a_session_of_its_user_a_token_changes_nothing_and_stays_good(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let token = app.email_token(&session, NEW).await;
        let theirs = app.email_token(&of_other, "third@example.org").await;
        let without = app.put("/profile/email", &[("email_token", &token)]);
        app.assert_refused(without, 403, "not logged in").await;
        app.assert_refused(app.change_address(&of_other, &token), 403, BAD_EMAIL_TOKEN).await;
        app.assert_refused(app.change_address(&session, &theirs), 403, BAD_EMAIL_TOKEN).await;
        for token in [UNKNOWN_TOKEN, "x", &format!("{token} ")] {
            app.assert_refused(app.change_address(&session, token), 403, BAD_EMAIL_TOKEN).await;
        }
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
        assert_eq!(app.change_address(&of_other, &theirs).send().await.status, 200);
    }

    async fn a_link_works_for_an_hour_from_its_mail_on(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        assert_eq!(EMAIL_TOKEN_LIFETIME, Duration::from_hours(1));
        app.ask_address(&session, NEW).send().await;
        app.clock.turn(Duration::from_hours(3));
        let token = {
            app.deliver().await;
            only(server.take()).token()
        };
        app.clock.turn(EMAIL_TOKEN_LIFETIME.checked_sub(A_SECOND).unwrap());
        app.auth.purge_expired().await.unwrap();
        let reply = app.change_address(&session, &token).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        app.deliver().await;
        server.take();

        let session = app.logged_in(NEW, PASSWORD).await;
        let token = mailed_token(&app, &server, &session, "third@example.org").await;
        app.clock.turn(EMAIL_TOKEN_LIFETIME);
        app.change_address(&session, &token).send().await.assert_refusal(403, BAD_EMAIL_TOKEN);
        // It stays refused if the clock is turned back.
        app.clock.turn_back(A_SECOND);
        app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;
    }

    async fn requests_that_have_expired_are_deleted(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        mailed_token(&app, &server, &session, NEW).await;
        // As long as a mail may be tried, and the link in it lives.
        app.clock.turn(Duration::from_hours(25).checked_sub(A_SECOND).unwrap());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("pending_addresses").await, 1);
        app.clock.turn(A_SECOND);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("pending_addresses").await, 0);
    }

    async fn a_reset_a_new_password_and_a_lock_void_what_was_asked_for(database: Database) {
        let (app, mut session) = app_without_mail(database).await;
        // A squatter asks, the owner resets the password, the squatter confirms.
        let token = app.email_token(&session, NEW).await;
        let reset = app.reset_token(EMAIL).await;
        app.reset(EMAIL, &reset, PASSWORD).send().await;
        app.assert_refused(app.change_address(&session, &token), 403, "not logged in").await;
        session = app.logged_in(EMAIL, PASSWORD).await;
        app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;

        let token = app.email_token(&session, NEW).await;
        let reply = app.change_password(&session, PASSWORD, PASSWORD).send().await;
        session = reply.session_id().unwrap();
        app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;
        assert_eq!(app.inside.count("pending_addresses").await, 0);

        let token = app.email_token(&session, NEW).await;
        let lock = "UPDATE users SET locked_at = 1, password_version = password_version + 1 WHERE id = 1";
        app.inside.execute(lock).await;
        app.inside.execute("UPDATE users SET locked_at = NULL WHERE id = 1").await;
        session = app.logged_in(EMAIL, PASSWORD).await;
        app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;
    }

    async fn a_link_of_a_user_who_was_locked_since_is_not_mailed(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.ask_address(&session, NEW).send().await;
        app.inside.execute("UPDATE users SET locked_at = 1, password_version = password_version + 1").await;
        assert_eq!(app.deliver().await, 1);
        assert!(server.take().is_empty());
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
    }

    async fn a_reset_token_from_before_is_void(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let reset = app.reset_token(EMAIL).await;
        app.moved(&session, NEW).await;
        for email in [EMAIL, NEW] {
            let call = app.reset(email, &reset, "new");
            app.assert_refused(call, 403, "invalid reset token").await;
        }
    }

    async fn an_address_that_is_taken_by_now_is_refused_and_the_link_stays_good(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let token = app.email_token(&session, NEW).await;
        app.registered(NEW, "first").await;
        app.assert_refused(app.change_address(&session, &token), 400, TAKEN).await;
        assert!(app.is_logged_in(&session).await);
        app.inside.execute("DELETE FROM users WHERE email = 'new@example.org'").await;
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }

    async fn what_was_familiar_to_the_account_is_so_no_more_but_for_this_source(database: Database) {
        let app = TestApp::with_limits(database, RateLimits::public(), &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        app.log_in(EMAIL, PASSWORD).from("192.0.2.7").send().await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(app.inside.count("familiar_sources").await, 2);
        let (_, undo) = app.moved(&session, NEW).await;
        assert_eq!(app.inside.count("familiar_sources").await, 1);
        // Strangers use up the logins of the new address.
        for _ in 0..10 {
            app.log_in(NEW, "wrong").from("198.51.100.1").send().await.assert_refusal(401, "wrong email or password");
        }
        app.log_in(NEW, PASSWORD).from("192.0.2.7").send().await.assert_refusal(429, "too many attempts");
        assert!(app.can_log_in(NEW, PASSWORD).await);
        app.undo_address(EMAIL, &undo, "back").send().await;
        assert_eq!(app.inside.count("familiar_sources").await, 1);
    }

    async fn a_user_can_move_on_and_come_back(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let (session, _) = moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        app.clock.turn(MAIL_PAUSE);
        let session = {
            drop(session);
            app.logged_in(NEW, PASSWORD).await
        };
        // It is kept from others, not from its owner.
        let token = mailed_token(&app, &server, &session, EMAIL).await;
        let reply = app.change_address(&session, &token).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "address changed" }));
        let session = reply.session_id().unwrap();
        app.profile(&session).send().await.assert_is(200, &json!({ "email": EMAIL }));
        assert_eq!(app.inside.count("past_addresses").await, 0);
        assert!(app.can_log_in(EMAIL, PASSWORD).await && !app.can_log_in(NEW, PASSWORD).await);
    }
}
