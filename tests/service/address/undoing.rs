//! `PUT /undo_email_change`.

use std::time::Duration;

use bienvenue::auth::{MAIL_PAUSE, UNDO_LIFETIME};
use bienvenue::password::PasswordRule;
use serde_json::json;

use super::{
    BAD_EMAIL_TOKEN, BAD_UNDO_TOKEN, EMAIL, NEW, OTHER, PASSWORD, UNKNOWN_TOKEN, app_with_mail,
    app_without_mail, mailed_token, moved_by_mail, only,
};
use crate::on_each_engine;
use crate::support::smtp_server::SmtpServer;
use crate::support::{LIFETIMES, TestApp};

const A_SECOND: Duration = Duration::from_secs(1);
const THIRD: &str = "third@example.org";

on_each_engine! {
    async fn who_reads_the_mail_of_the_old_address_takes_the_account_back(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, thief) = app_with_mail(database, &server).await;
        let another = app.another().await;
        let (thief, undo) = moved_by_mail(&app, &server, &thief, EMAIL, NEW).await;
        let elsewhere = app.logged_in(NEW, PASSWORD).await;
        let pending = mailed_token(&app, &server, &thief, THIRD).await;
        app.ask_reset(NEW).send().await;
        app.deliver().await;
        let reset = only(server.take()).token();
        assert!(another.is_logged_in(&thief).await);
        // Nobody who would be fresh, nor logged in at all.
        app.clock.turn(LIFETIMES.fresh_login);
        let rounds = app.passwords.rounds_spent();
        let reply = app.undo_address(" BOB@example.org", &undo, "mine again").send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "Password updated" }));
        assert_eq!(app.passwords.rounds_spent() - rounds, 16);
        assert_eq!(reply.header("set-cookie"), None);
        for client in [&another, &*app] {
            for ended in [&thief, &elsewhere] {
                client.profile(ended).send().await.assert_refusal(403, "not logged in");
            }
        }
        assert!(app.can_log_in(EMAIL, "mine again").await);
        assert!(!app.can_log_in(EMAIL, PASSWORD).await && !app.can_log_in(NEW, PASSWORD).await);
        assert!(!app.can_log_in(NEW, "mine again").await);
        let session = app.logged_in(EMAIL, "mine again").await;
        let account = app.get("/users/me").session(&session).send().await.json();
        assert_eq!((&account["id"], &account["email_confirmed"]), (&json!(1), &json!(true)));
        app.assert_refused(app.reset(NEW, &reset, "x"), 403, "invalid reset token").await;
        app.assert_refused(app.change_address(&session, &pending), 403, BAD_EMAIL_TOKEN).await;
        for table in ["pending_addresses", "past_addresses", "reset_tokens"] {
            assert_eq!(app.inside.count(table).await, 0, "{table}");
        }
        // The owner is told of all that was done.
        app.deliver().await;
        let mut mails = server.take();
        mails.retain(|mail| mail.to != [NEW]);
        let mail = only(mails);
        assert_eq!(mail.to, [EMAIL]);
        assert_eq!(mail.header("Subject"), "Your Holberton account has this address again");
        for said in [
            "On 15 January 2027, 08:10 UTC, your account at Holberton (auth.example.org) was taken back to the address bob@example.org",
            "has the password that was chosen then, and no longer the one before",
            "All devices were logged out",
            "later changes of the address were undone",
        ] {
            assert!(mail.text.contains(said), "{}", mail.text);
        }
        assert_eq!(mail.link(), "https://auth.example.org/reset_password", "no token");
        // Whoever wants to has the other address.
        app.registered(NEW, PASSWORD).await;
    }

    async fn a_change_is_undone_once(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (_, undo) = app.moved(&session, NEW).await;
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
        app.assert_refused(app.undo_address(EMAIL, &undo, "newer"), 403, BAD_UNDO_TOKEN).await;
        assert!(app.can_log_in(EMAIL, "new").await);
    }

    async fn undoing_the_first_of_two_changes_undoes_both(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (session, undo_first) = app.moved(&session, NEW).await;
        let (_, undo_second) = app.moved(&session, THIRD).await;
        assert_eq!(app.undo_address(EMAIL, &undo_first, "new").send().await.status, 200);
        assert!(app.can_log_in(EMAIL, "new").await);
        app.assert_refused(app.undo_address(NEW, &undo_second, "x"), 403, BAD_UNDO_TOKEN).await;
        assert_eq!(app.inside.count("past_addresses").await, 0);
        for email in [NEW, THIRD] {
            app.registered(email, PASSWORD).await;
        }
    }

    async fn undoing_the_second_of_two_changes_leaves_the_first_to_undo(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (session, undo_first) = app.moved(&session, NEW).await;
        let (_, undo_second) = app.moved(&session, THIRD).await;
        assert_eq!(app.undo_address(NEW, &undo_second, "new").send().await.status, 200);
        assert!(app.can_log_in(NEW, "new").await);
        assert_eq!(app.undo_address(EMAIL, &undo_first, "newer").send().await.status, 200);
        assert!(app.can_log_in(EMAIL, "newer").await);
    }

    async fn a_token_is_good_for_its_address_alone(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let (_, undo) = app.moved(&session, NEW).await;
        let (_, undo_of_other) = app.moved(&of_other, THIRD).await;
        for (email, token) in [
            (EMAIL, &*undo_of_other),
            (NEW, &undo),
            (OTHER, &undo),
            ("bob", &undo),
            (EMAIL, UNKNOWN_TOKEN),
            (EMAIL, "x"),
        ] {
            app.assert_refused(app.undo_address(email, token, "new"), 403, BAD_UNDO_TOKEN).await;
        }
        for missing in ["email", "undo_token", "new_password"] {
            let mut form = vec![("email", EMAIL), ("undo_token", &undo), ("new_password", "new")];
            form.retain(|(name, _)| *name != missing);
            let call = app.put("/undo_email_change", &form);
            app.assert_refused(call, 400, &format!("{missing} is missing")).await;
        }
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn a_refused_password_does_not_use_the_token_up(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (_, undo) = app.moved(&session, NEW).await;
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        let rounds = app.passwords.rounds_spent();
        let call = app.undo_address(EMAIL, &undo, "short");
        app.assert_refused(call, 400, "new_password is shorter than 8 characters").await;
        app.assert_refused(app.undo_address(EMAIL, UNKNOWN_TOKEN, "r3bl0ch0n de savoie"), 403, BAD_UNDO_TOKEN).await;
        assert_eq!(app.passwords.rounds_spent(), rounds, "no hash for nothing");
        let reply = app.undo_address(EMAIL, &undo, "r3bl0ch0n de savoie").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    async fn a_change_can_be_undone_for_seven_days(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let (_, undo) = app.moved(&session, NEW).await;
        let (_, late) = app.moved(&of_other, THIRD).await;
        assert_eq!(UNDO_LIFETIME, Duration::from_hours(7 * 24));
        app.clock.turn(UNDO_LIFETIME.checked_sub(A_SECOND).unwrap());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
        app.clock.turn(A_SECOND);
        app.undo_address(OTHER, &late, "new").send().await.assert_refusal(403, BAD_UNDO_TOKEN);
        assert!(app.can_log_in(THIRD, PASSWORD).await);
        // It stays refused if the clock is turned back.
        app.clock.turn_back(A_SECOND);
        app.assert_refused(app.undo_address(OTHER, &late, "new"), 403, BAD_UNDO_TOKEN).await;
    }

    async fn what_can_be_undone_no_longer_is_deleted(database: Database) {
        let (app, session) = app_without_mail(database).await;
        app.moved(&session, NEW).await;
        app.clock.turn(UNDO_LIFETIME.checked_sub(A_SECOND).unwrap());
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("past_addresses").await, 1);
        app.clock.turn(A_SECOND);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("past_addresses").await, 0);
    }

    async fn looking_at_the_links_uses_nothing_up(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (session, undo) = app.moved(&session, NEW).await;
        let token = app.email_token(&session, THIRD).await;
        let before = app.inside.all_rows().await;
        for link in [
            format!("/undo_email_change?email={EMAIL}&undo_token={undo}"),
            format!("/undo_email_change?_method=PUT&email={EMAIL}&undo_token={undo}&new_password=x"),
            format!("/profile/email?email_token={token}"),
            format!("/profile/email?_method=PUT&email_token={token}"),
        ] {
            for _ in 0..25 {
                app.get(&link).session(&session).by_browser().send().await.assert_page(200);
                let head = app.request("HEAD", &link).session(&session).by_browser();
                assert_eq!(head.send().await.status, 200);
                assert_eq!(app.get(&link).session(&session).send().await.status, 405);
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
        assert_eq!(app.change_address(&session, &token).send().await.status, 200);
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn a_page_of_another_site_changes_no_address(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let (session, undo) = app.moved(&session, NEW).await;
        let token = app.email_token(&session, THIRD).await;
        for call in [
            app.ask_address(&session, "fourth@example.org"),
            app.change_address(&session, &token),
            app.call_off(&session),
            app.undo_address(EMAIL, &undo, "new"),
        ] {
            for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
                let call = call.clone().header(name, value);
                app.assert_refused(call, 403, "cross-site requests are refused").await;
            }
        }
    }

    async fn a_locked_account_is_taken_back_and_stays_locked(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        app.change_address(&session, &token).send().await;
        app.inside.execute("UPDATE users SET locked_at = 1, password_version = password_version + 1").await;
        app.deliver().await;
        let undo = only(server.take()).token();
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
        app.log_in(EMAIL, "new").send().await.assert_refusal(403, "account locked");
    }

    async fn a_link_that_was_not_mailed_before_the_account_came_back_is_not_mailed(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        let session = app.change_address(&session, &token).send().await.session_id().unwrap();
        // The worker is away, while the user comes back.
        app.inside.execute("UPDATE outbox SET due_at = NULL WHERE kind = 'address_changed'").await;
        app.clock.turn(MAIL_PAUSE);
        let token = mailed_token(&app, &server, &session, EMAIL).await;
        app.change_address(&session, &token).send().await;
        app.inside.execute("UPDATE outbox SET due_at = 0 WHERE kind = 'address_changed'").await;
        app.deliver().await;
        let mail = only(server.take());
        assert_eq!(mail.to, [NEW], "and none to {EMAIL}");
        assert_eq!(app.inside.count("outbox WHERE due_at IS NOT NULL").await, 0);
    }

    async fn a_mail_that_is_sent_again_has_the_link_that_works(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let token = mailed_token(&app, &server, &session, NEW).await;
        server.refuse(451);
        app.change_address(&session, &token).send().await;
        app.deliver().await;
        server.accept();
        app.clock.turn(Duration::from_hours(1));
        app.deliver().await;
        let undo = only(server.take()).token();
        assert_eq!(app.undo_address(EMAIL, &undo, "new").send().await.status, 200);
    }

    async fn one_who_has_lost_the_account_may_undo_by_another_instance(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let another: crate::support::client::Client = TestApp::another(&app).await;
        let (_, undo) = app.moved(&session, NEW).await;
        assert_eq!(another.undo_address(EMAIL, &undo, "new").send().await.status, 200);
        assert!(app.can_log_in(EMAIL, "new").await);
    }
}
