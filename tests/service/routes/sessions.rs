//! `POST /sessions` and `DELETE /sessions`.

use std::sync::Arc;
use std::time::Duration;

use bienvenue::app::Settings;
use bienvenue::auth::MAX_SESSIONS_PER_USER;
use bienvenue::password::{Cost, Passwords};
use bienvenue::token::OsRandom;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::{LIFETIMES, StuckTokens, TestApp, home};

const EMAIL: &str = "bob@example.org";
const UNKNOWN: &str = "nobody@example.org";

on_each_engine! {
    async fn logging_in_hands_over_a_session_cookie(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let reply = app.log_in("Bob@example.org", "b4l0u").send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "logged in" }));

        let session_id = reply.session_id().unwrap();
        assert_eq!(Uuid::parse_str(&session_id).unwrap().get_version_num(), 4);
        assert_eq!(
            reply.header("set-cookie").unwrap(),
            format!("session_id={session_id}; Path=/; HttpOnly; SameSite=Lax")
        );
        assert!(app.is_logged_in(&session_id).await);
    }

    async fn logging_in_takes_json_and_multipart_too(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let body = json!({ "email": EMAIL, "password": "b4l0u" });
        let reply = app.request("POST", "/sessions").json(&body).send().await;
        assert!(app.is_logged_in(&reply.session_id().unwrap()).await);
        let fields = [("email", EMAIL), ("password", "b4l0u")];
        let reply = app.request("POST", "/sessions").multipart(&fields).send().await;
        assert!(app.is_logged_in(&reply.session_id().unwrap()).await);
    }

    async fn an_unknown_address_and_a_wrong_password_look_and_cost_the_same(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        for email in [EMAIL, UNKNOWN] {
            let before = app.passwords.rounds_spent();
            let call = app.log_in(email, "t4rt1fl3tt3");
            app.assert_refused(call, 401, "wrong email or password").await;
            assert_eq!(app.passwords.rounds_spent() - before, 16, "{email}");
        }
    }

    async fn a_flood_of_logins_is_refused_beyond_what_can_be_served_in_time(database: Database) {
        let passwords = Passwords::new(Cost::new(8).unwrap(), Duration::from_millis(20));
        let app = TestApp::with_passwords(database, passwords, Arc::new(OsRandom)).await;
        app.registered(EMAIL, "b4l0u").await;
        let cores = std::thread::available_parallelism().unwrap().get();
        let mut logins = JoinSet::new();
        for number in 0..100 * cores {
            let email = [EMAIL, UNKNOWN][number % 2];
            logins.spawn(app.log_in(email, "wrong").send());
        }
        let (mut busy, mut served) = (0, 0);
        for reply in logins.join_all().await {
            if reply.status == 503 {
                reply.assert_refusal(503, "too many logins at once");
                assert_eq!(reply.header("retry-after"), Some("1"));
                busy += 1;
            } else {
                reply.assert_refusal(401, "wrong email or password");
                served += 1;
            }
        }
        assert!(busy > 0 && served > 0, "{busy} busy, {served} served");
        assert_eq!(app.auth.hash_metrics().refusals.get(), busy);
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }

    async fn a_flood_from_one_address_keeps_no_owner_elsewhere_from_logging_in(database: Database) {
        let passwords = Passwords::new(Cost::new(6).unwrap(), Duration::from_millis(500));
        let app = TestApp::with_passwords(database, passwords, Arc::new(OsRandom)).await;
        app.registered(EMAIL, "b4l0u").await;
        let behind_proxy = app.exposed(Settings {
            trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
            ..Settings::default()
        });
        let from = |address: &str, password| {
            behind_proxy.log_in(EMAIL, password).header("x-forwarded-for", address)
        };
        let mut flood = JoinSet::new();
        for _ in 0..2000 {
            flood.spawn(from("198.51.100.7", "wrong").send());
        }
        for _ in 0..10 {
            // The next of the flood is there before the owner is.
            flood.join_next().await.unwrap().unwrap();
            assert_eq!(from("203.0.113.9", "b4l0u").send().await.status, 200);
        }
        let refused = flood.join_all().await.into_iter().filter(|reply| reply.status == 503);
        assert!(refused.count() > 0);
    }

    async fn a_401_names_a_scheme_that_no_browser_asks_a_password_for(database: Database) {
        let app = TestApp::new(database).await;
        let reply = app.log_in(UNKNOWN, "b4l0u").send().await;
        assert_eq!(reply.header("www-authenticate"), Some("Cookie realm=\"bienvenue\""));
    }

    async fn a_second_login_does_not_end_the_first_session(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let first = app.logged_in(EMAIL, "b4l0u").await;
        let second = app.logged_in(EMAIL, "b4l0u").await;
        assert_ne!(first, second);
        assert!(app.is_logged_in(&first).await);
        assert!(app.is_logged_in(&second).await);
    }

    async fn a_login_ends_the_session_that_it_presents_and_no_other(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        app.registered("other@example.org", "b4l0u").await;
        let elsewhere = app.logged_in(EMAIL, "b4l0u").await;
        let others_elsewhere = app.logged_in("other@example.org", "b4l0u").await;
        let first = app.logged_in(EMAIL, "b4l0u").await;
        let failed = app.log_in(EMAIL, "wrong").session(&first);
        app.assert_refused(failed, 401, "wrong email or password").await;

        let second = app.log_in(EMAIL, "b4l0u").session(&first).send().await.session_id().unwrap();
        assert!(!app.is_logged_in(&first).await);
        let reply = app.log_in("other@example.org", "b4l0u").session(&second).send().await;
        let third = reply.session_id().unwrap();
        assert!(!app.is_logged_in(&second).await, "of another user, too");
        for session in [&elsewhere, &others_elsewhere, &third] {
            assert!(app.is_logged_in(session).await);
        }
    }

    async fn a_session_id_chosen_by_the_client_is_never_taken_over(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let chosen = Uuid::new_v4().to_string();
        let reply = app.log_in(EMAIL, "b4l0u").session(&chosen).send().await;
        assert_ne!(reply.session_id().unwrap(), chosen);
        assert!(!app.is_logged_in(&chosen).await);
    }

    async fn the_oldest_session_beyond_the_limit_ends(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        app.registered("other@example.org", "b4l0u").await;
        let others = app.logged_in("other@example.org", "b4l0u").await;
        let mut sessions = Vec::new();
        for _ in 0..=MAX_SESSIONS_PER_USER {
            app.clock.turn(Duration::from_secs(1));
            sessions.push(app.logged_in(EMAIL, "b4l0u").await);
        }
        assert!(!app.is_logged_in(&sessions[0]).await);
        for session in &sessions[1..] {
            assert!(app.is_logged_in(session).await);
        }
        assert!(app.is_logged_in(&others).await);
    }

    async fn sessions_that_begin_in_the_same_second_wait_for_the_next_to_be_too_many(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let mut sessions = Vec::new();
        for _ in 0..MAX_SESSIONS_PER_USER + 10 {
            sessions.push(app.logged_in(EMAIL, "b4l0u").await);
        }
        for session in sessions {
            assert!(app.is_logged_in(&session).await);
        }
        app.clock.turn(Duration::from_secs(1));
        let session = app.logged_in(EMAIL, "b4l0u").await;
        assert!(app.is_logged_in(&session).await);
        assert_eq!(app.inside.count("sessions").await, i64::from(MAX_SESSIONS_PER_USER));
    }

    async fn the_database_holds_no_session_id(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let rows = app.inside.all_rows().await.join("\n");
        let bytes = format!("{:02x?}", Uuid::parse_str(&session).unwrap().as_bytes());
        assert!(!rows.contains(&session) && !rows.contains(bytes.trim_matches(['[', ']'])));
    }

    async fn a_session_id_that_comes_twice_opens_nobodys_session(database: Database) {
        let app = TestApp::with(database, Cost::MIN, Arc::new(StuckTokens)).await;
        app.registered(EMAIL, "b4l0u").await;
        app.registered("other@example.org", "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        // From where they log in is noted before the session begins.
        let other = "other@example.org".parse().unwrap();
        app.auth.valid_login(Some(&other), &"b4l0u".parse().unwrap(), home()).await.unwrap();
        let call = app.log_in("other@example.org", "b4l0u");
        app.assert_refused(call, 500, "internal error").await;
        let profile = app.profile(&session).send().await;
        profile.assert_is(200, &json!({ "email": EMAIL }));
    }

    async fn logging_out_redirects_home_and_clears_the_cookie(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let reply = app.log_out(&session).send().await;
        reply.assert_is(302, &json!({ "message": "logged out" }));
        assert_eq!(reply.header("location"), Some("/"));
        assert_eq!(
            reply.header("set-cookie"),
            Some("session_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0")
        );
        assert!(!app.is_logged_in(&session).await);
    }

    async fn logging_out_ends_this_session_and_no_other(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        app.registered("other@example.org", "b4l0u").await;
        let ended = app.logged_in(EMAIL, "b4l0u").await;
        let same_user = app.logged_in(EMAIL, "b4l0u").await;
        let other_user = app.logged_in("other@example.org", "b4l0u").await;
        assert_eq!(app.log_out(&ended).send().await.status, 302);
        assert!(app.is_logged_in(&same_user).await);
        assert!(app.is_logged_in(&other_user).await);
        let again = app.log_out(&ended);
        app.assert_refused(again, 403, "not logged in").await;
    }

    async fn logging_out_of_a_session_that_a_new_password_has_voided_is_a_logout(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let mut void = Vec::new();
        for _ in 0..4 {
            void.push(app.logged_in(EMAIL, "b4l0u").await);
        }
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        let valid = app.logged_in(EMAIL, "new").await;

        for session in &void {
            app.assert_refused(app.profile(session), 403, "not logged in").await;
            app.profile(session).by_browser().send().await.assert_page(403);
            let home = app.get("/").session(session).by_browser().send().await.assert_page(200);
            home.one("input[name=password]");
        }
        let reply = app.log_out(&void[0]).send().await;
        reply.assert_is(302, &json!({ "message": "logged out" }));
        assert_eq!(reply.header("location"), Some("/"));
        let cleared = "session_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0";
        assert_eq!(reply.header("set-cookie"), Some(cleared));
        let reply = app.log_out(&void[1]).by_browser().send().await;
        reply.assert_leads_to("/");
        assert_eq!(reply.header("set-cookie"), Some(cleared));
        let again = app.log_in(EMAIL, "new").session(&void[2]).send().await;
        let again = again.session_id().unwrap();
        assert_eq!(app.inside.count("sessions").await, 3);
        for session in &void[..3] {
            app.assert_refused(app.log_out(session), 403, "not logged in").await;
        }
        for session in [&valid, &again] {
            assert!(app.is_logged_in(session).await);
        }
        app.clock.turn(Duration::from_hours(15 * 24));
        app.log_out(&void[3]).send().await.assert_refusal(403, "not logged in");
    }

    async fn void_sessions_count_and_end_first_and_are_purged_when_they_expire(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        for _ in 0..MAX_SESSIONS_PER_USER {
            app.logged_in(EMAIL, "b4l0u").await;
        }
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "new").send().await.status, 200);
        let mut sessions = Vec::new();
        for _ in 0..3 {
            app.clock.turn(Duration::from_secs(1));
            sessions.push(app.logged_in(EMAIL, "new").await);
            assert_eq!(app.inside.count("sessions").await, i64::from(MAX_SESSIONS_PER_USER));
        }
        app.clock.turn(LIFETIMES.session_idle.checked_sub(Duration::from_secs(3)).unwrap());
        for session in &sessions {
            assert!(app.is_logged_in(session).await);
        }
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("sessions").await, 3);
    }

    async fn logging_out_takes_a_live_session(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let expired = app.logged_in(EMAIL, "b4l0u").await;
        app.clock.turn(Duration::from_hours(15 * 24));
        let unknown = Uuid::new_v4().to_string();
        for call in [
            app.request("DELETE", "/sessions"),
            app.log_out(&unknown),
            app.log_out("x"),
        ] {
            app.assert_refused(call, 403, "not logged in").await;
        }
        app.log_out(&expired).send().await.assert_refusal(403, "not logged in");
    }

    async fn a_raised_cost_reaches_a_hash_at_the_next_login(database: Database) {
        let app = TestApp::with(database, Cost::new(5).unwrap(), Arc::new(OsRandom)).await;
        app.registered(EMAIL, "b4l0u").await;
        let weak = bcrypt::hash("b4l0u", 4).unwrap();
        app.inside.set_hash(EMAIL, &weak).await;

        let call = app.log_in(EMAIL, "wrong");
        app.assert_refused(call, 401, "wrong email or password").await;

        let session = app.logged_in(EMAIL, "b4l0u").await;
        let strong = app.inside.hash_of(EMAIL).await;
        assert!(strong.starts_with("$2b$05$"), "{strong}");
        assert!(app.is_logged_in(&session).await, "a new hash of the same password ends nothing");
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
        assert_eq!(app.inside.hash_of(EMAIL).await, strong, "once is enough");
    }

    async fn hashes_of_other_programs_move_in(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let hash = bcrypt::hash("t4rt1fl3tt3", 4).unwrap();
        for version in ["$2a$", "$2b$", "$2y$"] {
            app.inside.set_hash(EMAIL, &hash.replacen("$2b$", version, 1)).await;
            assert!(app.can_log_in(EMAIL, "t4rt1fl3tt3").await, "{version}");
            assert!(!app.can_log_in(EMAIL, "b4l0u").await, "{version}");
        }
    }

    async fn an_absurd_stored_hash_is_a_failed_login_like_any_other(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let sound = bcrypt::hash("b4l0u", 4).unwrap();
        for hash in [
            "",
            "b4l0u",
            &"\u{E9}".repeat(30),
            &sound[..50],
            &sound.replacen("$04$", "$31$", 1),
            &sound.replacen("$04$", "$99$", 1),
            &sound.replacen("$2b$", "$2x$", 1),
        ] {
            app.inside.set_hash(EMAIL, hash).await;
            let before = app.passwords.rounds_spent();
            let call = app.log_in(EMAIL, "b4l0u");
            app.assert_refused(call, 401, "wrong email or password").await;
            assert_eq!(app.passwords.rounds_spent() - before, 16, "{hash}");
        }
    }
}
