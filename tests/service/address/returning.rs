//! An account that goes back to an address that it had, and the news of that to the one that it loses.

use bienvenue::auth::{MAIL_PAUSE, UNDO_LIFETIME};
use serde_json::json;

use super::{
    BAD_EMAIL_TOKEN, BAD_UNDO_TOKEN, EMAIL, NEW, PASSWORD, app_with_mail, app_without_mail,
    mailed_token, moved_by_mail, only,
};
use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::smtp_server::{Mail, SmtpServer};

const THIRD: &str = "third@example.org";
const SUBJECT: &str = "Your Holberton account has an earlier address again";

/// Gives a user back an address that they had. Returns the new session.
async fn returned(app: &TestApp, session: &str, email: &str) -> String {
    let token = app.email_token(session, email).await;
    let reply = app.change_address(session, &token).send().await;
    reply.assert_is(
        200,
        &json!({ "email": email, "message": "address changed" }),
    );
    reply.session_id().unwrap()
}

/// The mail to this address among those that came.
#[track_caller]
fn mail_to<'a>(mails: &'a [Mail], email: &str) -> &'a Mail {
    let mut to = mails.iter().filter(|mail| mail.to == [email]);
    let (mail, another) = (to.next(), to.next());
    assert!(another.is_none(), "{mails:?}");
    mail.unwrap_or_else(|| panic!("none to {email}: {mails:?}"))
}

on_each_engine! {
    async fn an_account_that_goes_back_to_its_address_is_not_taken_from_there(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (session, undo) = app.moved(&session, NEW).await;
        let session = returned(&app, &session, EMAIL).await;
        assert_eq!(app.inside.count("past_addresses").await, 0);
        app.assert_refused(app.undo_address(EMAIL, &undo, "new"), 403, BAD_UNDO_TOKEN).await;
        // Whoever wants to has the other address, and the account can be deleted.
        app.registered(NEW, PASSWORD).await;
        assert_eq!(app.delete_user(&session).send().await.status, 200);
    }

    async fn going_back_undoes_all_that_came_after_and_nothing_before(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (session, undo_first) = app.moved(&session, NEW).await;
        let (session, undo_second) = app.moved(&session, THIRD).await;
        let (session, undo_third) = app.moved(&session, "fourth@example.org").await;
        returned(&app, &session, NEW).await;
        for (email, undo) in [(NEW, &undo_second), (THIRD, &undo_third)] {
            app.assert_refused(app.undo_address(email, undo, "x"), 403, BAD_UNDO_TOKEN).await;
        }
        assert_eq!(app.inside.count("past_addresses").await, 1);
        for email in [THIRD, "fourth@example.org"] {
            app.registered(email, PASSWORD).await;
        }
        assert_eq!(app.undo_address(EMAIL, &undo_first, "new").send().await.status, 200);
        assert!(app.can_log_in(EMAIL, "new").await);
    }

    async fn after_seven_days_it_is_a_change_like_any_other(database: Database) {
        let (app, session) = app_without_mail(database).await;
        app.moved(&session, NEW).await;
        app.clock.turn(UNDO_LIFETIME);
        let session = app.logged_in(NEW, PASSWORD).await;
        let (_, undo) = app.moved(&session, EMAIL).await;
        assert_eq!(app.inside.count("past_addresses").await, 1);
        assert_eq!(app.undo_address(NEW, &undo, "new").send().await.status, 200);
        assert!(app.can_log_in(NEW, "new").await);
    }

    async fn a_thief_who_brings_the_account_back_keeps_no_way_in(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, thief) = app_with_mail(database, &server).await;
        let (thief, _) = moved_by_mail(&app, &server, &thief, EMAIL, NEW).await;
        let token = mailed_token(&app, &server, &thief, EMAIL).await;
        let reply = app.change_address(&thief, &token).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "address changed" }));
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!((&mail.to[0][..], mail.header("Subject")), (NEW, SUBJECT));
        assert!(!format!("{mail:?}").contains("token"), "{mail:?}");
        assert_eq!(app.inside.count("past_addresses").await, 0);
    }

    async fn the_address_that_an_undo_takes_the_account_from_is_told(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let (session, undo) = moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        moved_by_mail(&app, &server, &session, NEW, THIRD).await;
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
        app.deliver().await;
        let mails = server.take();
        // The one that the account had, and no other.
        assert_eq!(mails.len(), 2, "{mails:?}");
        let mail = mail_to(&mails, EMAIL);
        assert_eq!(mail.header("Subject"), "Your Holberton account has this address again");
        assert!(!format!("{mail:?}").contains(NEW) && !format!("{mail:?}").contains(THIRD), "{mail:?}");
        let mail = mail_to(&mails, THIRD);
        assert_eq!(mail.header("Subject"), SUBJECT);
        for said in [
            "had the address third@example.org until 15 January 2027, 08:00 UTC",
            "write to those who run Holberton (auth.example.org)",
        ] {
            assert!(mail.text.contains(said), "{}", mail.text);
        }
        for secret in ["token", "http", EMAIL, NEW] {
            assert!(!mail.text.contains(secret), "{secret}: {}", mail.text);
        }
        app.assert_refused(app.undo_address(EMAIL, &undo, "x"), 403, BAD_UNDO_TOKEN).await;
        assert_eq!(app.deliver().await, 0);
    }

    async fn it_is_told_in_the_language_of_who_takes_the_account_back(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let (_, undo) = moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        let undo = app.undo_address(EMAIL, &undo, "new").header("accept-language", "fr");
        assert_eq!(undo.send().await.status, 200);
        app.deliver().await;
        let mails = server.take();
        let mail = mail_to(&mails, NEW);
        assert_eq!(mail.header("Subject"), "Votre compte Holberton a retrouvé une adresse antérieure");
        assert!(mail.text.contains("jusqu’au 15 janvier 2027 à 08:00 UTC"), "{}", mail.text);
        assert!(mail.text.contains("écrivez aux responsables de Holberton"), "{}", mail.text);
        let mail = mail_to(&mails, EMAIL);
        assert_eq!(mail.header("Subject"), "Votre compte Holberton a de nouveau cette adresse");
        assert!(mail.text.contains("le mot de passe choisi à ce moment‑là, et plus le précédent"), "{}", mail.text);
    }

    async fn it_is_told_whoever_has_that_address_by_then(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let (_, undo) = moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
        let take = "UPDATE users SET email = 'new@example.org', locked_at = 1 WHERE email = 'eve@example.org'";
        app.inside.execute(take).await;
        app.deliver().await;
        assert_eq!(mail_to(&server.take(), NEW).header("Subject"), SUBJECT);
    }

    async fn a_refused_undo_and_a_refused_return_tell_nobody(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let (session, _) = moved_by_mail(&app, &server, &session, EMAIL, NEW).await;
        let token = mailed_token(&app, &server, &session, EMAIL).await;
        app.clock.turn(MAIL_PAUSE);
        app.call_off(&session).send().await;
        app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;
        app.assert_refused(app.undo_address(EMAIL, &token, "x"), 403, BAD_UNDO_TOKEN).await;
        assert_eq!(app.deliver().await, 0);
    }
}
