//! What a person does, form by form.

use std::sync::Arc;

use bienvenue::app::{SessionCookie, Settings};
use bienvenue::password::Cost;
use url::Url;

use super::{BROWSER, EMAIL, PASSWORD};
use crate::on_each_engine;
use crate::support::{LIFETIMES, StuckTokens, TestApp};

on_each_engine! {
    async fn signing_up_logs_in(database: Database) {
        let app = TestApp::new(database).await;
        let reply = app.register(" Bob@Example.org ", PASSWORD).by_browser().send().await;
        reply.assert_leads_to("/");
        let session = reply.session_id().unwrap();
        let home = app.get("/").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(home.text("main strong"), EMAIL);
        assert!(app.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn signing_up_ends_the_session_of_whoever_was_there_before(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let before = app.logged_in(EMAIL, PASSWORD).await;
        let call = app.register("new@example.org", PASSWORD).session(&before);
        call.by_browser().send().await.assert_leads_to("/");
        assert!(!app.is_logged_in(&before).await);
    }

    async fn who_is_signed_up_and_cannot_be_logged_in_is_led_to_logging_in(database: Database) {
        let app = TestApp::with(database, Cost::MIN, Arc::new(StuckTokens)).await;
        app.registered(EMAIL, PASSWORD).await;
        app.logged_in(EMAIL, PASSWORD).await;
        let reply = app.register("new@example.org", PASSWORD).by_browser().send().await;
        reply.assert_leads_to("/sessions");
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(app.inside.count("users").await, 2);
        assert_eq!(app.inside.count("sessions").await, 1);

        let form = [("email", "newer@example.org"), ("password", PASSWORD), ("next", "/profile")];
        let reply = app.post("/users", &form).by_browser().send().await;
        reply.assert_leads_to("/sessions?next=%2Fprofile");
    }

    async fn signing_up_costs_one_hash(database: Database) {
        let app = TestApp::new(database).await;
        app.register(EMAIL, PASSWORD).by_browser().send().await.assert_leads_to("/");
        assert_eq!(app.passwords.rounds_spent(), 16);
    }

    async fn logging_in_leads_home_and_logging_out_too(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let reply = app.log_in(EMAIL, PASSWORD).by_browser().send().await;
        reply.assert_leads_to("/");
        let session = reply.session_id().unwrap();
        let page = app.get("/profile").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("main dd"), EMAIL);

        let log_out = app.post("/sessions", &[("_method", "DELETE")]).session(&session);
        let reply = log_out.clone().by_browser().send().await;
        reply.assert_leads_to("/");
        assert_eq!(
            reply.header("set-cookie"),
            Some("session_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
        );
        assert!(!app.is_logged_in(&session).await);
        log_out.by_browser().send().await.assert_page(403);
    }

    async fn the_method_itself_does_what_the_field_stands_for(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.log_out(&session).by_browser().send().await.assert_leads_to("/");
        let token = app.reset_token(EMAIL).await;
        let reply = app.reset(EMAIL, &token, "new").by_browser().send().await;
        reply.assert_leads_to("/sessions?password=updated&email=bob%40example.org");
    }

    async fn the_cookie_is_of_the_kind_that_is_set(database: Database) {
        let settings = Settings { session_cookie: SessionCookie::HostOnly, ..Settings::default() };
        let app = TestApp::new(database).await.with_settings(settings);
        let reply = app.register(EMAIL, PASSWORD).by_browser().send().await;
        let cookie = reply.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-session_id=") && cookie.contains("Secure"), "{cookie}");
    }

    async fn whoever_logs_in_to_see_a_page_goes_on_to_it(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let page = app.get("/profile?tab=1&x=%22").by_browser().send().await.assert_page(403);
        let next = page.attribute("input[name=next]", "value").unwrap();
        assert_eq!(next, "/profile?tab=1&x=%22");
        let sign_up = page.one("main a[href^='/users']").attr("href").unwrap();

        let wrong = [("email", EMAIL), ("password", "wrong"), ("next", &next)];
        let page = app.post("/sessions", &wrong).by_browser().send().await.assert_page(401);
        assert_eq!(page.attribute("input[name=next]", "value").unwrap(), next);
        let right = [("email", EMAIL), ("password", PASSWORD), ("next", &next)];
        app.post("/sessions", &right).by_browser().send().await.assert_leads_to(&next);

        let page = app.get(sign_up).by_browser().send().await.assert_page(200);
        assert_eq!(page.attribute("input[name=next]", "value").unwrap(), next);
        let new = [("email", "new@example.org"), ("password", PASSWORD), ("next", &next)];
        app.post("/users", &new).by_browser().send().await.assert_leads_to(&next);
    }

    async fn nobody_is_led_to_another_site(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        for next in [
            "//evil.example", "/\\evil.example", "\\\\evil.example", "https:evil.example",
            "https://evil.example", "javascript:alert(1)", "%2f%2fevil.example",
            "/%2fevil.example", "/%5cevil.example", "/\t/evil.example", "/%09/evil.example",
            "/.//evil.example", "/\r\nLocation: //evil.example", "evil.example", "",
        ] {
            let form = [("email", EMAIL), ("password", PASSWORD), ("next", next)];
            app.post("/sessions", &form).by_browser().send().await.assert_leads_to("/");
            let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let path = format!("/sessions?next={query}");
            let page = app.get(&path).by_browser().send().await.assert_page(200);
            assert_eq!(page.all("input[name=next]").len(), 0, "{next:?}");
        }
        let twice = [("email", EMAIL), ("password", PASSWORD), ("next", "/a"), ("next", "/b")];
        app.post("/sessions", &twice).by_browser().send().await.assert_leads_to("/");
    }

    async fn a_forgotten_password_is_chosen_anew(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let reply = app.ask_reset("Bob@example.org").by_browser().send().await;
        let link = reply.header("location").unwrap().to_owned();
        reply.assert_leads_to(&link);

        let page = app.get(&link).by_browser().send().await.assert_page(200);
        let hidden = |name: &str| page.attribute(&format!("main input[name={name}]"), "value").unwrap();
        let token = hidden("reset_token");
        let form = [
            ("_method", &*hidden("_method")),
            ("email", &*hidden("email")),
            ("reset_token", &*token),
            ("new_password", "t4rt1fl3tt3"),
        ];
        assert_eq!(form[1].1, EMAIL);
        let reply = app.post("/reset_password", &form).by_browser().send().await;
        reply.assert_leads_to("/sessions?password=updated&email=bob%40example.org");
        assert_eq!(reply.header("set-cookie"), None, "nobody is logged in by a reset");
        assert!(!app.is_logged_in(&session).await);
        assert!(app.can_log_in(EMAIL, "t4rt1fl3tt3").await);

        let page = app.get(reply.header("location").unwrap()).by_browser().send().await.assert_page(200);
        assert!(page.text("[role=status]").contains("changed"));
        assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL);
        assert_eq!(page.one("[autofocus]").attr("id"), Some("password"));

        let page = app.post("/reset_password", &form).by_browser().send().await.assert_page(403);
        assert!(page.text("[role=alert]").contains("link"), "{}", page.text("main"));
        assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL, "to ask for a new one");
        assert_eq!(page.all("input[name=reset_token]").len(), 0);
    }

    async fn a_link_that_no_longer_works_says_so_at_once(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered("other@example.org", PASSWORD).await;
        let superseded = app.reset_token(EMAIL).await;
        let of_another = app.reset_token("other@example.org").await;
        let expired = app.reset_token(EMAIL).await;
        app.clock.turn(LIFETIMES.reset_token);
        for token in [&*superseded, &of_another, &expired, "x", ""] {
            let link = format!("/reset_password?email={EMAIL}&reset_token={token}");
            let page = app.get(&link).by_browser().send().await.assert_page(403);
            assert!(page.text("[role=alert]").contains("no longer works"));
            assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL, "to ask for a new one");
            assert_eq!(page.all("input[name=reset_token]").len(), 0);
        }
    }

    async fn people_who_are_logged_in_see_who_they_are_in_place_of_a_form(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.get("/users").session(&session).by_browser().send().await.assert_leads_to("/");
        let page = app.get("/").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("main strong"), EMAIL);
        assert_eq!(page.all("input[type=password]").len(), 0);
    }

    async fn a_person_who_is_not_logged_in_is_asked_to_without_an_alarm(database: Database) {
        let app = TestApp::new(database).await;
        let page = app.get("/profile").by_browser().send().await.assert_page(403);
        assert_eq!(page.text("[role=status]"), "Log in to continue.");
        assert_eq!(page.all("[role=alert], .problem").len(), 0);
        assert_eq!(page.one("[autofocus]").attr("id"), Some("email"));
        assert!(page.text("title").starts_with("Log in"));
    }

    async fn a_session_outlives_the_browser_only_if_asked_to(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let lifetime = format!("; Max-Age={}", LIFETIMES.session.as_secs());
        let form = [("email", EMAIL), ("password", PASSWORD)];
        for (remember, is_kept) in [(None, false), (Some("on"), true), (Some("off"), false)] {
            let remember = remember.map(|value| ("remember", value));
            let form: Vec<_> = form.into_iter().chain(remember).collect();
            for call in [app.post("/sessions", &form), app.post("/sessions", &form).by_browser()] {
                let reply = call.send().await;
                let cookie = reply.header("set-cookie").unwrap();
                assert_eq!(cookie.ends_with(&lifetime), is_kept, "{cookie}");
                assert_eq!(cookie.contains("Max-Age"), is_kept, "{cookie}");
            }
        }
        // What was ticked stays so when the form is shown again.
        let form = [("email", EMAIL), ("password", "wrong"), ("remember", "on")];
        let page = app.post("/sessions", &form).by_browser().send().await.assert_page(401);
        assert!(page.one("#remember").attr("checked").is_some());
    }

    async fn a_link_that_is_looked_at_is_not_used_up(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let reply = app.ask_reset(EMAIL).by_browser().send().await;
        let link = reply.header("location").unwrap().to_owned();
        let before = app.inside.all_rows().await;
        for method in ["GET", "HEAD", "GET"] {
            for accept in [BROWSER, "*/*"] {
                app.request(method, &link).header("accept", accept).send().await;
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
        let url = Url::parse("http://x").unwrap().join(&link).unwrap();
        let token = url.query_pairs().find(|(name, _)| name == "reset_token").unwrap().1.into_owned();
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn a_refused_form_changes_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let before = app.inside.all_rows().await;
        for call in [
            app.register(EMAIL, "another"),
            app.register("new@example.org", ""),
            app.log_in(EMAIL, "wrong"),
            app.ask_reset("nobody@example.org"),
            app.reset(EMAIL, "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44", "new"),
        ] {
            let reply = call.by_browser().send().await;
            assert!(reply.status.is_client_error(), "{reply:?}");
            assert_eq!(reply.header("set-cookie"), None);
        }
        assert_eq!(app.inside.all_rows().await, before);
    }
}
