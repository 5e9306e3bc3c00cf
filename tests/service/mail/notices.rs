//! What owners are told of logins and of the deletion of their account.

use std::time::Duration;

use bienvenue::auth::MAIL_PAUSE;

use crate::on_each_engine;
use crate::support::smtp_server::{Mail, SmtpServer};
use crate::support::{Database, PUBLIC_URL, TestApp};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";
const ELSEWHERE: &str = "192.0.2.7";
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

/// A service that sends mails, with a user who has signed up from home.
async fn app_with_user(database: Database, server: &SmtpServer) -> TestApp {
    let app = TestApp::mailing(database, server.mailer()).await;
    app.registered(EMAIL, PASSWORD).await;
    app
}

/// Logs in from there.
async fn log_in_from(app: &TestApp, source: &str) {
    let reply = app.log_in(EMAIL, PASSWORD).from(source).send().await;
    assert_eq!(reply.status, 200);
}

/// The mails that leave now.
async fn delivered(app: &TestApp, server: &SmtpServer) -> Vec<Mail> {
    app.deliver().await;
    server.take()
}

async fn the_one_delivered(app: &TestApp, server: &SmtpServer) -> Mail {
    let mut mails = delivered(app, server).await;
    assert_eq!(mails.len(), 1, "{mails:?}");
    let mail = mails.remove(0);
    assert_eq!(mail.to, [EMAIL]);
    mail
}

on_each_engine! {
    async fn a_login_is_told_of_if_its_source_is_not_familiar(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        assert!(app.can_log_in(EMAIL, PASSWORD).await);
        assert!(delivered(&app, &server).await.is_empty(), "from where they signed up");

        let log_in = app.log_in(EMAIL, PASSWORD).from(ELSEWHERE);
        log_in.header("user-agent", FIREFOX).send().await;
        let mail = the_one_delivered(&app, &server).await;
        assert_eq!(mail.header("Subject"), "New login to your Holberton account");
        for part in [&mail.text, &mail.html] {
            for words in [EMAIL, "Holberton (auth.example.org)", "15 January 2027, 08:00 UTC", "Firefox on Linux, IP address 192.0.2.7"] {
                assert!(part.contains(words), "{words}: {part}");
            }
        }
        assert_eq!(mail.link(), format!("{PUBLIC_URL}/reset_password"), "no token");

        log_in_from(&app, ELSEWHERE).await;
        app.clock.turn(Duration::from_hours(29 * 24));
        log_in_from(&app, ELSEWHERE).await;
        assert!(delivered(&app, &server).await.is_empty(), "familiar by now");
        app.clock.turn(Duration::from_hours(30 * 24));
        log_in_from(&app, ELSEWHERE).await;
        let mail = the_one_delivered(&app, &server).await;
        assert!(mail.text.contains("not logged in for 30 days"), "{}", mail.text);
    }

    async fn a_login_that_fails_is_not_told_of(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        app.log_in(EMAIL, "wrong").from(ELSEWHERE).send().await.assert_refusal(401, "wrong email or password");
        app.inside.execute("UPDATE users SET locked_at = 1").await;
        app.log_in(EMAIL, PASSWORD).from(ELSEWHERE).send().await.assert_refusal(403, "account locked");
        assert_eq!(app.inside.count("outbox").await, 0);
    }

    async fn many_logins_are_told_of_seldom_but_the_last_one_is(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        log_in_from(&app, "192.0.2.1").await;
        the_one_delivered(&app, &server).await;
        for number in 2..20 {
            app.clock.turn(Duration::from_secs(10));
            log_in_from(&app, &format!("192.0.2.{number}")).await;
            assert!(delivered(&app, &server).await.is_empty());
        }
        app.clock.turn(Duration::from_secs(119));
        assert!(delivered(&app, &server).await.is_empty());
        app.clock.turn(Duration::from_secs(1));
        assert_eq!(MAIL_PAUSE, Duration::from_mins(5));
        let mail = the_one_delivered(&app, &server).await;
        assert!(mail.text.contains("IP address 192.0.2.19"), "{}", mail.text);
        app.clock.turn(MAIL_PAUSE);
        assert!(delivered(&app, &server).await.is_empty());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 0);
    }

    async fn a_login_while_its_mail_is_under_way_is_told_of_after_the_pause(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        log_in_from(&app, "192.0.2.1").await;
        assert_eq!(app.claim_mails(Duration::from_mins(2)).await, 1);
        log_in_from(&app, "192.0.2.2").await;
        assert!(delivered(&app, &server).await.is_empty());
        app.clock.turn(MAIL_PAUSE);
        let mail = the_one_delivered(&app, &server).await;
        assert!(mail.text.contains("IP address 192.0.2.2"), "{}", mail.text);
    }

    async fn who_logs_in_cannot_choose_what_the_owner_reads(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        let log_in = app.log_in(EMAIL, PASSWORD).from(ELSEWHERE).header("user-agent", "call-0800-123456.example");
        assert_eq!(log_in.header("accept-language", "fr").send().await.status, 200);
        let mail = the_one_delivered(&app, &server).await;
        assert!(!mail.text.contains("0800") && !mail.html.contains("0800"), "{}", mail.text);
        assert!(mail.text.contains("un programme inconnu ici, adresse IP 192.0.2.7"), "{}", mail.text);
    }

    async fn nobody_is_told_of_logins_where_that_is_off(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        let app = app.with_rules(bienvenue::auth::Auth::without_login_notices);
        log_in_from(&app, ELSEWHERE).await;
        assert!(delivered(&app, &server).await.is_empty());
        assert_eq!(app.inside.count("outbox").await, 0);
    }

    async fn the_deletion_of_an_account_is_told_of_at_its_address(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.ask_reset(EMAIL).send().await;
        app.clock.turn(Duration::from_hours(1));
        assert!(app.is_logged_in(&session).await);
        app.assert_refused(app.delete_user(&session), 403, "log in again").await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(app.delete_user(&session).send().await.status, 200);
        // By then somebody else may have the address.
        app.registered(EMAIL, "another").await;
        let mail = the_one_delivered(&app, &server).await;
        assert_eq!(mail.header("Subject"), "Your Holberton account was deleted");
        for part in [&mail.text, &mail.html] {
            for words in [EMAIL, "Holberton (auth.example.org)", "15 January 2027, 09:00 UTC"] {
                assert!(part.contains(words), "{words}: {part}");
            }
            assert!(!part.contains("href"), "{part}");
        }
    }

    async fn a_deletion_is_told_of_when_the_mail_server_is_back(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_user(database, &server).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        server.go_down();
        assert_eq!(app.delete_user(&session).send().await.status, 200);
        assert!(delivered(&app, &server).await.is_empty());
        server.accept();
        app.clock.turn(Duration::from_mins(1));
        the_one_delivered(&app, &server).await;
    }
}
