//! Mail servers that refuse, or that say no end of things: what that means for the mail.

use std::time::Duration;

use bienvenue::auth::MAIL_PAUSE;

use super::encryption::far_name_of_this_machine;
use crate::on_each_engine;
use crate::support::smtp_server::{SmtpServer, Tls};
use crate::support::{Database, TestApp};

const EMAIL: &str = "bob@example.org";
const A_MINUTE: Duration = Duration::from_mins(1);
/// Far above what is read, since the system reads ahead, and far below what a server can send in a second.
const MOST_SENT: usize = 16 * 1024 * 1024;

const LOGIN: [&str; 2] = ["--login", "me:s3cret"];

/// A server that wants a login, encrypts, and answers under a name of this machine.
fn server(tls: Tls) -> Option<SmtpServer> {
    let far = far_name_of_this_machine();
    let host = if tls == Tls::None { "127.0.0.1" } else { &far };
    SmtpServer::start_with(host, tls, &LOGIN)
}

/// An app with a user, that sends its mails to this server.
async fn app(database: &Database, server: &SmtpServer, tls: Tls) -> TestApp {
    let database = match database.folder {
        Some(_) => Database::sqlite(),
        None => Database::postgres().await.unwrap(),
    };
    let scheme = if tls == Tls::Wrapped { "smtps" } else { "smtp" };
    let mailer = server.mailer_by(scheme, "me:s3cret@", tls != Tls::None);
    let app = TestApp::mailing(database, mailer).await;
    app.registered(EMAIL, "b4l0u").await;
    app
}

/// How many mails arrive of one that was tried before, now that the server takes every mail. Another may be
/// asked for after that.
async fn mails_of_next_try(app: &TestApp, server: &SmtpServer) -> usize {
    server.accept();
    app.clock.turn(A_MINUTE);
    app.deliver().await;
    app.clock.turn(MAIL_PAUSE);
    server.take().len()
}

/// How many mails arrive at the next try of one that got this answer at this point.
async fn mails_after_answer(app: &TestApp, server: &SmtpServer, point: &str, text: &str) -> usize {
    server.answer(point, text);
    app.ask_reset(EMAIL).send().await;
    assert_eq!(app.deliver().await, 1, "{point} {text}");
    mails_of_next_try(app, server).await
}

on_each_engine! {
    async fn who_refuses_us_and_not_the_mail_gets_it_again(database: Database) {
        let tls = Tls::Upgraded;
        let Some(server) = server(tls) else { return };
        let app = app(&database, &server, tls).await;
        for (point, text) in [
            ("GREETING", "554 go away"),
            ("EHLO", "502 what"),
            ("STARTTLS", "502 what"),
            ("ENCRYPTED", "550 not you"),
            ("AUTH", "504 not so"),
            ("AUTH", "535 5.7.8 wrong"),
            ("MAIL", "530 5.7.0 who are you"),
            ("MAIL", "550 5.7.1 not from there"),
            ("RCPT", "550 5.7.1 relaying denied"),
            ("RCPT", "554 5.7.1 relaying denied"),
            ("END", "550 5.7.26 not signed"),
        ] {
            let mails = mails_after_answer(&app, &server, point, text).await;
            assert_eq!(mails, 1, "{point} {text}");
        }
    }

    async fn who_refuses_the_mail_does_not_get_it_again(database: Database) {
        let tls = Tls::None;
        let Some(server) = server(tls) else { return };
        let app = app(&database, &server, tls).await;
        for (point, text) in [
            ("MAIL", "550 no"),
            ("RCPT", "550 5.1.1 unknown"),
            ("RCPT", "550 unknown 5.7.1"),
            ("RCPT", "553 5.1.3 malformed"),
            ("DATA", "554 no"),
            ("END", "554 5.6.0 no"),
        ] {
            let mails = mails_after_answer(&app, &server, point, text).await;
            assert_eq!(mails, 0, "{point} {text}");
        }
    }

    async fn a_line_without_an_end_ends_the_try_and_not_the_mail(database: Database) {
        for (tls, points) in [
            (Tls::None, &["GREETING", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "END"][..]),
            (Tls::Upgraded, &["GREETING", "STARTTLS", "ENCRYPTED", "AUTH", "END"]),
            (Tls::Wrapped, &["GREETING", "EHLO", "END"]),
        ] {
            let Some(server) = server(tls) else { return };
            let app = app(&database, &server, tls).await;
            for point in points {
                server.flood(point);
                app.ask_reset(EMAIL).send().await;
                assert_eq!(app.deliver().await, 1, "{tls:?}, {point}");
                let length = server.length_of_flood();
                assert!(length < MOST_SENT, "{tls:?}, {point}: {length}");
                assert_eq!(mails_of_next_try(&app, &server).await, 1, "{tls:?}, {point}");
            }
        }
    }

    async fn a_line_without_an_end_after_the_mail_was_taken_is_not_minded(database: Database) {
        let tls = Tls::None;
        let Some(server) = server(tls) else { return };
        let app = app(&database, &server, tls).await;
        server.flood("QUIT");
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert!(server.length_of_flood() < MOST_SENT);
        assert_eq!(server.take().len(), 1);
        assert_eq!(mails_of_next_try(&app, &server).await, 0);
    }

    async fn silence_after_the_mail_was_taken_is_not_minded(database: Database) {
        let tls = Tls::None;
        let Some(server) = server(tls) else { return };
        let app = app(&database, &server, tls).await;
        server.be_silent_at("QUIT");
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_eq!(server.take().len(), 1);
        assert_eq!(mails_of_next_try(&app, &server).await, 0);
    }
}
