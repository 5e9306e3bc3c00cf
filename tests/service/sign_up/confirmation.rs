//! When it is established that an address is a user's: by what was mailed, and by nothing else.

use bienvenue::auth::SignUpMode;

use super::{EMAIL, NEW, PASSWORD, app_with_mail, app_without_mail, mailed_token, only};
use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::smtp_server::SmtpServer;

/// When the address was confirmed; -1 if it was not.
async fn confirmed_at(app: &TestApp, email: &str) -> i64 {
    let query =
        format!("SELECT coalesce(email_confirmed_at, -1) FROM users WHERE email = '{email}'");
    app.inside.number(&query).await
}

on_each_engine! {
    async fn a_sign_up_by_mail_confirms_the_address(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, NEW).await;
        app.finish_sign_up(NEW, &token, PASSWORD).send().await;
        let created_at = app.inside.number("SELECT created_at FROM users WHERE email = 'new@example.org'").await;
        assert_eq!(confirmed_at(&app, NEW).await, created_at);
        assert_eq!(confirmed_at(&app, EMAIL).await, -1, "signed up at once");
    }

    async fn a_sign_up_by_a_token_in_the_answer_confirms_nothing(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        app.finish_sign_up(NEW, &token, PASSWORD).send().await;
        assert_eq!(confirmed_at(&app, NEW).await, -1);
    }

    async fn a_reset_by_mail_confirms_the_address_once(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        let mut confirmed = -1;
        for password in ["first", "second"] {
            app.ask_reset(EMAIL).send().await;
            app.deliver().await;
            let token = only(server.take()).token();
            assert_eq!(confirmed_at(&app, EMAIL).await, confirmed, "asking confirms nothing");
            let now = 1_800_000_000;
            assert_eq!(app.reset(EMAIL, &token, password).send().await.status, 200);
            app.deliver().await;
            server.take();
            confirmed = now;
            assert_eq!(confirmed_at(&app, EMAIL).await, confirmed, "and a second one changes nothing");
            app.clock.turn(bienvenue::auth::MAIL_PAUSE);
        }
    }

    async fn a_refused_reset_confirms_nothing(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        let token = only(server.take()).token();
        let call = app.reset(NEW, &token, "new");
        app.assert_refused(call, 403, "invalid reset token").await;
        assert_eq!(confirmed_at(&app, EMAIL).await, -1);
    }

    async fn a_reset_by_a_token_in_the_answer_confirms_nothing(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        assert_eq!(confirmed_at(&app, EMAIL).await, -1);
    }

    async fn a_token_from_an_administrator_takes_the_place_of_a_mailed_one_and_confirms_nothing(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        server.take();
        // As without mail: the same statement stores the token of an administrator.
        let token = app.another().await.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        assert_eq!(confirmed_at(&app, EMAIL).await, -1);
    }

    async fn signing_up_at_once_confirms_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        assert_eq!(app.auth.sign_up_mode(), SignUpMode::Unverified);
        assert_eq!(confirmed_at(&app, EMAIL).await, -1);
    }
}
