//! The worker that sends mails: what it does when that fails, and that nobody else does it too.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use bienvenue::auth::{Auth, MAIL_PAUSE};
use tokio::time::timeout;

use crate::on_each_engine;
use crate::support::smtp_server::{SmtpServer, Tls};
use crate::support::{Database, TestApp};

const EMAIL: &str = "bob@example.org";
/// Half as long as a worker with nothing to do rests that is not woken.
const PATIENCE: Duration = Duration::from_secs(5);
const A_MINUTE: Duration = Duration::from_mins(1);

/// An app with a user, who has asked for a reset.
async fn app_that_was_asked(database: Database, server: &SmtpServer) -> TestApp {
    let mailer = server.mailer().with_time_limit(Duration::from_millis(300));
    let app = TestApp::mailing(database, mailer).await;
    app.registered(EMAIL, "b4l0u").await;
    assert_eq!(app.ask_reset(EMAIL).send().await.status, 200);
    app
}

/// That the server has one mail, whose token works.
async fn assert_one_mail_that_works(app: &TestApp, server: &SmtpServer) {
    let mails = server.take();
    let [mail] = &mails[..] else {
        panic!("{mails:?}");
    };
    assert_eq!(mail.to, [EMAIL]);
    assert_eq!(
        app.reset(EMAIL, &mail.token(), "new").send().await.status,
        200
    );
}

