//! Links of mails that are tried again: the server took the mail and broke off before it said so.

use std::time::Duration;

use bienvenue::auth::{EMAIL_TOKEN_LIFETIME, MAIL_PAUSE, SIGN_UP_TOKEN_LIFETIME, SignUpMode};

use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{Database, LIFETIMES, TestApp};

const EMAIL: &str = "bob@example.org";
const OTHER: &str = "eve@example.org";
const NEW: &str = "new@example.org";
const PASSWORD: &str = "b4l0u";
const A_MINUTE: Duration = Duration::from_mins(1);
const A_SECOND: Duration = Duration::from_secs(1);

/// An app with two users, where links go by mail, and a session of the first one.
async fn app_with_mail(database: Database, server: &SmtpServer) -> (TestApp, String) {
    let app = TestApp::mailing(database, server.mailer()).await;
    app.registered(EMAIL, PASSWORD).await;
    app.registered(OTHER, PASSWORD).await;
    let session = app.logged_in(EMAIL, PASSWORD).await;
    let app = app.with_rules(|auth| auth.with_sign_up(SignUpMode::Verified));
    (app, session)
}

/// The token in the one mail that is due now and goes to an address.
async fn delivered(app: &TestApp, server: &SmtpServer, to: &str) -> String {
    assert_eq!(app.deliver().await, 1);
    let mails = server.take();
    let [mail] = &mails[..] else {
        panic!("{mails:?}");
    };
    assert_eq!(mail.to, [to]);
    mail.token()
}

/// The token in the one mail that is due now, which the server takes and breaks off.
async fn delivered_and_cut(app: &TestApp, server: &SmtpServer, to: &str) -> String {
    server.cut();
    delivered(app, server, to).await
}

/// Tries the mail again, which the server refuses for now.
async fn refused(app: &TestApp, server: &SmtpServer) {
    server.refuse(451);
    app.clock.turn(A_MINUTE);
    assert_eq!(app.deliver().await, 1);
    assert!(server.take().is_empty());
}

/// Tries all mails again, which the server takes.
async fn accepted(app: &TestApp, server: &SmtpServer) {
    server.accept();
    app.clock.turn(A_MINUTE);
    assert!(app.deliver().await > 0);
}

/// Moves the user to another address, by a link in a mail. Returns the new session.
async fn moved(app: &TestApp, server: &SmtpServer, session: &str) -> String {
    app.ask_address(session, NEW).send().await;
    let token = delivered(app, server, NEW).await;
    let reply = app.change_address(session, &token).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.session_id().unwrap()
}

