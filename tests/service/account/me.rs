//! `GET /users/me` and `GET /.well-known/change-password`.

use std::time::Duration;

use serde_json::json;

use super::{EMAIL, PASSWORD};
use crate::on_each_engine;
use crate::support::TestApp;

on_each_engine! {
    async fn a_back_end_learns_a_number_that_stays(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.clock.turn(Duration::from_mins(1));
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let me = app.get("/users/me").session(&session);
        me.clone().send().await.assert_is(200, &json!({
            "id": 1,
            "email": EMAIL,
            "email_confirmed": false,
            "created": "2027-01-15T08:00:00Z",
            "session": { "begun": "2027-01-15T08:01:00Z", "seen": "2027-01-15T08:01:00Z" },
        }));
        app.inside.execute("UPDATE users SET email_confirmed_at = 1").await;
        assert_eq!(me.send().await.json()["email_confirmed"], true);
        // And the faster question has the same one key as ever.
        app.profile(&session).send().await.assert_is(200, &json!({ "email": EMAIL }));
    }

    async fn password_managers_find_the_page_to_change_the_password_on(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        for method in ["GET", "HEAD"] {
            let call = app.request(method, "/.well-known/change-password");
            let as_user = call.clone().session(&session);
            for (call, way) in [
                (call.clone(), "/profile/password"),
                (as_user.clone(), "/profile/password"),
                (as_user.by_browser(), "/profile/password"),
                (call.by_browser(), "/sessions?next=%2Fprofile%2Fpassword"),
            ] {
                let reply = call.send().await;
                assert_eq!((reply.status.as_u16(), reply.header("location")), (302, Some(way)));
            }
        }
        // Where a browser ends must be no refusal.
        app.get("/sessions?next=%2Fprofile%2Fpassword").by_browser().send().await.assert_page(200);
        // By which they see that not every address is answered.
        let nothing = app.get("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200");
        app.assert_refused(nothing, 404, "not found").await;
        let page = app.get("/profile/password").by_browser().send().await.assert_page(403);
        assert_eq!(page.attribute("input[name=next]", "value").unwrap(), "/profile/password");
    }
}
