//! How often wrong passwords may be tried for an account.

use super::*;

on_each_engine! {
    async fn after_too_many_wrong_passwords_an_address_has_to_wait_just_as_long_as_it_is_told(database: Database) {
        // A token comes back every 8.57 seconds.
        let app = app_with(per_account("7/m"), database).await;
        for _ in 0..7 {
            assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
        }
        for seconds in [9, 9, 8, 9, 8, 9] {
            assert_eq!(throttled(&app.log_in(EMAIL, "wrong").send().await), seconds);
            assert_eq!(throttled(&app.log_in(EMAIL, "b4l0u").send().await), seconds);
            app.clock.turn(Duration::from_secs(seconds - 1));
            assert_eq!(throttled(&app.log_in(EMAIL, "wrong").send().await), 1);
            app.clock.turn(Duration::from_secs(1));
            assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
        }
        app.clock.turn(Duration::from_mins(1));
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 7);
    }

    async fn the_right_password_has_to_wait_too_and_is_then_right(database: Database) {
        let app = app_with(per_account("2/m"), database).await;
        guess(|| app.log_in(EMAIL, "wrong")).await;
        let before = app.inside.all_rows().await;
        assert_eq!(throttled(&app.log_in(EMAIL, "b4l0u").send().await), 30);
        assert_eq!(app.inside.all_rows().await, before);
        app.clock.turn(Duration::from_secs(30));
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }

    async fn all_limits_are_off_if_so_set(database: Database) {
        let app = app_with(NO_LIMITS, database).await;
        for _ in 0..30 {
            assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
            app.reset_token(EMAIL).await;
        }
        app.logged_in(EMAIL, "b4l0u").await;
        assert_eq!(app.inside.count("throttles").await, 0);
        assert_eq!(app.inside.count("familiar_sources").await, 0);
    }

    async fn known_and_unknown_addresses_are_throttled_alike_to_the_byte_and_cost_nothing(database: Database) {
        let app = app_with(per_account("3/m"), database).await;
        for email in [EMAIL, UNKNOWN] {
            assert_eq!(guess(|| app.log_in(email, "wrong")).await, 3, "{email}");
        }
        let before = app.passwords.rounds_spent();
        let mut replies = Vec::new();
        for (email, password) in [(EMAIL, "wrong"), (EMAIL, "b4l0u"), (UNKNOWN, "wrong")] {
            let reply = app.log_in(email, password).send().await;
            throttled(&reply);
            let mut headers: HeaderMap = reply.headers;
            headers.remove("x-request-id");
            replies.push((reply.status, headers, reply.body));
        }
        assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
        assert_eq!(app.passwords.rounds_spent(), before);
    }

    async fn all_spellings_of_an_address_count_together(database: Database) {
        let app = app_with(per_account("6/m"), database).await;
        for email in [EMAIL, "BOB@example.org", " bob@EXAMPLE.org", "bOb@example.org\t", "Bob@Example.Org\r\n", EMAIL] {
            assert_wrong(&app.log_in(email, "wrong").send().await);
        }
        for email in [EMAIL, "BOB@EXAMPLE.ORG", "  bob@example.org  "] {
            throttled(&app.log_in(email, "wrong").send().await);
        }
        let body = json!({ "email": "\u{a0}Bob@example.org", "password": "wrong" });
        throttled(&app.request("POST", "/sessions").json(&body).send().await);
        assert_wrong(&app.log_in(OTHER, "wrong").send().await);
    }

    async fn a_login_that_succeeds_uses_nothing_up(database: Database) {
        let limits = RateLimits { logins_per_source: rate("2/h"), ..per_account("2/h") };
        let app = app_with(limits, database).await;
        for _ in 0..10 {
            app.logged_in(EMAIL, "b4l0u").await;
        }
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 2);
    }

    async fn an_owner_who_logs_in_does_not_clear_the_way_for_strangers(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        for _ in 0..5 {
            assert_wrong(&app.log_in(EMAIL, "wrong").from(STRANGER).send().await);
            app.log_in(EMAIL, "b4l0u").from(HOME).send().await.assert_is(
                200,
                &json!({ "email": EMAIL, "message": "logged in" }),
            );
        }
        throttled(&app.log_in(EMAIL, "wrong").from(STRANGER).send().await);
    }

    async fn of_fifty_at_once_no_more_are_let_in_than_there_are_tokens(database: Database) {
        let limits = RateLimits { logins_per_source: rate("30/h"), ..per_account("7/h") };
        let app = app_with(limits, database).await;
        let another = app.another().await;
        for (email, expected) in [(EMAIL, 7), (UNKNOWN, 7), (OTHER, 7)] {
            let before = app.passwords.rounds_spent();
            let clients = [&*app, &another];
            let calls = (0..50).map(|number| clients[number % 2].log_in(email, "wrong"));
            let replies = at_once(calls).await;
            let let_in = replies.iter().filter(|reply| reply.status == 401).count();
            assert_eq!(let_in, expected, "{email}");
            for reply in replies.iter().filter(|reply| reply.status != 401) {
                throttled(reply);
            }
            let rounds = u64::try_from(expected).unwrap() * 16;
            assert_eq!(app.passwords.rounds_spent() - before, rounds);
        }
    }
}
