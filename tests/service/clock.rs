//! Sessions and reset tokens under a clock that was, or is, wrong.

use std::time::Duration;

use bienvenue::auth::MAX_SESSIONS_PER_USER;
use bienvenue::clock::CLOCK_TOLERANCE;

use crate::on_each_engine;
use crate::support::{LIFETIMES, NO_LIMITS, TestApp};

const EMAIL: &str = "bob@example.org";
const NO_SESSION: &str = "not logged in";
const BAD_TOKEN: &str = "invalid reset token";
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// How long after 1970 the clock of the tests begins.
const SINCE_1970: Duration = Duration::from_hours(500_000);

async fn app_with_bob(database: crate::support::Database) -> TestApp {
    let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
    app.registered(EMAIL, "b4l0u").await;
    app
}

on_each_engine! {
    async fn what_begins_in_the_future_is_not_valid_and_stays(database: Database) {
        let app = app_with_bob(database).await;
        app.clock.turn(YEAR);
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let token = app.reset_token(EMAIL).await;
        app.clock.turn_back(YEAR);
        for days_later in [0, 1, 13, 86, 264] {
            app.clock.turn(days_later * DAY);
            for call in [app.profile(&session), app.log_out(&session)] {
                app.assert_refused(call, 403, NO_SESSION).await;
            }
            app.assert_refused(app.reset(EMAIL, &token, "new"), 403, BAD_TOKEN).await;
        }
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }

    async fn clocks_may_differ_by_the_tolerance_and_no_more(database: Database) {
        let app = app_with_bob(database).await;
        for (ahead, is_valid) in [(CLOCK_TOLERANCE + SECOND, false), (CLOCK_TOLERANCE, true)] {
            app.clock.turn(ahead);
            let session = app.logged_in(EMAIL, "b4l0u").await;
            let token = app.reset_token(EMAIL).await;
            app.clock.turn_back(ahead);
            assert_eq!(app.is_logged_in(&session).await, is_valid);
            let ended = app.log_out(&session).send().await.status;
            assert_eq!(ended, if is_valid { 302 } else { 403 });
            let reset = app.reset(EMAIL, &token, "new").send().await.status;
            assert_eq!(reset, if is_valid { 200 } else { 403 });
        }
    }

    async fn what_has_expired_and_was_refused_once_is_gone(database: Database) {
        let app = app_with_bob(database).await;
        let by_profile = app.logged_in(EMAIL, "b4l0u").await;
        let by_logout = app.logged_in(EMAIL, "b4l0u").await;
        let unseen = app.logged_in(EMAIL, "b4l0u").await;
        let token = app.reset_token(EMAIL).await;

        app.clock.turn(LIFETIMES.reset_token);
        app.reset(EMAIL, &token, "new").send().await.assert_refusal(403, BAD_TOKEN);
        assert_eq!(app.inside.count("reset_tokens").await, 0);
        app.clock.turn_back(LIFETIMES.reset_token);
        app.assert_refused(app.reset(EMAIL, &token, "new"), 403, BAD_TOKEN).await;

        app.clock.turn(LIFETIMES.session_idle);
        app.profile(&by_profile).send().await.assert_refusal(403, NO_SESSION);
        app.log_out(&by_logout).send().await.assert_refusal(403, NO_SESSION);
        assert_eq!(app.inside.count("sessions").await, 1);
        app.clock.turn_back(LIFETIMES.session_idle);
        for session in [&by_profile, &by_logout] {
            app.assert_refused(app.profile(session), 403, NO_SESSION).await;
        }
        assert!(app.is_logged_in(&unseen).await, "never refused");
    }

    async fn a_session_past_its_lifetime_that_was_refused_once_is_gone(database: Database) {
        let app = app_with_bob(database).await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        for _ in 0..29 {
            app.clock.turn(DAY);
            assert!(app.is_logged_in(&session).await);
        }
        app.clock.turn(DAY);
        assert!(!app.is_logged_in(&session).await);
        app.clock.turn_back(DAY);
        assert!(!app.is_logged_in(&session).await);
    }

    async fn an_expired_session_is_refused_even_if_it_cannot_be_deleted(database: Database) {
        let app = app_with_bob(database).await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        app.clock.turn(LIFETIMES.session_idle);
        let lock = app.inside.lock_out_writers().await;
        app.profile(&session).send().await.assert_refusal(403, NO_SESSION);
        drop(lock);
    }

    async fn a_use_noted_by_a_clock_that_was_ahead_does_not_prolong_a_session(database: Database) {
        let app = app_with_bob(database).await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        app.clock.turn(10 * DAY);
        assert!(app.is_logged_in(&session).await);
        app.clock.turn_back(10 * DAY);
        assert!(app.is_logged_in(&session).await);
        app.clock.turn(LIFETIMES.session_idle);
        assert!(!app.is_logged_in(&session).await);
    }

    async fn sessions_that_a_clock_ahead_has_left_end_before_those_in_use(database: Database) {
        let app = app_with_bob(database).await;
        app.clock.turn(YEAR);
        for _ in 0..MAX_SESSIONS_PER_USER {
            app.logged_in(EMAIL, "b4l0u").await;
        }
        app.clock.turn_back(YEAR);
        let mut sessions = Vec::new();
        for _ in 0..5 {
            app.clock.turn(SECOND);
            sessions.push(app.logged_in(EMAIL, "b4l0u").await);
        }
        for session in &sessions {
            assert!(app.is_logged_in(session).await);
        }
        assert_eq!(app.inside.count("sessions").await, i64::from(MAX_SESSIONS_PER_USER));
    }

    async fn a_start_in_1970_loses_nothing(database: Database) {
        let app = app_with_bob(database).await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let token = app.reset_token(EMAIL).await;
        app.clock.turn_back(SINCE_1970);
        app.auth.purge_expired().await.unwrap();
        app.assert_refused(app.profile(&session), 403, NO_SESSION).await;
        app.assert_refused(app.reset(EMAIL, &token, "new"), 403, BAD_TOKEN).await;
        app.clock.turn(SINCE_1970);
        assert!(app.is_logged_in(&session).await);
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
    }

    async fn the_first_and_the_last_moment_of_a_clock_are_served_like_any_other(database: Database) {
        // The clock of the tests begins in 2027; the one of Linux ends in 2262.
        let app = TestApp::new(database).await;
        app.clock.turn_back(SINCE_1970);
        for (number, years_later) in [0, 292, 0].into_iter().enumerate() {
            app.clock.turn(years_later * YEAR);
            let email = format!("user{number}@example.org");
            app.registered(&email, "b4l0u").await;
            let session = app.logged_in(&email, "b4l0u").await;
            assert!(app.is_logged_in(&session).await);
            assert!(!app.can_log_in(&email, "wrong").await);
            let token = app.reset_token(&email).await;
            assert_eq!(app.reset(&email, &token, "new").send().await.status, 200);
            assert!(!app.is_logged_in(&session).await);
            let session = app.logged_in(&email, "new").await;
            assert_eq!(app.log_out(&session).send().await.status, 302);
            app.auth.purge_expired().await.unwrap();
        }
    }
}
