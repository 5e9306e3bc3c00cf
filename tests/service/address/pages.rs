//! What a person does who changes their address, or takes their account back.

use bienvenue::auth::EMAIL_TOKEN_LIFETIME;
use bienvenue::password::PasswordRule;

use super::{EMAIL, NEW, OTHER, PASSWORD, UNKNOWN_TOKEN, app_with_mail, app_without_mail, only};
use crate::on_each_engine;
use crate::support::client::Call;
use crate::support::smtp_server::SmtpServer;
use crate::support::{LIFETIMES, TestApp};

fn confirm(app: &TestApp, session: &str, token: &str) -> Call {
    let form = [("_method", "PUT"), ("email_token", token)];
    app.post("/profile/email", &form)
        .session(session)
        .by_browser()
}

fn take_back(app: &TestApp, email: &str, token: &str, password: &str) -> Call {
    let form = [
        ("_method", "PUT"),
        ("email", email),
        ("undo_token", token),
        ("new_password", password),
    ];
    app.post("/undo_email_change", &form).by_browser()
}

on_each_engine! {
    async fn a_person_follows_the_link_in_the_mail_and_takes_the_account_back_by_the_other(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let (app, session) = app_with_mail(database, &server).await;
        let page = app.get("/profile/email").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("dd"), EMAIL);
        assert_eq!(page.attribute("#email", "autocomplete").unwrap(), "email");
        assert!(page.text("main").contains("A link goes to the new address."), "{}", page.text("main"));
        assert_eq!(page.all("[role=status]").len(), 0);
        let ask = app.ask_address(&session, "New@example.org").by_browser();
        ask.send().await.assert_leads_to("/profile/email");
        let page = app.get("/profile/email").session(&session).by_browser().send().await.assert_page(200);
        for told in [NEW, "once, for 1 hour", "in 5 minutes"] {
            assert!(page.text("[role=status]").contains(told), "{}", page.text("main"));
        }
        page.one("form[action='/profile/email'] input[name=_method][value=DELETE]");

        app.deliver().await;
        let mail = only(server.take());
        let link = mail.link();
        let link = link.strip_prefix("https://auth.example.org").unwrap();
        let reply = app.get(link).session(&session).by_browser().send().await;
        assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
        let page = reply.assert_page(200);
        assert_eq!(page.text("h1"), "Confirm your new address");
        let shown: Vec<String> = page.all("dd").iter().map(|item| item.text().collect()).collect();
        assert_eq!(shown, [EMAIL, NEW]);
        assert_eq!(page.attribute("main input[name=email_token]", "value").unwrap(), mail.token());
        let reply = confirm(&app, &session, &mail.token()).send().await;
        reply.assert_leads_to("/profile?address=changed");
        let session = reply.session_id().unwrap();
        let page = app.get("/profile?address=changed").session(&session).by_browser().send().await.assert_page(200);
        assert!(page.text("[role=status]").starts_with("Your email address has been changed."));
        assert_eq!(page.text("dd"), NEW);

        app.deliver().await;
        let mail = only(server.take());
        let link = mail.link();
        let link = link.strip_prefix("https://auth.example.org").unwrap();
        let reply = app.get(link).by_browser().send().await;
        assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
        let page = reply.assert_page(200);
        assert_eq!(page.text("h1"), "Take your account back");
        assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL);
        assert!(page.one("#email").attr("readonly").is_some());
        let reply = take_back(&app, EMAIL, &mail.token(), "mine again").send().await;
        let after = "/sessions?address=taken_back&email=bob%40example.org";
        reply.assert_leads_to(after);
        let page = app.get(after).by_browser().send().await.assert_page(200);
        let told = page.text("[role=status]");
        for said in ["has this address again", "password that you have just chosen", "All devices have been logged out"] {
            assert!(told.contains(said), "{told}");
        }
        assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL);
        assert!(app.can_log_in(EMAIL, "mine again").await);
        // The link is over, and says so.
        let page = app.get(link).by_browser().send().await.assert_page(403);
        assert!(page.text("[role=alert]").contains("no longer works"));
        let page = take_back(&app, EMAIL, &mail.token(), "x").send().await.assert_page(403);
        assert!(page.text("[role=alert]").contains("no longer works"));
        assert_eq!(page.all("input[name=undo_token]").len(), 0);
    }

    async fn a_person_calls_the_change_off(database: Database) {
        let (app, session) = app_without_mail(database).await;
        app.email_token(&session, NEW).await;
        let page = app.get("/profile/email").session(&session).by_browser().send().await.assert_page(200);
        assert!(page.text("[role=status]").contains(NEW), "{}", page.text("main"));
        let form = app.post("/profile/email", &[("_method", "DELETE")]).session(&session).by_browser();
        form.send().await.assert_leads_to("/profile?address=called_off");
        let page = app.get("/profile?address=called_off").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("[role=status]"), "The change of your email address has been called off.");
        let page = app.get("/profile/email").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.all("[role=status]").len(), 0);
    }

    async fn who_logged_in_too_long_ago_sees_what_they_asked_for_and_logs_in_again_for_more(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let token = app.email_token(&session, NEW).await;
        app.clock.turn(LIFETIMES.fresh_login);
        let page = app.get("/profile/email").session(&session).by_browser().send().await.assert_page(200);
        assert!(page.text("[role=status]").contains(NEW));
        assert_eq!(page.all("#email").len(), 0);
        assert_eq!(page.all("a[href='/sessions?next=%2Fprofile%2Femail']").len(), 1);
        let ask = app.ask_address(&session, "third@example.org").by_browser();
        ask.send().await.assert_leads_to("/sessions?next=%2Fprofile%2Femail");
        // To confirm, they need not.
        let link = format!("/profile/email?email_token={token}");
        app.get(&link).session(&session).by_browser().send().await.assert_page(200);
        app.call_off(&session).send().await;
        let page = app.get("/profile/email").session(&session).by_browser().send().await;
        page.assert_leads_to("/sessions?next=%2Fprofile%2Femail");
    }

    async fn who_follows_the_link_without_a_session_logs_in_and_goes_on(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let token = app.email_token(&session, NEW).await;
        let link = format!("/profile/email?email_token={token}");
        let reply = app.get(&link).by_browser().send().await;
        assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
        let page = reply.assert_page(403);
        assert_eq!(page.attribute("input[name=next]", "value").unwrap(), link);
        let told = page.text("[role=status]");
        assert!(told.contains("with the address that you had so far"), "{told}");
        let log_in = [("email", EMAIL), ("password", PASSWORD), ("next", &*link)];
        let reply = app.post("/sessions", &log_in).by_browser().send().await;
        reply.assert_leads_to(&link);
        let session = reply.session_id().unwrap();
        app.get(&link).session(&session).by_browser().send().await.assert_page(200);
        confirm(&app, &session, &token).send().await.assert_leads_to("/profile?address=changed");
    }

    async fn without_mail_a_person_goes_on_to_confirm_at_once(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let page = app.get("/profile/email").session(&session).by_browser().send().await.assert_page(200);
        let told = page.text("main");
        assert!(told.contains("You confirm the new address on the next page.") && !told.contains("link goes"), "{told}");
        let reply = app.ask_address(&session, NEW).by_browser().send().await;
        let link = reply.header("location").unwrap().to_owned();
        assert!(link.starts_with("/profile/email?email_token="), "{link}");
        let page = app.get(&link).session(&session).by_browser().send().await.assert_page(200);
        let token = page.attribute("main input[name=email_token]", "value").unwrap();
        let form = [("_method", "PUT"), ("email_token", &*token), ("remember", "on")];
        let reply = app.post("/profile/email", &form).session(&session).by_browser().send().await;
        reply.assert_leads_to("/profile?address=changed");
        assert!(reply.header("set-cookie").unwrap().contains("Max-Age="), "{reply:?}");
        assert!(app.can_log_in(NEW, PASSWORD).await);
    }

    async fn who_confirms_an_address_that_is_taken_by_now_is_told_so(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let token = app.email_token(&session, NEW).await;
        app.registered(NEW, "first").await;
        let page = confirm(&app, &session, &token).send().await.assert_page(400);
        assert!(page.text("#email-problem").contains("already an account"));
        app.clock.turn(LIFETIMES.fresh_login);
        let page = confirm(&app, &session, &token).send().await.assert_page(400);
        assert!(page.text("[role=alert]").contains("already an account"), "{}", page.text("main"));
    }

    async fn what_is_wrong_is_said_beside_the_field(database: Database) {
        let (app, session) = app_without_mail(database).await;
        for (email, problem) in [("", "Enter"), ("new@", "not an email address"), (OTHER, "already an account"), (EMAIL, "the address of your account already")] {
            let page = app.ask_address(&session, email).by_browser().send().await.assert_page(400);
            assert!(page.text("#email-problem").contains(problem), "{}", page.text("main"));
            assert_eq!(page.attribute("#email", "value").unwrap(), email);
        }
        let (_, undo) = app.moved(&session, NEW).await;
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        for (password, problem) in [("", "Enter a password"), ("b4l0u", "at least 8 characters")] {
            let page = take_back(&app, EMAIL, &undo, password).send().await.assert_page(400);
            assert!(page.text("#new_password-problem").contains(problem), "{}", page.text("main"));
            assert_eq!(page.attribute("input[name=undo_token]", "value").unwrap(), undo);
        }
    }

    async fn a_link_that_does_not_work_says_so_at_once(database: Database) {
        let (app, session) = app_without_mail(database).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let superseded = app.email_token(&session, NEW).await;
        let of_another = app.email_token(&of_other, "third@example.org").await;
        let expired = app.email_token(&session, NEW).await;
        app.clock.turn(EMAIL_TOKEN_LIFETIME);
        for token in [&*superseded, &of_another, &expired, UNKNOWN_TOKEN, "x", ""] {
            let link = format!("/profile/email?email_token={token}");
            let reply = app.get(&link).session(&session).by_browser().send().await;
            assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
            let page = reply.assert_page(403);
            assert!(page.text("[role=alert]").contains("does not work for this account"), "{}", page.text("main"));
            assert_eq!(page.all("input[name=email_token]").len(), 0);
            let page = confirm(&app, &session, token).send().await;
            assert!([400, 403].contains(&page.status.as_u16()), "{page:?}");
        }
        for query in ["", "?email=bob%40example.org", "?undo_token=x", "?email=bob%40example.org&undo_token=x"] {
            let page = app.get(&format!("/undo_email_change{query}")).by_browser().send().await.assert_page(403);
            assert!(page.text("[role=alert]").contains("no longer works"));
        }
    }
}
