//! How many notices go to one address, whatever is done again and again to have them sent there.

use std::collections::BTreeMap;
use std::time::Duration;

use bienvenue::auth::MAIL_PAUSE;

use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::smtp_server::{Mail, SmtpServer};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";
const ELSEWHERE: &str = "192.0.2.7";
const A_SECOND: Duration = Duration::from_secs(1);

const PASSWORD_CHANGED: &str = "Your Holberton password was changed";
const DELETED: &str = "Your Holberton account was deleted";
const LOGIN: &str = "New login to your Holberton account";
const RESET: &str = "Reset your Holberton password";

/// The subjects of the mails that leave now, all of which go to the address.
async fn delivered(app: &TestApp, server: &SmtpServer) -> Vec<String> {
    app.deliver().await;
    let mails = server.take();
    let to_address = |mail: &Mail| mail.to == [EMAIL];
    assert!(mails.iter().all(to_address), "{mails:?}");
    let mut subjects: Vec<String> = mails
        .iter()
        .map(|mail| mail.header("Subject").to_owned())
        .collect();
    subjects.sort();
    subjects
}

async fn change_password(app: &TestApp, session: &str) -> String {
    let reply = app
        .change_password(session, PASSWORD, PASSWORD)
        .send()
        .await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.session_id().unwrap()
}

