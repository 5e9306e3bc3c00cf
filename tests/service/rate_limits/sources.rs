//! How often one source may try.

use super::*;

on_each_engine! {
    async fn a_login_that_succeeds_gives_nobody_back_what_they_used_up(database: Database) {
        let app = app_with(per_source("5/h"), database).await;
        let guess = || app.log_in(EMAIL, "wrong").from(STRANGER);
        for _ in 0..4 {
            assert_wrong(&guess().send().await);
            let own = app.log_in(OTHER, "b4l0u").from(STRANGER);
            assert_eq!(own.send().await.status, 200);
        }
        assert_wrong(&guess().send().await);
        throttled(&guess().send().await);
        throttled(&app.log_in(OTHER, "b4l0u").from(STRANGER).send().await);
    }

    async fn a_source_that_rotates_what_it_says_about_itself_is_still_throttled(database: Database) {
        let app = app_behind(&["10.0.0.0/8"], per_source("10/h"), database).await;
        let mut let_in = 0;
        for number in 0..200 {
            let address = format!("192.0.2.{number}");
            let email = format!("user{number}@example.org");
            let call = app
                .log_in(&email, "wrong")
                .from(STRANGER)
                .header("x-forwarded-for", &address)
                .header("x-real-ip", &address)
                .header("forwarded", format!("for={address}"))
                .header("true-client-ip", &address)
                .header("cf-connecting-ip", &address)
                .header("x-client-ip", &address);
            match call.send().await {
                reply if reply.status == 401 => let_in += 1,
                reply => drop(throttled(&reply)),
            }
        }
        assert_eq!(let_in, 10);
    }

    async fn behind_a_trusted_proxy_each_client_counts_alone_and_cannot_choose_who_it_is(database: Database) {
        let app = app_behind(&["10.0.0.0/8"], per_source("3/h"), database).await;
        let behind = |list: String| app.log_in(UNKNOWN, "wrong").from("10.0.0.1").header("x-forwarded-for", list);
        for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1"] {
            let mut number = 0;
            let mut guesses = 0;
            while number < 20 {
                let reply = behind(format!("198.51.100.{number}, {client}, 10.0.0.2")).send().await;
                guesses += usize::from(reply.status == 401);
                number += 1;
            }
            assert_eq!(guesses, 3, "{client}");
        }
        // The same network, and the same address.
        throttled(&behind("2001:db8::ffff".to_owned()).send().await);
        throttled(&behind("::ffff:192.0.2.1".to_owned()).send().await);
        throttled(&app.log_in(UNKNOWN, "wrong").from("192.0.2.1").send().await);
        throttled(&app.log_in(UNKNOWN, "wrong").from("2001:db8::2").send().await);
        assert_wrong(&behind("2001:db8:0:1::1".to_owned()).send().await);
    }

    async fn a_source_without_tokens_takes_none_from_an_account_nor_an_account_from_a_source(database: Database) {
        let limits = RateLimits { logins_per_source: rate("3/h"), ..per_account("5/h") };
        let app = app_with(limits, database).await;
        let wrong = |email, source| app.log_in(email, "wrong").from(source);
        assert_eq!(guess(|| wrong(EMAIL, STRANGER)).await, 3);
        for _ in 0..20 {
            throttled(&wrong(EMAIL, STRANGER).send().await);
        }
        // The two that are left of five.
        assert_eq!(guess(|| wrong(EMAIL, HOME)).await, 2);
        for _ in 0..20 {
            throttled(&wrong(EMAIL, HOME).send().await);
        }
        // The one that is left of three.
        assert_eq!(guess(|| wrong(OTHER, HOME)).await, 1);
    }

    async fn reset_requests_and_sign_ups_are_throttled_by_source(database: Database) {
        let limits = RateLimits {
            resets_per_source: rate("3/h"),
            sign_ups_per_source: rate("4/h"),
            ..NO_LIMITS
        };
        let app = app_with(limits, database).await;
        for number in 0..10 {
            let asked = app.ask_reset(&format!("user{number}@example.org")).from(STRANGER);
            assert_eq!(asked.send().await.status, if number < 3 { 403 } else { 429 });
        }
        assert_eq!(app.ask_reset(EMAIL).from(HOME).send().await.status, 200);

        let rounds = app.passwords.rounds_spent();
        for number in 0..10 {
            // A taken address counts too.
            let email = if number == 0 { EMAIL } else { &format!("user{number}@example.org") };
            let signed_up = app.register(email, "b4l0u").from(STRANGER).send().await;
            let expected = [400, 200, 200, 200].get(number).copied().unwrap_or(429);
            assert_eq!(signed_up.status, expected);
        }
        assert_eq!(app.passwords.rounds_spent() - rounds, 4 * 16);
        assert_eq!(app.inside.count("users").await, 5);
        assert_eq!(app.register("new@example.org", "b4l0u").from(HOME).send().await.status, 200);
    }

    async fn what_is_no_address_counts_for_its_source_like_an_unknown_one(database: Database) {
        let limits = RateLimits { resets_per_source: rate("4/m"), ..per_source("4/m") };
        let app = app_with(limits, database).await;
        for email in ["bob", UNKNOWN, "@", "b\u{F6}b@example.org"] {
            assert_wrong(&app.log_in(email, "wrong").send().await);
            app.ask_reset(email).send().await.assert_refusal(403, "email not registered");
        }
        let before = app.passwords.rounds_spent();
        for email in ["bob", UNKNOWN] {
            assert_eq!(throttled(&app.log_in(email, "wrong").send().await), 15);
            assert_eq!(throttled(&app.ask_reset(email).send().await), 15);
        }
        assert_eq!(app.passwords.rounds_spent(), before);
    }
}
