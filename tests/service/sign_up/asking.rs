//! `POST /users` where links to sign up go by mail.

use std::time::Duration;

use bienvenue::auth::rate_limit::RateLimits;
use bienvenue::auth::{MAIL_PAUSE, SIGN_UP_TOKEN_LIFETIME, SignUpMode};
use bienvenue::password::PasswordRule;
use serde_json::json;

use super::{EMAIL, INVALID, NEW, PASSWORD, app_with_mail, mailed_token, only};
use crate::on_each_engine;
use crate::support::client::Reply;
use crate::support::smtp_server::SmtpServer;
use crate::support::{NO_LIMITS, TestApp};

const ON_ITS_WAY: &str = "a link to finish is on its way";
const A_SECOND: Duration = Duration::from_secs(1);

/// Defines tests on each engine that have an app with a user and a mail server; without one they are
/// skipped.
macro_rules! with_mail {
    ($(async fn $name:ident($app:ident: TestApp, $server:ident: SmtpServer) $body:block)*) => {
        on_each_engine! {
            $(async fn $name(database: Database) {
                let Some($server) = SmtpServer::start() else { return };
                let $app = app_with_mail(database, &$server).await;
                $body
            })*
        }
    };
}

/// Everything in a reply that a client could tell two apart by.
fn visible(reply: &Reply) -> String {
    let headers = reply.headers.iter();
    let headers = headers.filter(|(name, _)| *name != "x-request-id");
    let body = String::from_utf8_lossy(&reply.body);
    format!("{} {:?} {body}", reply.status, headers.collect::<Vec<_>>())
}