async fn delete(app: &TestApp, session: &str) {
    let reply = app.delete_user(session).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

on_each_engine! {
    async fn many_changes_of_a_password_are_told_of_seldom_but_the_last_one_is(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        app.registered(EMAIL, PASSWORD).await;
        let mut session = app.logged_in(EMAIL, PASSWORD).await;
        session = change_password(&app, &session).await;
        assert_eq!(delivered(&app, &server).await, [PASSWORD_CHANGED]);
        for _ in 0..20 {
            app.clock.turn(Duration::from_secs(10));
            session = change_password(&app, &session).await;
            assert!(delivered(&app, &server).await.is_empty());
        }
        app.clock.turn(Duration::from_secs(99));
        assert!(delivered(&app, &server).await.is_empty());
        app.clock.turn(A_SECOND);
        app.deliver().await;
        let [mail] = &server.take()[..] else { panic!("one mail") };
        assert_eq!(mail.header("Subject"), PASSWORD_CHANGED);
        assert!(mail.text.contains("15 January 2027, 08:03 UTC"), "of the last one: {}", mail.text);
        app.clock.turn(MAIL_PAUSE);
        assert!(delivered(&app, &server).await.is_empty());
    }

    async fn who_deletes_and_signs_up_again_and_again_sends_no_more_mails(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let mut count = |subjects: Vec<String>| {
            for subject in subjects {
                *counts.entry(subject).or_default() += 1;
            }
        };
        for _ in 0..15 {
            app.registered(EMAIL, PASSWORD).await;
            let log_in = app.log_in(EMAIL, PASSWORD).from(ELSEWHERE);
            let session = log_in.send().await.session_id().unwrap();
            count(delivered(&app, &server).await);
            let session = change_password(&app, &session).await;
            app.clock.turn(Duration::from_secs(10));
            count(delivered(&app, &server).await);
            delete(&app, &session).await;
            app.clock.turn(Duration::from_secs(10));
            count(delivered(&app, &server).await);
        }
        app.clock.turn(MAIL_PAUSE);
        // The last deletion; what was done before it is no news any more.
        let last = delivered(&app, &server).await;
        assert_eq!(last, [DELETED]);
        for subject in [PASSWORD_CHANGED, DELETED, LOGIN] {
            assert_eq!(counts.remove(subject), Some(1), "{subject}, within five minutes");
        }
        assert!(counts.is_empty(), "{counts:?}");
    }

    async fn each_deletion_of_an_account_leaves_the_pauses_of_news_alone_and_ends_that_of_links(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        for is_by_operator in [true, false] {
            app.registered(EMAIL, PASSWORD).await;
            let log_in = app.log_in(EMAIL, PASSWORD).from(ELSEWHERE);
            let session = log_in.send().await.session_id().unwrap();
            app.ask_reset(EMAIL).send().await;
            assert_eq!(delivered(&app, &server).await, [LOGIN, RESET]);
            // These two wait for the end of the pause.
            app.log_in(EMAIL, PASSWORD).from("192.0.2.8").send().await;
            app.clock.turn(A_SECOND);
            if is_by_operator {
                let user = app.db.users.find_by_email(&EMAIL.parse().unwrap()).await.unwrap().unwrap();
                app.administration().delete(user.id).await.unwrap();
            } else {
                delete(&app, &session).await;
                assert_eq!(delivered(&app, &server).await, [DELETED]);
            }
            let nothing_else = "due_at IS NULL AND claim IS NULL AND network IS NULL AND client IS NULL AND source IS NULL";
            let rows = if is_by_operator { 1 } else { 2 };
            assert_eq!(app.inside.count("outbox").await, rows);
            assert_eq!(app.inside.count(&format!("outbox WHERE {nothing_else}")).await, rows);

            app.registered(EMAIL, PASSWORD).await;
            app.ask_reset(EMAIL).send().await;
            assert_eq!(delivered(&app, &server).await, [RESET], "the link before is dead");
            app.log_in(EMAIL, PASSWORD).from("192.0.2.9").send().await;
            app.clock.turn(MAIL_PAUSE.checked_sub(A_SECOND * 2).unwrap());
            assert!(delivered(&app, &server).await.is_empty());
            app.clock.turn(A_SECOND);
            assert_eq!(delivered(&app, &server).await, [LOGIN]);
            // What is left goes with the pauses.
            let session = app.logged_in(EMAIL, PASSWORD).await;
            delete(&app, &session).await;
            app.clock.turn(MAIL_PAUSE);
            app.deliver().await;
            server.take();
            app.clock.turn(MAIL_PAUSE);
            app.auth.purge_expired().await.unwrap();
            assert_eq!(app.inside.count("outbox").await, 0);
        }
    }

    async fn what_happens_while_a_late_mail_is_under_way_is_told_after_the_pause(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        for is_deleted_meanwhile in [false, true] {
            app.clock.turn(MAIL_PAUSE * 2);
            server.go_down();
            let session = app.log_in(EMAIL, PASSWORD).send().await.session_id().unwrap();
            let session = change_password(&app, &session).await;
            assert!(delivered(&app, &server).await.is_empty());
            server.accept();
            // The pause that began with the change is over.
            app.clock.turn(MAIL_PAUSE);
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let auth = app.auth.clone();
            let worker = tokio::spawn(async move {
                auth.deliver_until(async { drop(stopped.await) }).await;
            });
            let first = tokio::task::block_in_place(|| server.wait());
            assert_eq!(first.len(), 1);
            // It is not written down yet that the mail was sent.
            let session = if is_deleted_meanwhile {
                let user = app.db.users.find_by_email(&EMAIL.parse().unwrap()).await.unwrap().unwrap();
                app.administration().delete(user.id).await.unwrap();
                app.registered(EMAIL, PASSWORD).await;
                app.logged_in(EMAIL, PASSWORD).await
            } else {
                session
            };
            change_password(&app, &session).await;
            drop(stop);
            worker.await.unwrap();
            app.clock.turn(MAIL_PAUSE.checked_sub(A_SECOND).unwrap());
            assert!(delivered(&app, &server).await.is_empty(), "{is_deleted_meanwhile}");
            app.clock.turn(A_SECOND);
            assert_eq!(delivered(&app, &server).await, [PASSWORD_CHANGED], "{is_deleted_meanwhile}");
        }
        drop(session);
    }

    async fn a_pause_that_was_stored_while_a_clock_was_wrong_holds_up_nothing(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = TestApp::mailing(database, server.mailer()).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let session = change_password(&app, &session).await;
        assert_eq!(delivered(&app, &server).await, [PASSWORD_CHANGED]);
        let make_wrong = "UPDATE outbox SET quiet_until = quiet_until + 1800";
        app.inside.execute(make_wrong).await;
        let session = change_password(&app, &session).await;
        assert_eq!(delivered(&app, &server).await, [PASSWORD_CHANGED]);
        app.inside.execute(make_wrong).await;
        delete(&app, &session).await;
        assert_eq!(app.inside.count("outbox WHERE kind <> 'account_deleted'").await, 0);
        assert_eq!(delivered(&app, &server).await, [DELETED]);
    }
}
