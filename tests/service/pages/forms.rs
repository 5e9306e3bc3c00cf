//! Forms that help: what stands in them, and what is said when they are refused.

use bienvenue::app::Settings;
use bienvenue::auth::rate_limit::RateLimits;
use bienvenue::password::PasswordRule;

use super::{Dom, EMAIL, PASSWORD, every_page};
use crate::on_each_engine;
use crate::support::{NO_LIMITS, TestApp};

/// What each field lets password managers and telephones know.
fn kinds_of(page: &Dom) -> Vec<String> {
    let inputs = page.all("main input:not([type=hidden])");
    let kind_of = |input: &scraper::ElementRef| {
        let attribute = |name| input.attr(name).unwrap_or("-").to_owned();
        format!(
            "{}: {} {} {}",
            attribute("name"),
            attribute("type"),
            attribute("autocomplete"),
            attribute("inputmode")
        )
    };
    inputs.iter().map(kind_of).collect()
}

on_each_engine! {
    async fn fields_say_what_they_are_for(database: Database) {
        let app = TestApp::new(database).await;
        let email = "email: email username email";
        let password = "password: password current-password -";
        let remember = "remember: checkbox - -";
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let token = app.reset_token(EMAIL).await;
        let link = format!("/reset_password?email={EMAIL}&reset_token={token}");
        for (path, kinds) in [
            ("/", vec![email, password, remember]),
            ("/sessions", vec![email, password, remember]),
            ("/users", vec![email, "password: password new-password -"]),
            ("/reset_password", vec![email]),
            (
                "/profile/password",
                vec![
                    email,
                    password,
                    "new_password: password new-password -",
                    remember,
                ],
            ),
            (
                &link,
                vec!["email: email username email", "new_password: password new-password -"],
            ),
        ] {
            let call = app.get(path).by_browser();
            let call = if path.starts_with("/profile") { call.session(&session) } else { call };
            let page = call.send().await.assert_page(200);
            assert_eq!(kinds_of(&page), kinds, "{path}");
            assert_eq!(page.all("[aria-invalid], [role=alert], [autofocus]").len(), 0, "{path}");
        }
    }

    async fn what_is_asked_of_a_new_password_is_said_beforehand(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let token = app.reset_token(EMAIL).await;
        let reset = &*format!("/reset_password?email={EMAIL}&reset_token={token}");
        for path in ["/users", "/sessions", reset] {
            let page = app.get(path).by_browser().send().await.assert_page(200);
            assert_eq!(page.all(".hint, [aria-describedby]").len(), 0, "{path}");
        }

        let rule = PasswordRule::new(12).unwrap();
        let app = app.with_rules(|auth| auth.with_password_rule(rule));
        for path in ["/users", reset] {
            for (language, hint) in [("en", "12 characters or more."), ("fr", "12 caractères au moins.")] {
                let page = app.get(path).in_language(language).send().await.assert_page(200);
                let password = page.one("input[type=password]");
                let id = password.attr("aria-describedby").unwrap();
                assert_eq!(page.text(&format!("#{id}.hint")), hint);
            }
        }
        let page = app.get("/sessions").by_browser().send().await.assert_page(200);
        assert_eq!(page.all(".hint").len(), 0, "existing passwords are not measured");

        // It stays when it was not kept to.
        let page = app.register("new@example.org", "short").by_browser().send().await.assert_page(400);
        let password = page.one("input[type=password]");
        let ids = password.attr("aria-describedby").unwrap();
        let said: Vec<String> = ids.split(' ').map(|id| page.text(&format!("#{id}"))).collect();
        assert_eq!(said, [
            "This password is too short. Use at least 12 characters.",
            "12 characters or more.",
        ]);
    }

    async fn a_refusal_stands_beside_its_field_and_is_announced(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let token = app.reset_token(EMAIL).await;
        let reset = app.post("/reset_password", &[
            ("_method", "PUT"),
            ("email", EMAIL),
            ("reset_token", &token),
            ("new_password", ""),
        ]);
        for (call, status, field, words) in [
            (app.register("bob", PASSWORD), 400, "email", "name@example.org"),
            (app.register(EMAIL, PASSWORD), 400, "email", "already an account"),
            (app.register("", PASSWORD), 400, "email", "Enter your email address"),
            (app.register("new@example.org", ""), 400, "password", "Enter a password"),
            (app.register("new@example.org", &"x".repeat(1025)), 400, "password", "1024 characters"),
            (app.log_in(EMAIL, ""), 400, "password", "Enter a password"),
            (app.ask_reset("nobody@example.org"), 403, "email", "no account with this address"),
            (reset, 400, "new_password", "Enter a password"),
        ] {
            let page = call.by_browser().send().await.assert_page(status);
            let input = page.one("[aria-invalid=true]");
            assert_eq!(input.attr("id"), Some(field));
            let id = input.attr("aria-describedby").unwrap();
            let alert = page.one("[role=alert]");
            assert_eq!(alert.attr("id"), Some(id));
            assert_eq!(alert.parent(), input.parent(), "beside it");
            let said: String = alert.text().collect();
            assert!(said.contains(words), "{said}");
            assert_eq!(page.one("[autofocus]"), input);
            assert!(page.text("title").starts_with("Error – "), "{}", page.text("title"));
        }
    }

    async fn all_that_is_wrong_with_a_form_is_said_at_once(database: Database) {
        let app = TestApp::new(database).await;
        let reset = app.post("/reset_password", &[
            ("_method", "PUT"),
            ("email", "bob"),
            ("reset_token", "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44"),
            ("new_password", ""),
        ]);
        for call in [app.register("bob", ""), app.log_in("bob", ""), reset] {
            let page = call.by_browser().send().await.assert_page(400);
            let problems: Vec<_> = page.all("[role=alert]").iter().map(|alert| alert.attr("id").unwrap()).collect();
            assert_eq!(problems.len(), 2, "{problems:?}");
            assert_eq!(problems[0], "email-problem");
            assert!(problems[1].ends_with("password-problem"));
            assert_eq!(page.one("[autofocus]").attr("id"), Some("email"));
        }
        // Programs are told of the first, as ever.
        let call = app.register("bob", "");
        app.assert_refused(call, 400, "email is not an email address").await;
    }

    async fn what_is_wrong_with_the_whole_form_is_said_above_it(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let reply = app.log_in(EMAIL, "wrong").by_browser().send().await;
        let page = reply.assert_page(401);
        assert!(reply.header("www-authenticate").is_some());
        assert_eq!(page.text("[role=alert]"), "Wrong email address or password.");
        assert_eq!(page.all("[aria-invalid]").len(), 0, "nobody learns which");
        for field in ["#email", "#password"] {
            assert_eq!(page.attribute(field, "aria-describedby").unwrap(), "form-problem");
        }
        assert_eq!(page.one("[autofocus]").attr("id"), Some("password"));
        assert!(page.text("title").starts_with("Error – "));

        let unknown = app.log_in("nobody@example.org", "wrong").by_browser().send().await;
        assert_eq!(
            unknown.text().replace("nobody@example.org", EMAIL),
            reply.text(),
            "nobody learns which"
        );
    }

    async fn whoever_tries_too_often_is_told_when_to_come_back(database: Database) {
        let limits = RateLimits { logins_per_account: "2/h".parse().unwrap(), ..NO_LIMITS };
        let app = TestApp::with_limits(database, limits, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        for _ in 0..2 {
            app.log_in(EMAIL, "wrong").by_browser().send().await.assert_page(401);
        }
        let reply = app.log_in(EMAIL, PASSWORD).by_browser().send().await;
        let page = reply.assert_page(429);
        assert_eq!(reply.header("retry-after"), Some("1800"));
        assert_eq!(page.text("[role=alert]"), "Too many attempts. Try again in 30 minutes.");
        assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL);
    }

    async fn what_was_typed_is_still_there_but_for_the_password(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let secret = "s3cret".repeat(171);
        for call in [
            app.register(EMAIL, "s3cret"),
            app.register(" b o b ", "s3cret"),
            app.register("new@example.org", &secret),
            app.log_in(EMAIL, "s3cret"),
            app.ask_reset("nobody@example.org"),
            app.reset(EMAIL, "x", "s3cret"),
            app.reset(EMAIL, "x", &secret),
        ] {
            let reply = call.by_browser().send().await;
            let page = reply.assert_page(reply.status.as_u16());
            assert!(reply.status.is_client_error());
            let typed = page.attribute("#email", "value").unwrap();
            assert!([EMAIL, " b o b ", "new@example.org", "nobody@example.org"].contains(&&*typed), "{typed}");
            assert!(!reply.text().contains("s3cret"));
        }
    }
}

#[tokio::test]
async fn every_page_has_its_title_one_heading_and_labelled_fields() {
    let database = crate::support::Database::sqlite();
    for seen in every_page(database, Settings::default(), "en").await {
        let page = seen.reply.assert_page(seen.status);
        let name = seen.name;
        assert_eq!(page.attribute("html", "lang").unwrap(), "en");
        let heading = page.text("h1");
        assert!(page.text("title").contains(&heading), "{name}");
        assert!(page.text("title").ends_with(" · Bienvenue"), "{name}");
        page.one("main");
        for input in page.all("input:not([type=hidden])") {
            let id = input.attr("id").unwrap();
            let label = page.text(&format!("label[for={id}]"));
            assert!(!label.is_empty(), "{name}");
        }
        for form in page.all("form") {
            assert_eq!(form.attr("method"), Some("post"), "{name}");
        }
        let mut ids: Vec<_> = page
            .all("[id]")
            .iter()
            .map(|each| each.attr("id").unwrap().to_owned())
            .collect();
        ids.sort();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name}");
    }
}
