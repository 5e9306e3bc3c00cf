//! The news to an address that an account loses to an earlier one.

use bienvenue::auth::MAIL_PAUSE;

use super::{
    BAD_EMAIL_TOKEN, BAD_UNDO_TOKEN, EMAIL, NEW, app_with_mail, mailed_token, moved_by_mail,
};
use crate::on_each_engine;
use crate::support::smtp_server::{Mail, SmtpServer};

const THIRD: &str = "third@example.org";
const SUBJECT: &str = "Your Holberton account has an earlier address again";

/// The mail to this address among those that came.
#[track_caller]
fn mail_to<'a>(mails: &'a [Mail], email: &str) -> &'a Mail {
    let mut to = mails.iter().filter(|mail| mail.to == [email]);
    let (mail, another) = (to.next(), to.next());
    assert!(another.is_none(), "{mails:?}");
    mail.unwrap_or_else(|| panic!("none to {email}: {mails:?}"))
}

on_each_engine! {
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
        assert_eq!(mail_to(&mails, EMAIL).header("Subject"), "Your Holberton password was changed");
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
