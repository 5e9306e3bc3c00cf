//! What a person does who signs up by a link.

use super::{EMAIL, INVALID, NEW, PASSWORD, UNKNOWN_TOKEN, app_with_mail, app_without_mail, only};
use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::client::Call;
use crate::support::smtp_server::SmtpServer;
use bienvenue::password::PasswordRule;

/// Sends the form behind a link.
fn finish(app: &TestApp, email: &str, token: &str, password: &str) -> Call {
    let form = [
        ("_method", "PUT"),
        ("email", email),
        ("sign_up_token", token),
        ("password", password),
    ];
    app.post("/users", &form).by_browser()
}

on_each_engine! {
    async fn a_person_follows_the_link_in_the_mail_and_is_logged_in(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        let page = app.get("/users").by_browser().send().await.assert_page(200);
        assert_eq!(page.all("main input[type=password]").len(), 0);
        let reply = app.ask_sign_up("New@example.org").by_browser().send().await;
        reply.assert_leads_to("/users?link=sent&email=new%40example.org");
        assert_eq!(reply.header("set-cookie"), None);
        let page = app.get(reply.header("location").unwrap()).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("h1"), "Check your email");
        for told in [NEW, "once, for 1 day", "in 5 minutes"] {
            assert!(page.text("main p:not(.more)").contains(told), "{}", page.text("main"));
        }

        app.deliver().await;
        let mail = only(server.take());
        let link = mail.link();
        let link = link.strip_prefix("https://auth.example.org").unwrap();
        let reply = app.get(link).by_browser().send().await;
        assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
        let page = reply.assert_page(200);
        assert_eq!(page.text("h1"), "Choose a password");
        assert_eq!(page.attribute("#email", "value").unwrap(), NEW);
        assert!(page.one("#email").attr("readonly").is_some());
        assert_eq!(page.all("main input:not([type=hidden])").len(), 2, "the address and one to fill in");
        let hidden = |name: &str| page.attribute(&format!("main input[name={name}]"), "value").unwrap();
        assert_eq!((hidden("_method"), hidden("sign_up_token")), ("PUT".to_owned(), mail.token()));

        let reply = finish(&app, NEW, &mail.token(), "t4rt1fl3tt3").send().await;
        reply.assert_leads_to("/");
        let session = reply.session_id().unwrap();
        let home = app.get("/").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(home.text("main strong"), NEW);
        assert!(app.can_log_in(NEW, "t4rt1fl3tt3").await);

        // The link is over, and leads on.
        let page = app.get(link).by_browser().send().await.assert_page(403);
        assert!(page.text("[role=alert]").contains("no longer works"));
        assert_eq!(page.attribute("#email", "value").unwrap(), NEW, "to ask for a new one");
        assert_eq!(page.all("main a[href='/sessions']").len(), 1);
        let page = finish(&app, NEW, &mail.token(), PASSWORD).send().await.assert_page(403);
        assert!(page.text("[role=alert]").contains("no longer works"));
    }

    async fn a_person_sees_the_same_for_an_address_with_an_account(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        let [taken, free] = [EMAIL, "nob@example.org"].map(|email| app.ask_sign_up(email).by_browser());
        let (taken, free) = (taken.send().await, free.send().await);
        assert_eq!((taken.status, &taken.body), (free.status, &free.body));
        let location = taken.header("location").unwrap().replace("bob", "nob");
        assert_eq!(location, free.header("location").unwrap());
    }

    async fn without_mail_a_person_goes_on_to_the_password_at_once(database: Database) {
        let app = app_without_mail(database).await;
        let reply = app.ask_sign_up(NEW).by_browser().send().await;
        let link = reply.header("location").unwrap().to_owned();
        reply.assert_leads_to(&link);
        let page = app.get(&link).by_browser().send().await.assert_page(200);
        let token = page.attribute("main input[name=sign_up_token]", "value").unwrap();
        let reply = finish(&app, NEW, &token, PASSWORD).send().await;
        reply.assert_leads_to("/");
        assert!(app.is_logged_in(&reply.session_id().unwrap()).await);
        // A taken address is told of, as everywhere without mail.
        let page = app.ask_sign_up(EMAIL).by_browser().send().await.assert_page(400);
        assert!(page.text("#email-problem").contains("already an account"));
    }

    async fn what_is_wrong_is_said_beside_the_field_and_the_link_stays_good(database: Database) {
        let app = app_without_mail(database).await;
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        let page = app.ask_sign_up("new@").by_browser().send().await.assert_page(400);
        assert!(page.text("#email-problem").contains("not an email address"));
        assert_eq!(page.attribute("#email", "value").unwrap(), "new@");
        let token = app.sign_up_token(NEW).await;
        for (password, problem) in [("", "Enter a password"), ("b4l0u", "at least 8 characters")] {
            let reply = finish(&app, NEW, &token, password).send().await;
            assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
            let page = reply.assert_page(400);
            assert!(page.text("#password-problem").contains(problem), "{}", page.text("main"));
            assert_eq!(page.attribute("input[name=sign_up_token]", "value").unwrap(), token);
            assert_eq!(page.attribute("#email", "value").unwrap(), NEW);
        }
        finish(&app, NEW, &token, "r3bl0ch0n de savoie").send().await.assert_leads_to("/");
    }

    async fn a_link_that_no_longer_works_says_so_at_once(database: Database) {
        let app = app_without_mail(database).await;
        let superseded = app.sign_up_token(NEW).await;
        let of_another = app.sign_up_token("other@example.org").await;
        let expired = app.sign_up_token(NEW).await;
        app.clock.turn(bienvenue::auth::SIGN_UP_TOKEN_LIFETIME);
        for token in [&*superseded, &of_another, &expired, UNKNOWN_TOKEN, "x", ""] {
            let link = format!("/users?email={NEW}&sign_up_token={token}");
            let reply = app.get(&link).by_browser().send().await;
            assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
            let page = reply.assert_page(403);
            assert!(page.text("[role=alert]").contains("no longer works"));
            assert_eq!(page.attribute("#email", "value").unwrap(), NEW, "to ask for a new one");
            assert_eq!(page.all("input[name=sign_up_token]").len(), 0);
        }
        let reply = app.finish_sign_up(NEW, &expired, PASSWORD).send().await;
        reply.assert_refusal(403, INVALID);
    }

    async fn who_is_logged_in_as_another_becomes_the_new_user(database: Database) {
        let app = app_without_mail(database).await;
        let before = app.logged_in(EMAIL, PASSWORD).await;
        let token = app.sign_up_token(NEW).await;
        let link = format!("/users?email={NEW}&sign_up_token={token}");
        app.get(&link).session(&before).by_browser().send().await.assert_page(200);
        let reply = finish(&app, NEW, &token, PASSWORD).session(&before).send().await;
        reply.assert_leads_to("/");
        assert!(!app.is_logged_in(&before).await);
        assert!(app.is_logged_in(&reply.session_id().unwrap()).await);
        // Without a link they see who they are.
        let session = reply.session_id().unwrap();
        app.get("/users").session(&session).by_browser().send().await.assert_leads_to("/");
    }

    async fn finishing_costs_one_hash_and_asking_none(database: Database) {
        let app = app_without_mail(database).await;
        let before = app.passwords.rounds_spent();
        let token = app.sign_up_token(NEW).await;
        assert_eq!(app.passwords.rounds_spent(), before);
        finish(&app, NEW, &token, PASSWORD).send().await.assert_leads_to("/");
        assert_eq!(app.passwords.rounds_spent(), before + 16);
    }

    async fn who_has_signed_up_is_led_home_or_to_the_apps_if_there_are_any(database: Database) {
        let app = app_without_mail(database).await;
        let token = app.sign_up_token(NEW).await;
        finish(&app, NEW, &token, PASSWORD).send().await.assert_leads_to("/");
        let app = app.guarding(&["wiki.example.org"]);
        let token = app.sign_up_token("eve@example.org").await;
        let reply = finish(&app, "eve@example.org", &token, PASSWORD).send().await;
        reply.assert_leads_to("/profile");
        let session = reply.session_id().unwrap();
        let page = app.get("/profile").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.all("main a[href='https://wiki.example.org']").len(), 1);
    }
}
