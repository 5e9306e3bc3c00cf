//! `POST /reset_password` where reset links go by mail.

use std::time::Duration;

use bienvenue::auth::MAIL_PAUSE;
use serde_json::json;

use crate::on_each_engine;
use crate::support::client::Reply;
use crate::support::smtp_server::{Mail, SENDER, SmtpServer};
use crate::support::{LIFETIMES, PUBLIC_URL, TestApp};

const EMAIL: &str = "bob@example.org";
const NOBODY: &str = "nob@example.org";
const ON_ITS_WAY: &str = "if the address is registered, a reset link is on its way";

/// Defines tests on each engine that have an app with a user, whose password is `b4l0u`, and a mail
/// server; without one they are skipped.
macro_rules! with_mail {
    ($(async fn $name:ident($app:ident: TestApp, $server:ident: SmtpServer) $body:block)*) => {
        on_each_engine! {
            $(async fn $name(database: Database) {
                let Some($server) = SmtpServer::start() else { return };
                let $app = TestApp::mailing(database, $server.mailer()).await;
                $app.registered(EMAIL, "b4l0u").await;
                $body
            })*
        }
    };
}

/// Everything in a reply that a client could tell two apart by.
fn visible(reply: &Reply) -> String {
    let headers = reply
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id");
    format!(
        "{} {:?} {}",
        reply.status,
        headers.collect::<Vec<_>>(),
        String::from_utf8_lossy(&reply.body)
    )
}

