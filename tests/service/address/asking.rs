//! `POST` and `DELETE /profile/email`.

use std::time::Duration;

use bienvenue::auth::MAIL_PAUSE;
use bienvenue::auth::rate_limit::RateLimits;
use serde_json::json;

use super::{
    BAD_EMAIL_TOKEN, EMAIL, NEW, ON_ITS_WAY, OTHER, PASSWORD, TAKEN, app_with_mail,
    app_without_mail, mailed_token, moved_by_mail, only, visible,
};
use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{LIFETIMES, NO_LIMITS, TestApp};

const A_SECOND: Duration = Duration::from_secs(1);

on_each_engine! {
    async fn a_link_goes_to_the_new_address_and_nothing_changes_yet(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let before = app.inside.rows_of_users().await;
        let reply = app.ask_address(&session, " New@Example.org ").send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": ON_ITS_WAY }));
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(app.inside.count("pending_addresses WHERE digest IS NULL").await, 1, "made when it is sent");
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!(mail.to, [NEW]);
        assert!(mail.link().starts_with("https://auth.example.org/profile/email?email_token="), "{mail:?}");
        assert!(!format!("{mail:?}").contains(EMAIL), "a stranger may read it: {mail:?}");
        assert_eq!(app.inside.rows_of_users().await, before);
        assert!(app.can_log_in(EMAIL, PASSWORD).await && !app.can_log_in(NEW, PASSWORD).await);
    }

    async fn without_mail_the_token_is_in_the_answer(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let reply = app.ask_address(&session, NEW).send().await;
        let token = reply.json()["email_token"].as_str().unwrap().to_owned();
        reply.assert_is(200, &json!({ "email": NEW, "email_token": token }));
        let call = app.ask_address(&session, OTHER);
        app.assert_refused(call, 400, TAKEN).await;
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }

    async fn taken_kept_and_free_addresses_get_the_same_answer_after_the_same_work(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.registered("liz@example.org", PASSWORD).await;
        let mover = app.logged_in("liz@example.org", PASSWORD).await;
        moved_by_mail(&app, &server, &mover, "liz@example.org", "ann@example.org").await;
        // As long as the others, so that the length of an answer tells nothing.
        let addresses = [OTHER, "liz@example.org", "nob@example.org"];
        for state in [SmtpServer::accept as fn(&SmtpServer), |server| server.refuse(550), SmtpServer::go_down] {
            app.clock.turn(MAIL_PAUSE);
            state(&server);
            let session = app.logged_in(EMAIL, PASSWORD).await;
            // The first time, in the pause, and while a mail is under way.
            for is_under_way in [false, false, true] {
                if is_under_way {
                    app.claim_mails(MAIL_PAUSE).await;
                }
                let mut replies = Vec::new();
                for email in addresses {
                    let reply = app.ask_address(&session, email).send().await;
                    reply.assert_is(200, &json!({ "email": email, "message": ON_ITS_WAY }));
                    replies.push(visible(&reply).replace(email, "X"));
                }
                assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
                let rows = app.inside.all_rows().await;
                let recorded = addresses.map(|email| {
                    let row = rows.iter().find(|row| {
                        row.starts_with("outbox") && row.contains("change_address") && row.contains(email)
                    });
                    row.unwrap().split_once(email).unwrap().1.to_owned()
                });
                assert!(recorded.iter().all(|rest| *rest == recorded[0]), "{recorded:?}");
            }
            server.accept();
            app.clock.turn(Duration::from_hours(1));
            app.deliver().await;
            server.take();
        }
        let _ = session;
    }

    async fn the_owner_of_a_taken_address_is_told_and_nobody_gets_it(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        app.ask_address(&session, OTHER).send().await;
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!(mail.to, [OTHER]);
        assert_eq!(mail.header("Subject"), "You already have a Holberton account");
        assert_eq!(mail.link(), "https://auth.example.org/sessions?email=eve%40example.org");
        assert!(mail.text.contains("the address of another account at Holberton"), "{}", mail.text);
        assert!(!format!("{mail:?}").contains("token") && !format!("{mail:?}").contains(EMAIL), "{mail:?}");
        assert_eq!(app.inside.count("pending_addresses WHERE digest IS NOT NULL").await, 0);
        // One who is locked gets none.
        app.clock.turn(MAIL_PAUSE);
        app.inside.execute("UPDATE users SET locked_at = 1 WHERE email = 'eve@example.org'").await;
        app.ask_address(&session, OTHER).send().await;
        app.deliver().await;
        assert!(server.take().is_empty());
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
    }

    async fn ones_own_address_is_refused_and_nothing_is_mailed(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let ask = app.ask_address(&session, "BOB@example.org");
        app.assert_refused(ask.clone(), 400, "already the address of this account").await;
        let page = ask.by_browser().send().await.assert_page(400);
        assert_eq!(page.text("#email-problem"), "This is the address of your account already.");
        assert_eq!(app.inside.count("outbox").await, 0);
    }

    async fn what_is_not_one_address_is_refused_and_nothing_is_mailed(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        for email in [
            "new@example.org, evil@example.org",
            "new@example.org\r\nBcc: evil@example.org",
            "\"new@example.org\" <evil@example.org>",
            "n\u{435}w@example.org",
            "new",
            "",
        ] {
            let before = app.inside.all_rows().await;
            let reply = app.ask_address(&session, email).send().await;
            assert_eq!(reply.status, 400, "{reply:?}");
            assert!(reply.json()["message"].as_str().unwrap().starts_with("email "), "{reply:?}");
            assert_eq!(app.inside.all_rows().await, before);
        }
        let twice = [("email", NEW), ("email", OTHER)];
        let twice = app.post("/profile/email", &twice).session(&session);
        app.assert_refused(twice, 400, "email is given more than once").await;
        let list = json!({ "email": [NEW, OTHER] });
        let list = app.request("POST", "/profile/email").json(&list).session(&session);
        app.assert_refused(list, 400, "email is not a text").await;
        assert_eq!(app.deliver().await, 0);
    }

    async fn who_is_not_logged_in_asks_for_nothing(database: Database) {
        let (app, session) = app_without_mail(database).await;
        app.log_out(&session).send().await;
        for call in [app.post("/profile/email", &[("email", NEW)]), app.ask_address(&session, NEW), app.call_off(&session)] {
            app.assert_refused(call, 403, "not logged in").await;
        }
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.clock.turn(LIFETIMES.fresh_login);
        assert!(app.is_logged_in(&session).await);
        app.assert_refused(app.ask_address(&session, NEW), 403, "log in again").await;
    }

    async fn asking_again_within_the_pause_sends_no_second_mail_and_the_link_stays_good(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        for _ in 0..3 {
            app.clock.turn(Duration::from_mins(1));
            app.ask_address(&session, NEW).send().await.assert_is(200, &json!({ "email": NEW, "message": ON_ITS_WAY }));
            assert_eq!(app.deliver().await, 0);
        }
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }

    async fn a_newer_request_takes_the_place_of_an_older_one(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let first = mailed_token(&app, &server, &session, NEW).await;
        app.clock.turn(MAIL_PAUSE);
        let second = mailed_token(&app, &server, &session, NEW).await;
        app.assert_refused(app.change_address(&session, &first), 403, BAD_EMAIL_TOKEN).await;
        // Another address: an old link does not confirm the new one.
        let third = mailed_token(&app, &server, &session, "third@example.org").await;
        for token in [&first, &second] {
            app.assert_refused(app.change_address(&session, token), 403, BAD_EMAIL_TOKEN).await;
        }
        let reply = app.change_address(&session, &third).send().await;
        reply.assert_is(200, &json!({ "email": "third@example.org", "message": "address changed" }));
        assert!(!app.can_log_in(NEW, PASSWORD).await);
    }

    async fn without_mail_too_the_newest_token_is_the_one_that_works(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let first = app.email_token(&session, NEW).await;
        let second = app.email_token(&session, NEW).await;
        app.assert_refused(app.change_address(&session, &first), 403, BAD_EMAIL_TOKEN).await;
        assert_eq!(app.change_address(&session, &second).send().await.status, 200);
    }

    async fn a_request_that_was_called_off_is_over(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        for _ in 0..2 {
            let reply = app.call_off(&session).send().await;
            reply.assert_is(200, &json!({ "message": "address change called off" }));
        }
        assert_eq!(app.inside.count("pending_addresses").await, 0);
        app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;
        // Before the mail has left, too.
        app.clock.turn(MAIL_PAUSE);
        app.ask_address(&session, NEW).send().await;
        app.call_off(&session).send().await;
        assert_eq!(app.deliver().await, 1);
        assert!(server.take().is_empty());
        // It need not be a session that is fresh.
        app.clock.turn(MAIL_PAUSE);
        app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(app.call_off(&session).send().await.status, 200);
    }

    async fn a_user_calls_off_only_what_they_have_asked_for(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let token = app.email_token(&session, NEW).await;
        assert_eq!(app.call_off(&of_other).send().await.status, 200);
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }

    async fn an_account_cannot_be_used_to_flood_strangers(database: Database) {
        let app = TestApp::with_limits(database, RateLimits::public(), &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        for number in 0..5 {
            let call = app.ask_address(&session, &format!("stranger{number}@example.org"));
            assert_eq!(call.send().await.status, 200);
        }
        // From elsewhere and by another session it is the same account.
        let again = app.logged_in(EMAIL, PASSWORD).await;
        for call in [app.ask_address(&session, NEW), app.ask_address(&again, NEW).from("192.0.2.7")] {
            app.assert_refused(call.clone(), 429, "too many attempts").await;
            let page = call.by_browser().send().await.assert_page(429);
            assert!(page.text("[role=alert]").starts_with("Too many attempts."));
        }
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        assert_eq!(app.ask_address(&of_other, NEW).send().await.status, 200);
    }

    async fn a_source_and_its_network_can_ask_for_so_many(database: Database) {
        let limits = RateLimits { resets_per_source: "2/h".parse().unwrap(), ..NO_LIMITS };
        let app = TestApp::with_limits(database, limits, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let ask = |number: usize, from: &str| {
            app.ask_address(&session, &format!("new{number}@example.org")).from(from)
        };
        for source in 1..=4 {
            let from = format!("192.0.2.{source}");
            for number in 0..2 {
                assert_eq!(ask(number, &from).send().await.status, 200);
            }
            app.assert_refused(ask(3, &from), 429, "too many attempts").await;
        }
        app.assert_refused(ask(3, "192.0.2.5"), 429, "too many attempts").await;
        assert_eq!(ask(3, "198.51.100.1").send().await.status, 200);
        // Resets are counted apart.
        assert_eq!(app.ask_reset(EMAIL).from("192.0.2.1").send().await.status, 200);
    }

    async fn a_stranger_who_asks_for_the_same_address_makes_no_link_useless(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, owner) = app_with_mail(database, &server).await;
        let stranger = app.logged_in(OTHER, PASSWORD).await;
        // The stranger is first; the owner asks within the pause, and gets a mail at its end.
        let of_stranger = mailed_token(&app, &server, &stranger, NEW).await;
        app.ask_address(&owner, NEW).send().await;
        app.assert_refused(app.change_address(&owner, &of_stranger), 403, BAD_EMAIL_TOKEN).await;
        app.clock.turn(MAIL_PAUSE.checked_sub(A_SECOND).unwrap());
        assert_eq!(app.deliver().await, 0);
        app.clock.turn(A_SECOND);
        assert_eq!(app.deliver().await, 1);
        let token = only(server.take()).token();
        // Whatever the stranger does then, the newest mail has a link that works for the owner.
        app.ask_address(&stranger, NEW).send().await;
        assert_eq!(app.deliver().await, 0);
        app.clock.turn(MAIL_PAUSE);
        let stranger = app.logged_in(OTHER, PASSWORD).await;
        app.ask_address(&stranger, NEW).send().await;
        app.deliver().await;
        let newest = only(server.take()).token();
        app.change_address(&owner, &token).send().await.assert_refusal(403, BAD_EMAIL_TOKEN);
        app.call_off(&stranger).send().await;
        let reply = app.change_address(&owner, &newest).send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": "address changed" }));
    }

    async fn who_asks_while_a_mail_to_the_address_is_under_way_gets_one_after_the_pause(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, _) = app_with_mail(database, &server).await;
        for (first, email) in [(EMAIL, "first@example.org"), (OTHER, "second@example.org")] {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            let of_first = app.logged_in(first, PASSWORD).await;
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let auth = app.auth.clone();
            let worker = tokio::spawn(async move {
                auth.deliver_until(async { drop(stopped.await) }).await;
            });
            app.ask_address(&of_first, email).send().await;
            let token = only(tokio::task::block_in_place(|| server.wait())).token();
            // It is not written down yet that the mail was sent.
            if first == EMAIL {
                app.call_off(&of_first).send().await;
            } else {
                app.ask_address(&of_first, "third@example.org").send().await;
            }
            let ask = app.ask_address(&session, email);
            ask.send().await.assert_is(200, &json!({ "email": email, "message": ON_ITS_WAY }));
            drop(stop);
            worker.await.unwrap();
            // What goes to the third address, if the worker has left it.
            app.deliver().await;
            assert!(server.take().iter().all(|mail| mail.to != [email]));
            app.assert_refused(app.change_address(&session, &token), 403, BAD_EMAIL_TOKEN).await;
            app.clock.turn(MAIL_PAUSE.checked_sub(A_SECOND).unwrap());
            assert_eq!(app.deliver().await, 0);
            app.clock.turn(A_SECOND);
            assert_eq!(app.deliver().await, 1, "asked for first by {first}");
            let mail = only(server.take());
            assert_eq!(mail.to, [email]);
            let link = format!("/profile/email?email_token={}", mail.token());
            app.get(&link).session(&session).by_browser().send().await.assert_page(200);
            // No other follows.
            app.clock.turn(MAIL_PAUSE);
            assert_eq!(app.deliver().await, 0);
        }
    }

    async fn one_who_asks_again_after_calling_off_gets_a_mail_after_the_pause(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let first = mailed_token(&app, &server, &session, NEW).await;
        app.call_off(&session).send().await;
        app.ask_address(&session, NEW).send().await;
        app.assert_refused(app.change_address(&session, &first), 403, BAD_EMAIL_TOKEN).await;
        app.clock.turn(MAIL_PAUSE.checked_sub(A_SECOND).unwrap());
        assert_eq!(app.deliver().await, 0);
        app.clock.turn(A_SECOND);
        assert_eq!(app.deliver().await, 1);
        let token = only(server.take()).token();
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }

    async fn who_waits_for_a_mail_to_an_address_gets_it_whatever_account_there_is_deleted(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        mailed_token(&app, &server, &of_other, NEW).await;
        assert_eq!(app.ask_address(&session, NEW).send().await.status, 200);
        app.registered(NEW, PASSWORD).await;
        let squatter = app.logged_in(NEW, PASSWORD).await;
        assert_eq!(app.delete_user(&squatter).send().await.status, 200);
        app.deliver().await;
        server.take();
        app.clock.turn(MAIL_PAUSE);
        app.deliver().await;
        let token = only(server.take()).token();
        let reply = app.change_address(&session, &token).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    async fn strangers_together_send_a_mailbox_one_mail_in_each_pause(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let mut sessions = vec![session];
        for number in 0..5 {
            let email = format!("user{number}@example.org");
            app.registered(&email, PASSWORD).await;
            sessions.push(app.logged_in(&email, PASSWORD).await);
        }
        let mut mails = 0;
        for _ in 0..8 {
            for session in &sessions {
                app.ask_address(session, NEW).send().await;
                app.deliver().await;
            }
            app.clock.turn(Duration::from_mins(1));
            app.deliver().await;
            mails += server.take().len();
        }
        assert_eq!(mails, 2, "at once and five minutes later");
    }

    async fn an_outage_of_the_mail_server_delays_the_link_and_not_the_answer(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        server.refuse(451);
        app.ask_address(&session, NEW).send().await.assert_is(200, &json!({ "email": NEW, "message": ON_ITS_WAY }));
        app.deliver().await;
        let first = app.inside.count("pending_addresses WHERE digest IS NOT NULL").await;
        assert_eq!(first, 1);
        server.accept();
        // Longer than a link lives.
        app.clock.turn(Duration::from_hours(3));
        app.auth.purge_expired().await.unwrap();
        app.deliver().await;
        let token = only(server.take()).token();
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
    }
}