on_each_engine! {
    async fn a_delivered_reset_link_outlives_a_try_that_is_refused(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        refused(&app, &server).await;
        // As long as the mail says that was tried last.
        app.clock.turn(LIFETIMES.reset_token.checked_sub(A_SECOND).unwrap());
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn a_delivered_link_to_sign_up_outlives_a_try_that_is_refused(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_sign_up(NEW).send().await;
        let token = delivered_and_cut(&app, &server, NEW).await;
        refused(&app, &server).await;
        app.clock.turn(SIGN_UP_TOKEN_LIFETIME.checked_sub(A_SECOND).unwrap());
        assert_eq!(app.finish_sign_up(NEW, &token, PASSWORD).send().await.status, 200);
    }

    async fn a_delivered_link_to_a_new_address_outlives_a_try_that_is_refused(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.ask_address(&session, NEW).send().await;
        let token = delivered_and_cut(&app, &server, NEW).await;
        refused(&app, &server).await;
        app.clock.turn(EMAIL_TOKEN_LIFETIME.checked_sub(A_SECOND).unwrap());
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }

    async fn a_delivered_link_to_undo_a_change_outlives_a_try_that_is_refused(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        moved(&app, &server, &session).await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        refused(&app, &server).await;
        assert_eq!(app.undo_address(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn a_used_reset_link_stays_dead_when_its_mail_is_tried_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        accepted(&app, &server).await;
        let mails = server.take();
        let mail = mails.iter().find(|mail| mail.header("Subject").starts_with("Reset")).unwrap();
        app.assert_refused(app.reset(EMAIL, &token, "newer"), 403, "invalid reset token").await;
        assert_eq!(app.reset(EMAIL, &mail.token(), "newer").send().await.status, 200);
    }

    async fn a_used_link_to_sign_up_stays_dead_when_its_mail_is_tried_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_sign_up(NEW).send().await;
        let token = delivered_and_cut(&app, &server, NEW).await;
        assert_eq!(app.finish_sign_up(NEW, &token, PASSWORD).send().await.status, 200);
        let session = app.logged_in(NEW, PASSWORD).await;
        for is_deleted in [false, true] {
            if is_deleted {
                assert_eq!(app.delete_user(&session).send().await.status, 200);
                app.inside.execute("UPDATE outbox SET due_at = 0, attempts = 1 WHERE kind = 'sign_up'").await;
            }
            accepted(&app, &server).await;
            let call = app.finish_sign_up(NEW, &token, "newer");
            app.assert_refused(call, 403, "invalid sign-up token").await;
        }
    }

    async fn a_used_link_to_a_new_address_stays_dead_when_its_mail_is_tried_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.ask_address(&session, NEW).send().await;
        let token = delivered_and_cut(&app, &server, NEW).await;
        let session = app.change_address(&session, &token).send().await.session_id().unwrap();
        accepted(&app, &server).await;
        app.assert_refused(app.change_address(&session, &token), 403, "invalid email token").await;
        assert_eq!(app.inside.count("pending_addresses").await, 0);
    }

    async fn a_used_link_to_undo_a_change_stays_dead_when_its_mail_is_tried_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        moved(&app, &server, &session).await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        assert_eq!(app.undo_address(EMAIL, &token, "new").send().await.status, 200);
        accepted(&app, &server).await;
        app.assert_refused(app.undo_address(EMAIL, &token, "newer"), 403, "invalid undo token").await;
        assert_eq!(app.inside.count("past_addresses").await, 0);
    }

    async fn an_expired_link_that_is_deleted_stays_dead_when_its_mail_is_tried_again(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        app.clock.turn(LIFETIMES.reset_token);
        app.auth.purge_expired().await.unwrap();
        server.accept();
        let newer = delivered(&app, &server, EMAIL).await;
        app.assert_refused(app.reset(EMAIL, &token, "new"), 403, "invalid reset token").await;
        assert_eq!(app.reset(EMAIL, &newer, "new").send().await.status, 200);
    }

    async fn who_asks_for_a_mail_anew_gets_another_link(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        refused(&app, &server).await;
        server.accept();
        app.clock.turn(MAIL_PAUSE);
        app.ask_reset(EMAIL).send().await;
        let newer = delivered(&app, &server, EMAIL).await;
        app.assert_refused(app.reset(EMAIL, &token, "new"), 403, "invalid reset token").await;
        assert_eq!(app.reset(EMAIL, &newer, "new").send().await.status, 200);
    }

    async fn who_asks_for_the_address_between_two_tries_has_the_same_link(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.ask_address(&session, NEW).send().await;
        let token = delivered_and_cut(&app, &server, NEW).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        app.ask_address(&of_other, NEW).send().await;
        server.accept();
        app.clock.turn(A_MINUTE);
        assert_eq!(delivered(&app, &server, NEW).await, token);
        assert_eq!(app.change_address(&of_other, &token).send().await.status, 200);
    }

    async fn a_link_of_which_another_has_taken_the_place_stays_dead(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        let token = delivered_and_cut(&app, &server, EMAIL).await;
        // Another instance remembers none.
        let another = app.another_instance(server.mailer()).await;
        app.clock.turn(A_MINUTE);
        assert_eq!(another.deliver_due().await.unwrap(), 1);
        let newer = server.take().remove(0).token();
        app.assert_refused(app.reset(EMAIL, &token, "new"), 403, "invalid reset token").await;
        app.clock.turn(2 * A_MINUTE);
        server.accept();
        let newest = delivered(&app, &server, EMAIL).await;
        for dead in [token, newer] {
            app.assert_refused(app.reset(EMAIL, &dead, "new"), 403, "invalid reset token").await;
        }
        assert_eq!(app.reset(EMAIL, &newest, "new").send().await.status, 200);
    }
}