fn only(mut mails: Vec<Mail>) -> Mail {
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

with_mail! {
    async fn a_reset_link_goes_to_the_owner_and_sets_the_password(app: TestApp, server: SmtpServer) {
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let reply = app.ask_reset(" Bob@Example.org ").send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": ON_ITS_WAY }));
        assert_eq!(app.inside.count("reset_tokens").await, 0, "made when it is sent");
        assert_eq!(app.deliver().await, 1);

        let mail = only(server.take());
        assert!(app.is_logged_in(&session).await);
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
        let reply = app.reset(EMAIL, &mail.token(), "t4rt1fl3tt3").send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "Password updated" }));
        assert!(!app.is_logged_in(&session).await);
        assert!(app.can_log_in(EMAIL, "t4rt1fl3tt3").await);
    }

    async fn a_reset_mail_says_all_that_its_reader_needs(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!(mail.from, "noreply@example.org");
        assert_eq!(mail.to, [EMAIL]);
        assert_eq!(mail.header("From"), SENDER);
        assert_eq!(mail.header("To"), EMAIL);
        assert_eq!(mail.header("Subject"), "Reset your Holberton password");
        assert_eq!(mail.header("Date"), "Fri, 15 Jan 2027 08:00:00 +0000");
        assert_eq!(mail.header("Auto-Submitted"), "auto-generated");
        assert!(mail.header("Message-ID").ends_with("@example.org>"));
        assert!(mail.header("Content-Type").starts_with("multipart/alternative"));
        for part in [&mail.text, &mail.html] {
            for words in [EMAIL, "Holberton (auth.example.org)", "15 January 2027, 08:30 UTC", "once", "nothing has changed"] {
                assert!(part.contains(words), "{words}: {part}");
            }
        }
        assert!(!mail.html.contains("src="), "loads nothing: {}", mail.html);
        let start = format!("{PUBLIC_URL}/reset_password?email=bob%40example.org&reset_token=");
        assert!(mail.link().starts_with(&start), "{}", mail.link());
    }

    async fn mails_are_in_the_language_of_who_asks(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).header("accept-language", "fr-CH,en;q=0.5").send().await;
        app.deliver().await;
        let mail = only(server.take());
        assert!(mail.text.contains("Quelqu’un a demandé"), "{}", mail.text);
        assert!(mail.html.contains("lang=\"fr\""), "{}", mail.html);
        assert!(mail.text.contains("15 janvier 2027 à 08:30 UTC"), "{}", mail.text);
        // Alone on its line, so that nothing after it is taken for a part of it.
        assert!(mail.text.lines().any(|line| line == mail.link()), "{}", mail.text);
        // And the notice in that of who sets the password.
        let call = app.reset(EMAIL, &mail.token(), "t4rt1fl3tt3");
        assert_eq!(call.header("accept-language", "en").send().await.status, 200);
        app.deliver().await;
        let mail = only(server.take());
        assert!(mail.text.contains("All other devices were logged out"), "{}", mail.text);
    }

    async fn known_and_unknown_addresses_get_the_same_answer(app: TestApp, server: SmtpServer) {
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
                let known = app.ask_reset(EMAIL).send().await;
                let unknown = app.ask_reset(NOBODY).send().await;
                assert_eq!(known.status, 200);
                assert_eq!(visible(&known).replace(EMAIL, NOBODY), visible(&unknown));
                assert_eq!(app.passwords.rounds_spent(), before);
                let rows = app.inside.all_rows().await;
                let of = |email: &str| {
                    let row = rows.iter().find(|row| row.contains("outbox") && row.contains(email));
                    let (_, rest) = row.unwrap().split_once(email).unwrap();
                    rest.to_owned()
                };
                assert_eq!(of(EMAIL), of(NOBODY), "the same is recorded");
            }
            app.clock.turn(MAIL_PAUSE);
        }
    }

    async fn an_unknown_address_gets_no_mail_and_no_token(app: TestApp, server: SmtpServer) {
        app.ask_reset(NOBODY).send().await;
        assert_eq!(app.deliver().await, 1);
        assert!(server.take().is_empty());
        assert_eq!(app.inside.count("reset_tokens").await, 0);
    }

    async fn a_second_request_within_the_pause_sends_no_second_mail(app: TestApp, server: SmtpServer) {
        let first = app.ask_reset(EMAIL).send().await;
        let again = app.ask_reset("BOB@example.org").send().await;
        assert_eq!(visible(&first), visible(&again));
        app.deliver().await;
        let token = only(server.take()).token();

        app.clock.turn(MAIL_PAUSE.checked_sub(Duration::from_secs(1)).unwrap());
        let again = app.ask_reset(EMAIL).send().await;
        assert_eq!(visible(&first), visible(&again));
        assert_eq!(app.deliver().await, 0);
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn after_the_pause_a_second_mail_makes_the_first_void(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        let first = only(server.take()).token();
        app.clock.turn(MAIL_PAUSE);
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        let second = only(server.take()).token();
        let call = app.reset(EMAIL, &first, "new");
        app.assert_refused(call, 403, "invalid reset token").await;
        assert_eq!(app.reset(EMAIL, &second, "new").send().await.status, 200);
    }

    async fn the_pause_counts_from_the_mail_too(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).send().await;
        app.clock.turn(MAIL_PAUSE);
        app.deliver().await;
        only(server.take());
        app.clock.turn(Duration::from_secs(1));
        app.ask_reset(EMAIL).send().await;
        assert_eq!(app.deliver().await, 0);
    }

    async fn a_token_lives_from_its_mail_on(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).send().await;
        app.clock.turn(Duration::from_hours(3));
        app.deliver().await;
        let token = only(server.take()).token();
        app.clock.turn(LIFETIMES.reset_token.checked_sub(Duration::from_secs(1)).unwrap());
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn the_link_is_made_of_the_public_url_whatever_a_request_says(app: TestApp, server: SmtpServer) {
        for (name, value) in [
            ("host", "evil.test"),
            ("x-forwarded-host", "evil.test"),
            ("x-forwarded-proto", "http"),
            ("x-original-host", "evil.test"),
            ("forwarded", "host=evil.test;proto=http"),
            ("referer", "https://evil.test/"),
        ] {
            app.ask_reset(EMAIL).header(name, value).send().await;
            app.deliver().await;
            let mail = only(server.take());
            assert!(mail.link().starts_with("https://auth.example.org/"), "{name}: {mail:?}");
            assert!(!format!("{mail:?}").contains("evil"), "{name}: {mail:?}");
            app.clock.turn(MAIL_PAUSE);
        }
        let call = app.post("http://evil.test/reset_password", &[("email", EMAIL)]);
        assert_eq!(call.send().await.status, 200);
        app.deliver().await;
        assert!(!format!("{:?}", server.take()).contains("evil"));
    }

    async fn what_could_become_a_header_or_a_recipient_is_no_address(app: TestApp, server: SmtpServer) {
        for email in [
            "bob@example.org\r\nBcc: evil@example.org",
            "bob@example.org\nBcc: evil@example.org",
            "bob@example.org, evil@example.org",
            "bob@example.org;evil@example.org",
            "bob@example.org evil@example.org",
            "bob@example.org>\r\nRCPT TO:<evil@example.org",
            "\"bob@example.org\" <evil@example.org>",
            "\"evil@evil.test x\"@example.org",
            "bob(evil@evil.test)@example.org",
            "bob@example.org\0",
            "b\u{43E}b@example.org",
        ] {
            let before = app.inside.all_rows().await;
            let reply = app.ask_reset(email).send().await;
            let shown = email.trim().to_ascii_lowercase();
            reply.assert_is(200, &json!({ "email": shown, "message": ON_ITS_WAY }));
            assert_eq!(app.inside.all_rows().await, before);
        }
        let endless = "X".repeat(5000);
        let reply = app.ask_reset(&endless).send().await;
        reply.assert_is(200, &json!({ "email": "x".repeat(254), "message": ON_ITS_WAY }));
        let twice = app.post("/reset_password", &[("email", EMAIL), ("email", "evil@example.org")]);
        app.assert_refused(twice, 400, "email is given more than once").await;
        assert_eq!(app.deliver().await, 0);
        assert!(server.take().is_empty());
    }

    async fn every_address_that_can_register_gets_its_mail(app: TestApp, server: SmtpServer) {
        let long = format!("{}@{}.example", "l".repeat(64), "d".repeat(63));
        for email in [
            "o'brien_{1}@example.org",
            "!#$%&'*+/=?^_`{|}~-@example.org",
            "first.last+tag@mail.example.org",
            "me@localhost",
            "1@2",
            &long,
        ] {
            app.registered(email, "b4l0u").await;
            app.ask_reset(email).send().await;
            app.deliver().await;
            let mail = only(server.take());
            assert_eq!(mail.to, [email]);
            assert_eq!(mail.header("To"), email);
            assert!(mail.text.contains(email));
            let reply = app.reset(email, &mail.token(), "new").send().await;
            assert_eq!(reply.status, 200, "{email}: {reply:?}");
            app.deliver().await;
            assert_eq!(only(server.take()).to, [email]);
        }
    }

    async fn the_owner_is_told_of_a_changed_password(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).send().await;
        app.deliver().await;
        let token = only(server.take()).token();
        app.clock.turn(Duration::from_mins(1));
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        assert_eq!(app.deliver().await, 1);

        let mail = only(server.take());
        assert_eq!(mail.to, [EMAIL]);
        assert_eq!(mail.header("Subject"), "Your Holberton password was changed");
        for part in [&mail.text, &mail.html] {
            assert!(part.contains("15 January 2027, 08:01 UTC"), "{part}");
            assert!(!part.contains("token"), "{part}");
        }
        assert_eq!(mail.link(), "https://auth.example.org/reset_password");
        assert_eq!(app.inside.count("reset_tokens").await, 0);
    }

    async fn nobody_is_told_of_a_password_that_did_not_change(app: TestApp, server: SmtpServer) {
        let call = app.reset(EMAIL, "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44", "new");
        app.assert_refused(call, 403, "invalid reset token").await;
        assert_eq!(app.deliver().await, 0);
        assert!(server.take().is_empty());
    }

    async fn what_is_done_is_forgotten_after_the_pause(app: TestApp, server: SmtpServer) {
        app.ask_reset(EMAIL).send().await;
        app.ask_reset(NOBODY).send().await;
        app.auth.purge_expired().await.unwrap();
        app.deliver().await;
        only(server.take());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 2, "remembered for the pause");
        app.clock.turn(MAIL_PAUSE);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("outbox").await, 0);
    }
}

on_each_engine! {
    async fn without_mail_nothing_is_recorded(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        assert_eq!(app.inside.count("outbox").await, 0);
        assert_eq!(app.deliver().await, 0);
    }
}
