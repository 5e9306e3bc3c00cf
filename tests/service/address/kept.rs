//! An address that an account can be taken back to is kept for it.

use std::time::Duration;

use bienvenue::auth::{MAIL_PAUSE, SignUpMode, UNDO_LIFETIME};
use serde_json::json;

use super::{
    EMAIL, NEW, ON_ITS_WAY, OTHER, PASSWORD, TAKEN, app_with_mail, app_without_mail, mailed_token,
    moved_by_mail, only,
};
use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestApp};

const A_SECOND: Duration = Duration::from_secs(1);

/// The address of a user who has just given it up.
async fn app_with_kept(database: Database) -> (TestApp, String, String) {
    let (app, session) = app_without_mail(database).await;
    let (session, undo) = app.moved(&session, NEW).await;
    (app, session, undo)
}

on_each_engine! {
    async fn nobody_else_signs_up_with_it_or_moves_there(database: Database) {
        let (app, _, undo) = app_with_kept(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let verified = app.signing_up(SignUpMode::Verified);
        for call in [
            app.register("Bob@example.org", "x"),
            verified.ask_sign_up(EMAIL),
            app.ask_address(&of_other, EMAIL),
        ] {
            app.assert_refused(call, 400, TAKEN).await;
        }
        // As of an address that is taken.
        let kept = app.register(EMAIL, "x").send().await;
        let taken = app.register(NEW, "x").send().await;
        assert_eq!((kept.status, kept.body), (taken.status, taken.body));
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn nor_with_a_token_from_before(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let verified = app.signing_up(SignUpMode::Verified);
        app.inside.execute("UPDATE users SET email = 'aside@example.org' WHERE id = 1").await;
        let sign_up = verified.sign_up_token(EMAIL).await;
        let email_token = app.email_token(&of_other, EMAIL).await;
        app.inside.execute("UPDATE users SET email = 'bob@example.org' WHERE id = 1").await;
        let (_, undo) = app.moved(&session, NEW).await;
        let rounds = app.passwords.rounds_spent();
        app.assert_refused(verified.finish_sign_up(EMAIL, &sign_up, "x"), 400, TAKEN).await;
        assert_eq!(app.passwords.rounds_spent(), rounds, "no hash for nothing");
        app.assert_refused(app.change_address(&of_other, &email_token), 400, TAKEN).await;
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn it_stays_kept_when_a_clock_that_was_ahead_is_put_right(database: Database) {
        let (app, _, undo) = app_with_kept(database).await;
        let an_hour = Duration::from_hours(1);
        app.clock.turn_back(an_hour);
        app.assert_refused(app.register(EMAIL, "x"), 400, TAKEN).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let ask = app.ask_address(&of_other, EMAIL);
        ask.send().await.assert_refusal(400, TAKEN);
        let session = app.logged_in(NEW, PASSWORD).await;
        app.assert_refused(app.delete_user(&session), 403, "address changed lately").await;
        app.assert_refused(app.undo_address(EMAIL, &undo, "new"), 403, "invalid undo token").await;
        app.clock.turn(an_hour);
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn after_seven_days_it_is_free(database: Database) {
        let (app, _, undo) = app_with_kept(database).await;
        app.clock.turn(UNDO_LIFETIME.checked_sub(A_SECOND).unwrap());
        app.assert_refused(app.register(EMAIL, "x"), 400, TAKEN).await;
        app.clock.turn(A_SECOND);
        // Though it is not deleted yet.
        assert_eq!(app.inside.count("past_addresses").await, 1);
        app.registered(EMAIL, "x").await;
        // What was lost is not taken from its new owner by a clock that is turned back.
        app.clock.turn_back(A_SECOND);
        app.assert_refused(app.undo_address(EMAIL, &undo, "new"), 403, "invalid undo token").await;
        app.clock.turn(A_SECOND);
        let session = app.logged_in(EMAIL, "x").await;
        app.moved(&session, "third@example.org").await;
        assert_eq!(app.inside.count("past_addresses").await, 1);
        app.assert_refused(app.undo_address(EMAIL, &undo, "new"), 403, "invalid undo token").await;
    }

    async fn the_user_is_not_deleted_by_a_session_until_then(database: Database) {
        let (app, session, _) = app_with_kept(database).await;
        let words = "address changed lately";
        app.assert_refused(app.delete_user(&session), 403, words).await;
        let page = app.get("/users/me").session(&session).by_browser().send().await.assert_page(403);
        assert!(page.text("main").contains("less than 7 days ago"), "{}", page.text("main"));
        let form = app.post("/users", &[("_method", "DELETE")]).session(&session).by_browser();
        form.send().await.assert_page(403);
        app.clock.turn(UNDO_LIFETIME.checked_sub(A_SECOND).unwrap());
        let session = app.logged_in(NEW, PASSWORD).await;
        app.assert_refused(app.delete_user(&session), 403, words).await;
        app.clock.turn(A_SECOND);
        assert_eq!(app.delete_user(&session).send().await.status, 200);
        assert_eq!(app.inside.count("past_addresses").await, 0);
    }

    async fn with_mail_a_stranger_sees_the_same_and_its_reader_is_told_how_things_are(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let (_, undo) = moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let verified = app.with_rules(|auth| auth.with_sign_up(SignUpMode::Verified));
        let ask_sign_up = verified.ask_sign_up(EMAIL).send().await;
        ask_sign_up.assert_is(200, &json!({ "email": EMAIL, "message": "a link to finish is on its way" }));
        let ask_reset = verified.ask_reset(EMAIL).send().await;
        let message = "if the address is registered, a reset link is on its way";
        ask_reset.assert_is(200, &json!({ "email": EMAIL, "message": message }));
        let ask_address = verified.ask_address(&of_other, EMAIL).send().await;
        ask_address.assert_is(200, &json!({ "email": EMAIL, "message": ON_ITS_WAY }));
        assert_eq!(verified.deliver().await, 3);
        let mails = server.take();
        assert_eq!(mails.len(), 3);
        for mail in &mails {
            assert_eq!(mail.to, [EMAIL]);
            assert_eq!(mail.header("Subject"), "Your Holberton account has another address");
            assert!(mail.text.contains("It works until 22 January 2027, 08:00 UTC"), "{}", mail.text);
            for secret in ["token", NEW, OTHER, "http"] {
                assert!(!mail.text.contains(secret), "{secret}: {}", mail.text);
            }
        }
        for table in ["sign_ups", "reset_tokens", "pending_addresses WHERE digest IS NOT NULL"] {
            assert_eq!(verified.inside.count(table).await, 0, "{table}");
        }
        // None of it has touched the link.
        assert_eq!(verified.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn nobody_is_told_of_the_link_that_takes_it_back_before_that_is_sent(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        server.refuse(451);
        app.change_address(&session, &token).send().await;
        assert_eq!(app.deliver().await, 1);
        server.accept();
        app.ask_reset(EMAIL).send().await;
        app.ask_address(&of_other, EMAIL).send().await;
        // What goes to others does not wait.
        app.ask_reset(OTHER).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_eq!(only(server.take()).to, [OTHER]);
        app.clock.turn(Duration::from_mins(1));
        assert_eq!(app.deliver().await, 3);
        let subjects = server.take().iter().map(|mail| mail.header("Subject").to_owned()).collect::<Vec<_>>();
        let kept = "Your Holberton account has another address";
        assert_eq!(subjects, ["The address of your Holberton account was changed", kept, kept]);
    }

    async fn after_seven_days_the_same_requests_are_those_for_a_free_address(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        app.clock.turn(UNDO_LIFETIME + MAIL_PAUSE);
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let token = mailed_token(&app, &server, &of_other, EMAIL).await;
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        assert!(server.take().is_empty());
        assert_eq!(app.change_address(&of_other, &token).send().await.status, 200);
    }
}
