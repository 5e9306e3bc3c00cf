//! `POST /users`.

use serde_json::json;

use crate::on_each_engine;
use crate::support::TestApp;

on_each_engine! {
    async fn register_creates_a_user_who_can_log_in(database: Database) {
        let app = TestApp::new(database).await;
        let reply = app.register("bob@example.org", "b4l0u").send().await;
        reply.assert_is(200, &json!({ "email": "bob@example.org", "message": "user created" }));
        assert_eq!(reply.header("set-cookie"), None);
        assert!(app.can_log_in("bob@example.org", "b4l0u").await);
        assert!(app.inside.hash_of("bob@example.org").await.starts_with("$2b$04$"));
    }

    async fn register_takes_json_and_multipart_too(database: Database) {
        let app = TestApp::new(database).await;
        let body = json!({ "email": "json@example.org", "password": "b4l0u", "age": 7 });
        let reply = app.request("POST", "/users").json(&body).send().await;
        reply.assert_is(200, &json!({ "email": "json@example.org", "message": "user created" }));

        let fields = [("email", "part@example.org"), ("password", "b4l0u"), ("x", "")];
        let reply = app.request("POST", "/users").multipart(&fields).send().await;
        reply.assert_is(200, &json!({ "email": "part@example.org", "message": "user created" }));

        assert!(app.can_log_in("json@example.org", "b4l0u").await);
        assert!(app.can_log_in("part@example.org", "b4l0u").await);
    }

    async fn an_address_is_stored_and_answered_in_one_spelling(database: Database) {
        let app = TestApp::new(database).await;
        let reply = app.register("  Guillaume@Holberton.IO ", "b4l0u").send().await;
        reply.assert_is(
            200,
            &json!({ "email": "guillaume@holberton.io", "message": "user created" }),
        );
        assert!(app.can_log_in("GUILLAUME@holberton.io", "b4l0u").await);
    }

    async fn a_taken_address_is_refused_in_every_spelling(database: Database) {
        let app = TestApp::new(database).await;
        app.registered("bob@example.org", "b4l0u").await;
        for email in ["bob@example.org", "BOB@Example.Org", " bob@example.org\n"] {
            let call = app.register(email, "another");
            app.assert_refused(call, 400, "email already registered").await;
        }
        assert!(app.can_log_in("bob@example.org", "b4l0u").await);
    }

    async fn a_password_counts_to_its_last_byte(database: Database) {
        let app = TestApp::new(database).await;
        for (email, password) in [
            ("spaces@example.org", "  b4l0u \r\n"),
            ("long@example.org", &"\u{1F600}".repeat(18)),
        ] {
            app.registered(email, password).await;
            assert!(app.can_log_in(email, password).await);
            assert!(!app.can_log_in(email, password.trim_end().strip_suffix('\u{1F600}').unwrap_or("b4l0u")).await);
        }
    }
}
