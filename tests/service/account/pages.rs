//! The pages of an account, as people use them.

use std::time::Duration;

use super::{EMAIL, PASSWORD};
use crate::on_each_engine;
use crate::support::TestApp;

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

on_each_engine! {
    async fn the_page_of_an_account_leads_to_all_that_one_can_do_with_it(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let page = app.get("/profile").session(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("dd"), EMAIL);
        for (path, heading) in [
            ("/profile/email", "Change your email address"),
            ("/profile/password", "Change your password"),
            ("/sessions", "Where you are logged in"),
            ("/users/me", "Delete your account"),
        ] {
            assert_eq!(page.text(&format!("a[href='{path}']")), heading);
            let page = app.get(path).session(&session).by_browser().send().await.assert_page(200);
            assert_eq!(page.text("h1"), heading);
            assert_eq!(page.all("a[href='/profile']").len(), 1, "{path} leads back");
        }
    }

    async fn sessions_are_shown_with_what_they_are_recognised_by(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let log_in = app.log_in(EMAIL, PASSWORD).from("192.0.2.7").header("user-agent", FIREFOX);
        log_in.send().await;
        app.clock.turn(Duration::from_hours(3));
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let call = app.list_sessions(&session);
        let page = call.clone().by_browser().send().await.assert_page(200);
        let items = page.all("li");
        let texts: Vec<String> = items.iter().map(|item| item.text().collect()).collect();
        assert_eq!(texts, [
            "Unknown programThis sessionLogged in just nowFrom 127.0.0.1",
            "Firefox on LinuxLogged in 3 hours agoLast used 3 hours agoFrom 192.0.2.7End session",
        ]);
        assert_eq!(page.attribute("li:last-child time:first-of-type", "datetime").unwrap(), "2027-01-15T08:00:00Z");
        // The button says of which one, too.
        let described_by = page.attribute("li button", "aria-describedby").unwrap();
        assert_eq!(page.text(&format!("#{described_by}")), "Firefox on Linux");
        let french = call.in_language("fr").send().await.assert_page(200);
        assert_eq!(french.text("li:last-child h2"), "Firefox sur Linux");
    }

    async fn sessions_are_ended_by_their_buttons(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let mut others = Vec::new();
        for _ in 0..3 {
            others.push(app.logged_in(EMAIL, PASSWORD).await);
        }
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let id = app.id_of(&others[0]).await;
        let list = app.list_sessions(&session).by_browser();
        let page = list.clone().send().await.assert_page(200);
        page.one(&format!("form[action='/sessions/{id}'] input[name=_method][value=DELETE]"));
        page.one("form[action='/sessions/others'] input[name=_method][value=DELETE]");

        let form = [("_method", "DELETE")];
        let end = app.post(&format!("/sessions/{id}"), &form).session(&session).by_browser();
        end.clone().send().await.assert_leads_to("/sessions?ended=session");
        let page = app.get("/sessions?ended=session").session(&session).by_browser().send().await;
        assert_eq!(page.assert_page(200).text("[role=status]"), "The session has ended.");
        assert!(!app.is_logged_in(&others[0]).await && app.is_logged_in(&others[1]).await);
        let page = app.get("/sessions?ended=none").session(&session).by_browser().send().await;
        let asked_again = "You can end sessions now. None has ended yet.";
        assert_eq!(page.assert_page(200).text("[role=status]"), asked_again);
        // In another tab it was still there.
        let page = end.send().await.assert_page(404);
        assert_eq!(page.text("[role=alert]"), "This session has ended already.");
        assert_eq!(page.all("li").len(), 3);

        let end = app.post("/sessions/others", &form).session(&session).by_browser();
        end.send().await.assert_leads_to("/sessions?ended=others");
        let page = list.send().await.assert_page(200);
        assert_eq!((page.all("li").len(), page.all("button").len()), (1, 0));
        assert!(app.is_logged_in(&session).await);

        let id = app.id_of(&session).await;
        let reply = app.post(&format!("/sessions/{id}"), &form).session(&session).by_browser().send().await;
        assert!(reply.header("set-cookie").unwrap().ends_with("Max-Age=0"));
    }

    async fn who_is_not_logged_in_logs_in_and_goes_on(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let before = app.inside.all_rows().await;
        let form = [("_method", "DELETE")];
        let update = [("_method", "PUT"), ("password", PASSWORD), ("new_password", "new")];
        for (call, next) in [
            (app.get("/profile"), "/profile"),
            (app.get("/profile/password"), "/profile/password"),
            (app.get("/users/me"), "/users/me"),
            (app.post("/users", &form), "/users/me"),
            (app.post("/sessions/others", &form), "/sessions?ended=none"),
            (app.post("/sessions/0123456789abcdef", &form), "/sessions?ended=none"),
            (app.post("/profile/password", &update), "/profile/password"),
            (app.get("/profile/email"), "/profile/email"),
            (app.get("/profile/email?email_token=x"), "/profile/email?email_token=x"),
            (app.post("/profile/email", &[("email", "new@example.org")]), "/profile/email"),
            (app.post("/profile/email", &form), "/profile/email"),
            (
                app.post("/profile/email", &[("_method", "PUT"), ("email_token", "x")]),
                "/profile/email?email_token=x",
            ),
        ] {
            let page = call.by_browser().send().await.assert_page(403);
            let told = page.text("[role=status]");
            if next.contains("email_token") {
                let with_which = "Log in to continue, with the address that you had so far";
                assert!(told.starts_with(with_which), "{told}");
            } else {
                assert_eq!(told, "Log in to continue.");
            }
            assert_eq!(page.attribute("input[name=next]", "value").unwrap(), next);
        }
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn another_site_makes_nobody_do_any_of_it(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let other = app.logged_in(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let id = app.id_of(&other).await;
        let form = [("_method", "DELETE")];
        let update = [("_method", "PUT"), ("password", PASSWORD), ("new_password", "new")];
        let end = format!("/sessions/{id}");
        for (path, fields) in [
            ("/users", &form[..]),
            ("/sessions/others", &form),
            (&end, &form),
            ("/profile/password", &update),
            ("/profile/email", &form),
            ("/profile/email", &[("_method", "PUT"), ("email_token", "x")]),
            ("/undo_email_change", &[("_method", "PUT"), ("email", EMAIL)]),
        ] {
            for (header, value) in [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-site", "same-site"),
                ("origin", "https://evil.example"),
                ("origin", "null"),
            ] {
                let method = fields[0].1;
                let call = app.request(method, path).form(fields).session(&session).header(header, value);
                app.assert_refused(call, 403, "cross-site requests are refused").await;
                let before = app.inside.all_rows().await;
                let call = app.post(path, fields).session(&session).header(header, value);
                call.by_browser().send().await.assert_page(403);
                assert_eq!(app.inside.all_rows().await, before);
            }
        }
    }
}