with_mail! {
    async fn who_reads_the_mail_of_an_address_chooses_the_password(app: TestApp, server: SmtpServer) {
        let reply = app.ask_sign_up(" New@Example.org ").send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": ON_ITS_WAY }));
        assert_eq!(app.inside.count("sign_ups").await, 0, "made when it is sent");
        assert_eq!(app.deliver().await, 1);

        let mail = only(server.take());
        assert_eq!(mail.to, [NEW]);
        assert_eq!(mail.header("Subject"), "Finish creating your Holberton account");
        assert!(mail.text.contains("create an account for new@example.org at Holberton"), "{}", mail.text);
        assert!(mail.text.contains("once, until 16 January 2027, 08:00 UTC"), "{}", mail.text);
        assert!(mail.link().starts_with("https://auth.example.org/users?"), "{}", mail.link());
        assert!(mail.text.lines().any(|line| line == mail.link()), "{}", mail.text);
        assert_eq!(app.inside.count("users").await, 1, "nobody was added");

        let reply = app.finish_sign_up(NEW, &mail.token(), "t4rt1fl3tt3").send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": "user created" }));
        assert_eq!(reply.header("set-cookie"), None);
        assert!(app.can_log_in(NEW, "t4rt1fl3tt3").await);
        assert_eq!(app.deliver().await, 0);
    }

    async fn addresses_with_an_account_and_without_get_the_same_answer(app: TestApp, server: SmtpServer) {
        // As long as the other, so that the length of an answer tells nothing.
        let free = "nob@example.org";
        for state in [
            SmtpServer::accept as fn(&SmtpServer),
            |server| server.refuse(550),
            |server| server.refuse(451),
            SmtpServer::cut,
            SmtpServer::tarpit,
            SmtpServer::go_down,
        ] {
            state(&server);
            // The first time, in the pause, and while a mail is under way.
            for is_under_way in [false, false, true] {
                if is_under_way {
                    assert_eq!(app.claim_mails(MAIL_PAUSE).await, 2);
                }
                let before = app.passwords.rounds_spent();
                for with_password in [false, true] {
                    let ask = |email: &str| {
                        if with_password { app.register(email, PASSWORD) } else { app.ask_sign_up(email) }
                    };
                    let taken = ask(EMAIL).send().await;
                    taken.assert_is(200, &json!({ "email": EMAIL, "message": ON_ITS_WAY }));
                    assert_eq!(visible(&taken).replace(EMAIL, free), visible(&ask(free).send().await));
                }
                assert_eq!(app.passwords.rounds_spent(), before, "no password is hashed");
                let rows = app.inside.all_rows().await;
                let of = |email: &str| {
                    let row = rows.iter().find(|row| row.contains("outbox") && row.contains(email));
                    let (_, rest) = row.unwrap().split_once(email).unwrap();
                    rest.to_owned()
                };
                assert_eq!(of(EMAIL), of(free), "the same is recorded");
            }
            app.clock.turn(MAIL_PAUSE);
        }
        assert_eq!(app.inside.count("users").await, 1);
    }

    async fn the_owner_of_an_account_is_told_that_somebody_tried_to_sign_up(app: TestApp, server: SmtpServer) {
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let before = app.inside.rows_of_users().await;
        app.ask_sign_up(EMAIL).send().await;
        assert_eq!(app.deliver().await, 1);
        let mail = only(server.take());
        assert_eq!(mail.to, [EMAIL]);
        assert_eq!(mail.header("Subject"), "You already have a Holberton account");
        assert_eq!(mail.link(), "https://auth.example.org/sessions?email=bob%40example.org");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("https://auth.example.org/reset_password"), "{part}");
            assert!(!part.contains("token"), "{part}");
        }
        assert_eq!(app.inside.count("sign_ups").await, 0);
        assert_eq!(app.inside.rows_of_users().await, before);
        assert!(app.is_logged_in(&session).await);
    }

    async fn the_owner_of_a_locked_account_gets_no_mail(app: TestApp, server: SmtpServer) {
        app.inside.execute("UPDATE users SET locked_at = 1").await;
        let reply = app.ask_sign_up(EMAIL).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": ON_ITS_WAY }));
        assert_eq!(app.deliver().await, 1);
        assert!(server.take().is_empty());
        assert_eq!(app.inside.count("sign_ups").await, 0);
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
    }

    async fn who_signs_up_with_the_address_of_another_gets_nothing(app: TestApp, server: SmtpServer) {
        // Squats: with a password, before the owner has an account.
        let reply = app.register(NEW, "attacker").send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": ON_ITS_WAY }));
        app.deliver().await;
        assert_eq!(only(server.take()).to, [NEW]);
        assert_eq!(app.inside.count("users").await, 1);
        assert_eq!(app.inside.count("sessions").await, 0);
        assert!(!app.can_log_in(NEW, "attacker").await);
        app.ask_reset(NEW).send().await;
        app.deliver().await;
        assert!(server.take().is_empty(), "nothing to reset");

        // The owner signs up later, with a password that the squatter does not know.
        app.clock.turn(MAIL_PAUSE);
        let token = mailed_token(&app, &server, NEW).await;
        app.finish_sign_up(NEW, &token, "owner").send().await;
        assert!(app.can_log_in(NEW, "owner").await);
        assert!(!app.can_log_in(NEW, "attacker").await);
    }

    async fn a_password_that_is_sent_along_is_measured_and_dropped(app: TestApp, server: SmtpServer) {
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        for (password, message) in [
            ("short", "password is shorter than 8 characters"),
            ("password1", "password is too close to one of the most used passwords, which are tried first"),
            ("", "password is empty"),
        ] {
            app.assert_refused(app.register(NEW, password), 400, message).await;
        }
        app.register(NEW, "r3bl0ch0n de savoie").send().await;
        app.deliver().await;
        let token = only(server.take()).token();
        app.finish_sign_up(NEW, &token, "abondance de savoie").send().await;
        assert!(!app.can_log_in(NEW, "r3bl0ch0n de savoie").await);
        assert!(app.can_log_in(NEW, "abondance de savoie").await);
    }

    async fn asking_again_within_the_pause_sends_no_second_mail(app: TestApp, server: SmtpServer) {
        for email in [NEW, EMAIL] {
            let first = app.ask_sign_up(email).send().await;
            let again = app.ask_sign_up(&email.to_uppercase()).send().await;
            assert_eq!(visible(&first), visible(&again));
            app.deliver().await;
            only(server.take());
            app.clock.turn(MAIL_PAUSE.checked_sub(A_SECOND).unwrap());
            let again = app.ask_sign_up(email).send().await;
            assert_eq!(visible(&first), visible(&again));
            assert_eq!(app.deliver().await, 0);
            // But a reset is another mail.
            app.ask_reset(email).send().await;
            assert_eq!(app.deliver().await, 1);
            server.take();
        }
    }

    async fn the_newest_link_is_the_one_that_works(app: TestApp, server: SmtpServer) {
        let first = mailed_token(&app, &server, NEW).await;
        app.clock.turn(MAIL_PAUSE);
        let second = mailed_token(&app, &server, NEW).await;
        assert_eq!(app.inside.count("sign_ups").await, 1);
        let call = app.finish_sign_up(NEW, &first, PASSWORD);
        app.assert_refused(call, 403, INVALID).await;
        assert_eq!(app.finish_sign_up(NEW, &second, PASSWORD).send().await.status, 200);
    }

    async fn a_link_works_for_a_day_from_its_mail_on(app: TestApp, server: SmtpServer) {
        let other = "other@example.org";
        app.ask_sign_up(NEW).send().await;
        app.ask_sign_up(other).send().await;
        app.clock.turn(Duration::from_hours(3));
        app.deliver().await;
        let mails = server.take();
        let token = |email: &str| mails.iter().find(|mail| mail.to == [email]).unwrap().token();
        assert_eq!(SIGN_UP_TOKEN_LIFETIME, Duration::from_hours(24));
        app.clock.turn(SIGN_UP_TOKEN_LIFETIME.checked_sub(A_SECOND).unwrap());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.finish_sign_up(NEW, &token(NEW), PASSWORD).send().await.status, 200);
        app.clock.turn(A_SECOND);
        let reply = app.finish_sign_up(other, &token(other), PASSWORD).send().await;
        reply.assert_refusal(403, INVALID);
        assert_eq!(app.inside.count("users").await, 2);
        // It stays refused if the clock is turned back.
        app.clock.turn_back(A_SECOND);
        let call = app.finish_sign_up(other, &token(other), PASSWORD);
        app.assert_refused(call, 403, INVALID).await;
    }

    async fn tokens_that_have_expired_are_deleted(app: TestApp, server: SmtpServer) {
        mailed_token(&app, &server, NEW).await;
        app.clock.turn(SIGN_UP_TOKEN_LIFETIME.checked_sub(A_SECOND).unwrap());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("sign_ups").await, 1);
        app.clock.turn(A_SECOND);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("sign_ups").await, 0);
        assert_eq!(app.inside.count("outbox").await, 0);
    }

    async fn mails_are_in_the_language_of_who_asks(app: TestApp, server: SmtpServer) {
        for (email, subject, words) in [
            (NEW, "Terminez la création de votre compte Holberton", "jusqu’au 16 janvier 2027 à 08:00 UTC"),
            (EMAIL, "Vous avez déjà un compte Holberton", "mais vous en avez déjà un"),
        ] {
            app.ask_sign_up(email).header("accept-language", "fr-CH,en;q=0.5").send().await;
            app.deliver().await;
            let mail = only(server.take());
            assert_eq!(mail.header("Subject"), subject);
            assert!(mail.text.contains(words), "{}", mail.text);
            assert!(mail.html.contains("lang=\"fr\""), "{}", mail.html);
        }
    }

    async fn a_mail_that_cannot_be_sent_now_is_sent_later_with_a_token_of_its_own(app: TestApp, server: SmtpServer) {
        server.refuse(451);
        app.ask_sign_up(NEW).send().await;
        app.ask_sign_up(EMAIL).send().await;
        assert_eq!(app.deliver().await, 2);
        let before = app.inside.count("sign_ups").await;
        server.accept();
        app.clock.turn(Duration::from_mins(1));
        assert_eq!(app.deliver().await, 2);
        let mails = server.take();
        assert_eq!(mails.len(), 2, "{mails:?}");
        assert_eq!(app.inside.count("sign_ups").await, before);
        let mail = mails.iter().find(|mail| mail.to == [NEW]).unwrap();
        assert_eq!(app.finish_sign_up(NEW, &mail.token(), PASSWORD).send().await.status, 200);
    }

    async fn what_is_not_one_address_gets_no_mail(app: TestApp, server: SmtpServer) {
        for email in [
            "new@example.org, evil@example.org",
            "new@example.org\r\nBcc: evil@example.org",
            "\"new@example.org\" <evil@example.org>",
            "n\u{435}w@example.org",
            "new",
        ] {
            let before = app.inside.all_rows().await;
            let reply = app.ask_sign_up(email).send().await;
            assert_eq!(reply.status, 400, "{reply:?}");
            assert!(reply.json()["message"].as_str().unwrap().starts_with("email "), "{reply:?}");
            assert_eq!(app.inside.all_rows().await, before);
        }
        let twice = app.post("/users", &[("email", NEW), ("email", "evil@example.org")]);
        app.assert_refused(twice, 400, "email is given more than once").await;
        let list = app.request("POST", "/users").json(&json!({ "email": [NEW, "evil@example.org"] }));
        app.assert_refused(list, 400, "email is not a text").await;
        let query = app.post(&format!("/users?email={NEW}"), &[]);
        app.assert_refused(query, 400, "email is missing").await;
        assert_eq!(app.deliver().await, 0);
        // In another case it is the same address.
        app.ask_sign_up("NEW@EXAMPLE.ORG").send().await;
        app.ask_sign_up(NEW).send().await;
        assert_eq!(app.deliver().await, 1);
        assert_eq!(only(server.take()).to, [NEW]);
    }

    async fn the_link_is_made_of_the_public_url_whatever_a_request_says(app: TestApp, server: SmtpServer) {
        for (name, value) in [("host", "evil.test"), ("x-forwarded-host", "evil.test"), ("forwarded", "host=evil.test")] {
            for email in [NEW, EMAIL] {
                app.ask_sign_up(email).header(name, value).send().await;
                app.deliver().await;
                let mail = only(server.take());
                assert!(mail.link().starts_with("https://auth.example.org/"), "{name}: {mail:?}");
                assert!(!format!("{mail:?}").contains("evil"), "{name}: {mail:?}");
            }
            app.clock.turn(MAIL_PAUSE);
        }
    }

    async fn deleting_a_user_deletes_the_mails_to_them(app: TestApp, _server: SmtpServer) {
        app.ask_sign_up(EMAIL).send().await;
        let user = app.db.users.find_by_email(&EMAIL.parse().unwrap()).await.unwrap().unwrap();
        app.administration().delete(user.id).await.unwrap();
        assert_eq!(app.deliver().await, 0);
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
        app.clock.turn(MAIL_PAUSE);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 0);
    }
}