on_each_engine! {
    async fn a_mail_that_cannot_be_sent_now_is_sent_later(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        for state in [
            SmtpServer::go_down as fn(&SmtpServer),
            SmtpServer::tarpit,
            |server| server.refuse(451),
            |server| server.refuse(421),
        ] {
            let database = match database.folder {
                Some(_) => Database::sqlite(),
                None => Database::postgres().await.unwrap(),
            };
            let app = app_that_was_asked(database, &server).await;
            state(&server);
            assert_eq!(app.deliver().await, 1);
            assert!(server.take().is_empty());

            server.accept();
            app.clock.turn(A_MINUTE.checked_sub(Duration::from_secs(1)).unwrap());
            assert_eq!(app.deliver().await, 0);
            app.clock.turn(Duration::from_secs(1));
            assert_eq!(app.deliver().await, 1);
            assert_one_mail_that_works(&app, &server).await;
        }
    }

    async fn a_mail_refused_for_good_is_not_tried_again_but_may_be_asked_for_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        server.refuse(550);
        assert_eq!(app.deliver().await, 1);
        server.accept();
        app.clock.turn(MAIL_PAUSE);
        assert_eq!(app.deliver().await, 0);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_one_mail_that_works(&app, &server).await;
    }

    async fn a_wrong_password_of_ours_is_no_refusal_of_the_mail(database: Database) {
        let options = ["--login", "me:s3cret"];
        let Some(server) = SmtpServer::start_with("127.0.0.1", Tls::None, &options) else { return };
        let app = TestApp::mailing(database, server.mailer_by("smtp", "me:wrong@", false)).await;
        app.registered(EMAIL, "b4l0u").await;
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert!(server.take().is_empty());

        app.clock.turn(A_MINUTE);
        let put_right = app.another_instance(server.mailer_by("smtp", "me:s3cret@", false)).await;
        assert_eq!(put_right.deliver_due().await.unwrap(), 1);
        assert_one_mail_that_works(&app, &server).await;
    }

    async fn the_waits_between_tries_grow_to_an_hour_and_end_after_a_day(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        server.go_down();
        let mut tries = Vec::new();
        for minute in 0..26 * 60 {
            if app.deliver().await > 0 {
                tries.push(minute);
            }
            app.clock.turn(A_MINUTE);
        }
        assert_eq!(tries[..8], [0, 1, 3, 7, 15, 31, 63, 123]);
        assert!(tries[7..].windows(2).all(|pair| pair[1] - pair[0] == 60), "{tries:?}");
        let last = *tries.last().unwrap();
        assert!((24 * 60..25 * 60).contains(&last), "{tries:?}");
        app.clock.turn(Duration::from_hours(48));
        assert_eq!(app.deliver().await, 0);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 0);
    }

    async fn asking_again_while_the_server_is_down_brings_the_next_try_forward(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        server.go_down();
        for _ in 0..40 {
            app.deliver().await;
            app.clock.turn(A_MINUTE);
        }
        server.accept();
        assert_eq!(app.deliver().await, 0);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_one_mail_that_works(&app, &server).await;
    }

    async fn a_server_that_breaks_off_after_the_last_word_gets_the_mail_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        server.cut();
        assert_eq!(app.deliver().await, 1);
        let first = server.take().remove(0).token();
        server.accept();
        app.clock.turn(A_MINUTE);
        assert_eq!(app.deliver().await, 1);
        let second = server.take().remove(0).token();
        assert_eq!(first, second, "the owner may follow either link");
        assert_eq!(app.reset(EMAIL, &first, "new").send().await.status, 200);
    }

    async fn a_silent_server_holds_nobody_up_for_longer_than_the_limit(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        server.tarpit();
        let started = Instant::now();
        assert_eq!(app.auth.deliver_due().await.unwrap(), 1);
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    async fn what_was_asked_for_is_sent_after_a_restart(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        server.go_down();
        app.deliver().await;
        app.db.close().await;

        server.accept();
        app.clock.turn(A_MINUTE);
        let restarted = app.another_instance(server.mailer()).await;
        assert_eq!(restarted.deliver_due().await.unwrap(), 1);
        assert_eq!(server.take().len(), 1);
        assert_eq!(restarted.deliver_due().await.unwrap(), 0);
    }

    async fn what_a_worker_died_over_is_taken_by_another_after_a_while(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_that_was_asked(database, &server).await;
        assert_eq!(app.claim_mails(2 * A_MINUTE).await, 1);
        app.clock.turn(A_MINUTE);
        assert_eq!(app.deliver().await, 0);
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 0, "it may be on its way");
        app.clock.turn(A_MINUTE);
        assert_eq!(app.deliver().await, 1);
        assert_one_mail_that_works(&app, &server).await;
    }

    async fn two_instances_send_each_mail_once(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        let users: HashSet<String> = (0..20).map(|number| format!("user{number}@example.org")).collect();
        for user in &users {
            app.registered(user, "b4l0u").await;
        }
        let other = app.another_instance(server.mailer()).await;
        for round in 0..3 {
            for user in &users {
                app.ask_reset(user).send().await;
            }
            let all = |auth: Auth| async move {
                while auth.deliver_due().await.unwrap() > 0 {}
            };
            tokio::join!(all(app.auth.clone()), all(other.clone()), all(app.auth.clone()), all(other.clone()));
            let mails = server.take();
            let got: HashSet<String> = mails.iter().map(|mail| mail.to[0].clone()).collect();
            assert_eq!((mails.len(), &got), (20, &users), "in round {round}");
            app.clock.turn(MAIL_PAUSE);
        }
    }

    async fn a_running_worker_sends_what_is_asked_for_at_once(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        app.registered(EMAIL, "b4l0u").await;
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let auth = app.auth.clone();
        let worker = tokio::spawn(async move {
            auth.deliver_until(async { drop(stopped.await) }).await;
        });
        let wait_for_mail = || {
            let started = Instant::now();
            let mails = tokio::task::block_in_place(|| server.wait());
            assert!(started.elapsed() < PATIENCE, "woken, not by the timer");
            mails
        };
        // It looks once more when all is written down, which takes less than a login.
        let let_it_rest = async || {
            let all_done = async {
                while app.inside.count("outbox WHERE due_at IS NOT NULL").await > 0 {
                    tokio::task::yield_now().await;
                }
            };
            timeout(6 * PATIENCE, all_done).await.expect("a mail that is noted as sent");
            app.logged_in(EMAIL, "b4l0u").await;
        };
        let_it_rest().await;
        app.ask_reset(EMAIL).send().await;
        let mails = wait_for_mail();
        let_it_rest().await;
        let token = mails[0].token();
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        assert!(wait_for_mail()[0].header("Subject").contains("was changed"));
        stop.send(()).unwrap();
        worker.await.unwrap();
    }
}
