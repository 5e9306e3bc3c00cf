//! `GET /profile`, and how long a session lasts.

use std::time::Duration;

use bienvenue::clock::Clock;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::{LIFETIMES, NO_LIMITS, TestApp};

const EMAIL: &str = "bob@example.org";
const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

on_each_engine! {
    async fn a_profile_is_the_address_of_whoever_is_logged_in(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        app.registered("other@example.org", "b4l0u").await;
        let bob = app.logged_in(EMAIL, "b4l0u").await;
        let other = app.logged_in("other@example.org", "b4l0u").await;
        for (session, email) in [(&bob, EMAIL), (&other, "other@example.org")] {
            let reply = app.profile(session).send().await;
            reply.assert_is(200, &json!({ "email": email }));
            assert_eq!(reply.header("set-cookie"), None);
        }
    }

    async fn without_a_live_session_there_is_no_profile(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        app.logged_in(EMAIL, "b4l0u").await;
        let unknown = Uuid::new_v4().to_string();
        for call in [
            app.get("/profile"),
            app.get("/profile").header("cookie", "session_id"),
            app.profile(""),
            app.profile("null"),
            app.profile(&unknown),
            app.profile(&"x".repeat(5000)),
        ] {
            app.assert_refused(call, 403, "not logged in").await;
        }
    }

    async fn a_session_that_is_not_used_ends_at_its_idle_timeout(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        app.clock.turn(LIFETIMES.session_idle.checked_sub(Duration::from_secs(1)).unwrap());
        let other = app.logged_in(EMAIL, "b4l0u").await;
        app.clock.turn(Duration::from_secs(1));
        app.profile(&session).send().await.assert_refusal(403, "not logged in");
        assert!(app.is_logged_in(&other).await);
    }

    async fn a_profile_is_answered_even_if_its_use_cannot_be_written_down(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let before = app.inside.all_rows().await;
        app.clock.turn(10 * MINUTE);
        let lock = app.inside.lock_out_writers().await;
        let reply = app.profile(&session).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL }));
        assert_eq!(app.inside.all_rows().await, before, "not written down");
        drop(lock);
        // The first note may still be under way, so a later use is looked for. On a busy machine it
        // is perhaps not the next one's, since a check waits for its note a moment only.
        app.clock.turn(10 * MINUTE);
        let later = app.clock.now().0.to_string();
        let noted = async {
            while !(app.inside.all_rows().await).iter().any(|row| row.contains(&later)) {
                assert!(app.is_logged_in(&session).await);
            }
        };
        timeout(PATIENCE, noted).await.expect("a note");
    }

    async fn use_prolongs_a_session_up_to_its_lifetime(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        for _ in 0..29 {
            app.clock.turn(DAY);
            assert!(app.is_logged_in(&session).await);
        }
        app.clock.turn(DAY);
        app.profile(&session).send().await.assert_refusal(403, "not logged in");
    }

    async fn use_is_written_down_every_few_minutes_only(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let at_login = app.inside.all_rows().await;
        app.clock.turn(4 * MINUTE);
        assert!(app.is_logged_in(&session).await);
        assert_eq!(app.inside.all_rows().await, at_login);
        app.clock.turn(MINUTE);
        assert!(app.is_logged_in(&session).await);
        assert_ne!(app.inside.all_rows().await, at_login);
    }

    async fn expired_sessions_and_reset_tokens_are_purged_and_no_others(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        app.registered(EMAIL, "b4l0u").await;
        app.registered("other@example.org", "b4l0u").await;
        app.logged_in(EMAIL, "b4l0u").await;
        app.reset_token(EMAIL).await;
        app.clock.turn(LIFETIMES.session_idle);
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let token = app.reset_token("other@example.org").await;

        assert_eq!(app.auth.purge_expired().await.unwrap(), 2);
        assert_eq!(app.auth.purge_expired().await.unwrap(), 0);
        assert!(app.is_logged_in(&session).await);
        let reset = app.reset("other@example.org", &token, "new").send().await;
        assert_eq!(reset.status, 200);
    }
}