on_each_engine! {
    async fn strangers_can_ask_so_often_for_one_address_and_no_more(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let limits = RateLimits {
            sign_ups_per_address: RateLimits::public().sign_ups_per_address,
            ..NO_LIMITS
        };
        let app = TestApp::with_limits(database, limits, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        let app = app.with_mail(server.mailer()).with_rules(|auth| auth.with_sign_up(SignUpMode::Verified));
        for email in [NEW, EMAIL] {
            for number in 0..5 {
                let call = app.ask_sign_up(email).from(&format!("192.0.2.{number}"));
                assert_eq!(call.send().await.status, 200);
            }
            let call = app.ask_sign_up(email).from("198.51.100.7");
            app.assert_refused(call, 429, "too many attempts").await;
        }
        assert_eq!(app.ask_sign_up("other@example.org").send().await.status, 200);
        // Signing up at once is no mail, so it counts for the source alone.
        let at_once = app.signing_up(SignUpMode::Unverified);
        assert_eq!(at_once.register(NEW, PASSWORD).send().await.status, 200);
    }

    async fn a_source_can_ask_so_often_for_whatever_addresses(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let limits = RateLimits {
            sign_ups_per_source: "3/h".parse().unwrap(),
            ..NO_LIMITS
        };
        let app = TestApp::with_limits(database, limits, &[]).await.with_mail(server.mailer());
        let app = app.with_rules(|auth| auth.with_sign_up(SignUpMode::Verified));
        for number in 0..3 {
            let call = app.ask_sign_up(&format!("user{number}@example.org")).from("192.0.2.7");
            assert_eq!(call.send().await.status, 200);
        }
        let call = app.ask_sign_up("user3@example.org").from("192.0.2.7");
        app.assert_refused(call, 429, "too many attempts").await;
        let call = app.ask_sign_up("user3@example.org").from("198.51.100.7");
        assert_eq!(call.send().await.status, 200);
    }
}
