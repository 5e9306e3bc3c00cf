//! What cannot be undone takes a login within the last ten minutes.

use std::time::Duration;

use super::{EMAIL, PASSWORD};
use crate::on_each_engine;
use crate::support::{LIFETIMES, TestApp};

const SECOND: Duration = Duration::from_secs(1);

on_each_engine! {
    async fn a_session_that_began_too_long_ago_ends_and_deletes_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let other = app.logged_in(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let id = app.id_of(&other).await;
        // So that its use is noted by now.
        app.clock.turn(LIFETIMES.fresh_login);
        assert!(app.is_logged_in(&session).await);
        for _ in 0..2 {
            for (call, page) in app.calls_of_fresh(&session, &id) {
                app.assert_refused(call.clone(), 403, "log in again").await;
                let before = app.inside.all_rows().await;
                let reply = call.by_browser().send().await;
                let next = page.replace('/', "%2F").replace('?', "%3F").replace('=', "%3D");
                reply.assert_leads_to(&format!("/sessions?next={next}"));
                assert_eq!(reply.header("set-cookie"), None);
                assert_eq!(app.inside.all_rows().await, before);
            }
            // Nor does being used make it fresh.
            app.clock.turn(SECOND);
            assert!(app.is_logged_in(&session).await);
        }
        let call = app.end_session(&session, "x");
        app.assert_refused(call, 403, "log in again").await;
        // What anyone with the session may see or do is not bound to it.
        assert_eq!(app.sessions(&session).await.len(), 2);
        assert_eq!(app.get("/users/me").session(&session).send().await.status, 200);
        let reply = app.change_password(&session, PASSWORD, "new").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    async fn a_session_is_fresh_for_ten_minutes(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        for _ in 0..3 {
            let other = app.logged_in(EMAIL, PASSWORD).await;
            let session = app.logged_in(EMAIL, PASSWORD).await;
            app.clock.turn(LIFETIMES.fresh_login.checked_sub(SECOND).unwrap());
            assert_eq!(app.end_others(&session).send().await.status, 200);
            assert!(!app.is_logged_in(&other).await);
            app.clock.turn(SECOND);
            app.assert_refused(app.end_others(&session), 403, "log in again").await;
        }
    }

    async fn logging_in_again_makes_another_session_that_is_fresh(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let stale = app.logged_in(EMAIL, PASSWORD).await;
        app.clock.turn(LIFETIMES.fresh_login);
        let fresh = app.log_in(EMAIL, PASSWORD).session(&stale).send().await;
        let fresh = fresh.session_id().unwrap();
        assert!(!app.is_logged_in(&stale).await);
        assert_eq!(app.delete_user(&fresh).send().await.status, 200);
    }

    async fn a_session_begun_by_a_clock_that_was_ahead_is_not_fresh_for_longer(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.clock.turn(LIFETIMES.fresh_login);
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.clock.turn_back(LIFETIMES.fresh_login);
        // Further ahead than clocks differ.
        app.assert_refused(app.delete_user(&session), 403, "not logged in").await;
        app.clock.turn(2 * LIFETIMES.fresh_login);
        app.delete_user(&session).send().await.assert_refusal(403, "log in again");
        assert_eq!(app.inside.count("users").await, 1);
    }

    async fn a_person_is_led_to_prove_who_they_are_and_back(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let delete = app.get("/users/me").session(&session).by_browser();
        delete.clone().send().await.assert_page(200);
        app.clock.turn(LIFETIMES.fresh_login);
        // Before they decide anything.
        delete.send().await.assert_leads_to("/sessions?next=%2Fusers%2Fme");
        let log_in = app.get("/sessions?next=%2Fusers%2Fme").session(&session).by_browser();
        let page = log_in.send().await.assert_page(200);
        assert_eq!(page.text("[role=status]"), "Enter your password again to continue.");
        assert_eq!(page.attribute("#email", "value").unwrap(), EMAIL);
        assert!(page.one("#email").attr("readonly").is_some());
        assert_eq!(page.one("[autofocus]").attr("id"), Some("password"));
        assert_eq!(page.all("main a[href^='/users']").len(), 0, "they have an account");

        let form = |password| [("email", EMAIL), ("password", password), ("next", "/users/me")];
        let wrong = app.post("/sessions", &form("wrong")).session(&session).by_browser();
        let page = wrong.send().await.assert_page(401);
        assert!(page.one("#email").attr("readonly").is_some());
        assert!(app.is_logged_in(&session).await);
        let right = app.post("/sessions", &form(PASSWORD)).session(&session).by_browser();
        let reply = right.send().await;
        reply.assert_leads_to("/users/me");
        let session = reply.session_id().unwrap();
        app.get("/users/me").session(&session).by_browser().send().await.assert_page(200);
    }

    async fn who_is_not_logged_in_finds_the_same_page_to_log_in_on_as_ever(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        for path in ["/sessions", "/sessions?next=/users/me", "/sessions?email=bob%40example.org"] {
            let page = app.get(path).by_browser().send().await.assert_page(200);
            assert!(page.one("#email").attr("readonly").is_none(), "{path}");
            assert_eq!(page.all("[role=status], [autofocus]").len(), 0, "{path}");
            assert_eq!(page.all(".more a").len(), 2, "{path}");
        }
    }
}
