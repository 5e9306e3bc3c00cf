//! Mails that were recorded while a clock was wrong.

use std::time::Duration;

use bienvenue::auth::MAIL_PAUSE;

use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, TestApp};

const EMAIL: &str = "bob@example.org";
const A_YEAR: Duration = Duration::from_hours(365 * 24);

/// An app with a user, whose clock is a year ahead, and its mail server.
async fn app_ahead_of_time(database: Database) -> Option<(TestApp, SmtpServer)> {
    let server = SmtpServer::start()?;
    let app = TestApp::mailing(database, server.mailer()).await;
    app.registered(EMAIL, "b4l0u").await;
    app.clock.turn(A_YEAR);
    Some((app, server))
}

on_each_engine! {
    async fn a_pause_that_begins_in_the_future_silences_no_mail(database: Database) {
        let Some((app, server)) = app_ahead_of_time(database).await else { return };
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_eq!(server.take().len(), 1);

        app.clock.turn_back(A_YEAR);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_eq!(server.take().len(), 1);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 0, "the pause after this one counts");
    }

    async fn a_clock_that_is_a_little_ahead_does_not_shorten_the_pause(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        app.registered(EMAIL, "b4l0u").await;
        let ahead = Duration::from_mins(4);
        app.clock.turn(ahead);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        app.clock.turn_back(ahead);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 0);
    }

    async fn a_mail_postponed_into_an_impossible_future_is_due_now(database: Database) {
        let Some((app, server)) = app_ahead_of_time(database).await else { return };
        server.go_down();
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);

        server.accept();
        app.clock.turn_back(A_YEAR);
        assert_eq!(app.deliver().await, 1);
        assert_eq!(server.take().len(), 1);
    }

    async fn a_mail_claimed_by_a_clock_that_was_ahead_is_claimed_by_another(database: Database) {
        let Some((app, server)) = app_ahead_of_time(database).await else { return };
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.claim_mails(Duration::from_mins(2)).await, 1);
        app.clock.turn_back(A_YEAR);
        assert_eq!(app.deliver().await, 1);
        assert_eq!(server.take().len(), 1);
    }

    async fn a_mail_claimed_by_a_clock_that_was_ahead_can_be_asked_for_anew(database: Database) {
        let Some((app, _server)) = app_ahead_of_time(database).await else { return };
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.claim_mails(Duration::from_mins(2)).await, 1);
        app.clock.turn_back(A_YEAR);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.inside.count("outbox WHERE claim IS NULL").await, 1);
    }

    async fn a_mail_asked_for_in_the_future_is_given_up_after_a_day_too(database: Database) {
        let Some((app, server)) = app_ahead_of_time(database).await else { return };
        server.go_down();
        app.ask_reset(EMAIL).send().await;
        app.clock.turn_back(A_YEAR);
        let mut last_try = 0;
        for hour in 0..30 {
            if app.deliver().await > 0 {
                last_try = hour;
            }
            app.clock.turn(Duration::from_hours(1));
        }
        assert_eq!(last_try, 24);
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
    }

    async fn a_clock_that_is_set_forward_gives_no_mail_up_before_ten_tries(database: Database) {
        for comes_back in [true, false] {
            let database = match database.folder {
                Some(_) => Database::sqlite(),
                None => Database::postgres().await.unwrap(),
            };
            let Some(server) = SmtpServer::start() else { return };
            let app = TestApp::mailing(database, server.mailer()).await;
            app.registered(EMAIL, "b4l0u").await;
            server.go_down();
            app.ask_reset(EMAIL).send().await;
            assert_eq!(app.deliver().await, 1);
            app.clock.turn(A_YEAR);
            let mut tries = 1;
            for _ in 0..8 {
                assert_eq!(app.deliver().await, 1);
                tries += 1;
                app.clock.turn(Duration::from_hours(1));
            }
            if comes_back {
                server.accept();
                assert_eq!(app.deliver().await, 1);
                let token = server.take().remove(0).token();
                assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
                continue;
            }
            assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 1);
            tries += app.deliver().await;
            assert_eq!(tries, 10);
            assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
        }
    }

    async fn a_note_of_a_mail_from_the_future_is_forgotten(database: Database) {
        let Some((app, _server)) = app_ahead_of_time(database).await else { return };
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        app.clock.turn_back(A_YEAR);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 0);

        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        app.clock.turn_back(MAIL_PAUSE);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 1, "clocks differ a little");
    }
}
