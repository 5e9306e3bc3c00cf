//! Users who are locked.

use bienvenue::auth::{Error, LogIn};
use bienvenue::language::Language;
use bienvenue::user::UserKey;

use super::*;
use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{TestApp, home};

fn bob() -> UserKey {
    EMAIL.parse().unwrap()
}

on_each_engine! {
    async fn a_locked_user_is_out_at_once_and_stays_out(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let token = server.reset_token(EMAIL).await;
        assert!(server.is_logged_in(&session).await);
        let locked = run(&database, &["users", "lock", EMAIL]).done();
        assert_eq!(locked.audit()["event"], "locked");

        server.profile(&session).send().await.assert_refusal(403, "not logged in");
        server.log_in(EMAIL, PASSWORD).send().await.assert_refusal(403, "account locked");
        server.log_in(EMAIL, "wrong").send().await.assert_refusal(401, "wrong email or password");
        server.ask_reset(EMAIL).send().await.assert_refusal(403, "account locked");
        server.reset(EMAIL, &token, "n3w").send().await.assert_refusal(403, "invalid reset token");
        server.register(EMAIL, PASSWORD).send().await.assert_refusal(400, "email already registered");
        for (language, text) in [("en", "This account is locked."), ("fr", "Ce compte est bloqué.")] {
            let page = server.log_in(EMAIL, PASSWORD).in_language(language).send().await;
            assert_eq!(page.status, 403);
            let page = String::from_utf8(page.body).unwrap();
            assert!(page.contains(text), "{page}");
        }
        let list = |option: &[&str]| run(&database, &[&["users", "list", "--json"], option].concat()).json();
        assert_eq!(list(&["--locked"]).len(), 1);
        let again = run(&database, &["users", "lock", EMAIL]).done();
        assert!(again.stderr.contains("locked already") && !again.stderr.contains("audit"), "{again:?}");
        run(&database, &["users", "reset-link", EMAIL]).refused(1, "user 1 is locked");
        run(&database, &["users", "reset-link", EMAIL, "--mail"]).refused(1, "user 1 is locked");

        let unlocked = run(&database, &["users", "unlock", EMAIL]).done();
        assert_eq!(unlocked.audit()["event"], "unlocked");
        assert!(!server.is_logged_in(&session).await);
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
        assert_eq!(list(&["--locked"]).len(), 0);
        let (_, log) = server.stop();
        assert!(log.contains("locked_login"), "{log}");
    }

    async fn a_wrong_password_costs_the_same_whether_a_user_is_locked_or_not(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let spent = async |password: &str| {
            let before = app.passwords.rounds_spent();
            let reply = app.log_in(EMAIL, password).send().await;
            (app.passwords.rounds_spent() - before, reply.status.as_u16())
        };
        let (before, _) = spent("wrong").await;
        app.administration().lock(&bob()).await.unwrap();
        assert_eq!(spent("wrong").await, (before, 401));
        assert_eq!(spent(PASSWORD).await, (before, 403));
    }

    async fn no_login_that_races_a_lock_leaves_a_session(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let administration = app.administration();
        let (mut begun, mut refused) = (0, 0);
        for round in 0..100 {
            let (auth, password) = (app.auth.clone(), PASSWORD.parse().unwrap());
            let login = tokio::spawn(async move {
                let email = EMAIL.parse().unwrap();
                let log_in = LogIn {
                    email: Some(&email),
                    password: &password,
                    replaced: None,
                    client: None,
                    language: Language::English,
                };
                auth.log_in(log_in, home()).await
            });
            // Sooner in some rounds, later in others.
            for _ in 0..round * 4 {
                tokio::task::yield_now().await;
            }
            assert!(administration.lock(&bob()).await.unwrap());
            match login.await.unwrap() {
                Ok((_, session)) => {
                    begun += 1;
                    let found = app.auth.get_user_from_session_id(&session).await;
                    assert!(matches!(found, Err(Error::NoSession)), "round {round}: {found:?}");
                    administration.unlock(&bob()).await.unwrap();
                    let found = app.auth.get_user_from_session_id(&session).await;
                    assert!(matches!(found, Err(Error::NoSession)), "round {round}: {found:?}");
                }
                Err(Error::Locked) => {
                    refused += 1;
                    administration.unlock(&bob()).await.unwrap();
                }
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(begun + refused, 100);
    }

    async fn no_reset_mail_goes_to_a_locked_user(database: Database) {
        let Some(mails) = SmtpServer::start() else {
            return;
        };
        let app = TestApp::mailing(database, mails.mailer()).await;
        app.registered(EMAIL, PASSWORD).await;
        let administration = app.administration();
        // One that waits when the user is locked, and one that is asked for later.
        let before = app.ask_reset(EMAIL).send().await;
        administration.lock(&bob()).await.unwrap();
        app.deliver().await;
        app.clock.turn(std::time::Duration::from_mins(10));
        let after = app.ask_reset(EMAIL).send().await;
        assert_eq!((before.status, before.json()), (after.status, after.json()));
        app.deliver().await;
        assert!(mails.take().is_empty());
        assert_eq!(app.inside.count("reset_tokens").await, 0);
        // Nothing is left to do for them.
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);

        administration.unlock(&bob()).await.unwrap();
        app.clock.turn(std::time::Duration::from_mins(10));
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        assert_eq!(mails.take().len(), 1);
    }

    async fn a_locked_user_is_still_told_of_a_change_of_the_password(database: Database) {
        let Some(mails) = SmtpServer::start() else {
            return;
        };
        let app = TestApp::mailing(database, mails.mailer()).await;
        app.registered(EMAIL, PASSWORD).await;
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        let token = mails.take()[0].token();
        assert_eq!(app.reset(EMAIL, &token, "t4rt1fl3tt3").send().await.status, 200);
        app.administration().lock(&bob()).await.unwrap();
        app.deliver().await;
        assert_eq!(mails.take().len(), 1);
    }

    async fn a_link_that_is_asked_for_by_command_is_mailed_in_whatever_pause(database: Database) {
        let Some(mails) = SmtpServer::start() else {
            return;
        };
        let app = TestApp::mailing(database, mails.mailer()).await;
        app.registered(EMAIL, PASSWORD).await;
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        assert_eq!(mails.take().len(), 1);
        app.administration().mail_reset_link(&bob()).await.unwrap();
        app.deliver().await;
        let token = mails.take()[0].token();
        assert_eq!(app.reset(EMAIL, &token, "t4rt1fl3tt3").send().await.status, 200);
    }
}
