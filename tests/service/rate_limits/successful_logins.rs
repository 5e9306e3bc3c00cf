//! How often logins may succeed from one source.

use super::*;

on_each_engine! {
    async fn logins_that_succeed_are_counted_by_source_and_network_and_those_that_fail_are_not(database: Database) {
        let limits = RateLimits { successful_logins_per_source: rate("3/h"), ..NO_LIMITS };
        let app = app_with(limits, database).await;
        let send = |email, password, source: &str| app.log_in(email, password).from(source).send();
        for _ in 0..3 {
            for _ in 0..3 {
                assert_wrong(&send(EMAIL, "wrong", STRANGER).await);
            }
            assert_eq!(send(OTHER, "b4l0u", STRANGER).await.status, 200);
        }
        let rounds = app.passwords.rounds_spent();
        for email in [EMAIL, OTHER] {
            for password in ["b4l0u", "wrong"] {
                assert_eq!(throttled(&send(email, password, STRANGER).await), 1200);
            }
        }
        assert_eq!(app.passwords.rounds_spent(), rounds);
        // The owner elsewhere is not touched by it.
        assert_eq!(send(OTHER, "b4l0u", HOME).await.status, 200);
        let mut from_network = 3;
        for number in 100..120 {
            let login = send(OTHER, "b4l0u", &format!("203.0.113.{number}")).await;
            from_network += usize::from(login.status == 200);
        }
        assert_eq!(from_network, 12);
        assert_eq!(send(OTHER, "b4l0u", HOME).await.status, 200);
        app.clock.turn(Duration::from_mins(20));
        assert_eq!(send(OTHER, "b4l0u", STRANGER).await.status, 200);
    }

    async fn a_network_that_used_them_up_keeps_no_owner_out_of_a_familiar_source(database: Database) {
        let limits = RateLimits {
            successful_logins_per_source: rate("3/h"),
            ..per_account("9/h")
        };
        let app = app_with(limits, database).await;
        let send = |email, source: &str| app.log_in(email, "b4l0u").from(source).send();
        assert_eq!(send(EMAIL, "203.0.113.7").await.status, 200);
        let mut from_network = 1;
        for number in 100..120 {
            // A user who is familiar nowhere yet, at each source.
            let login = send(OTHER, &format!("203.0.113.{number}")).await;
            from_network += usize::from(login.status == 200);
        }
        assert_eq!(from_network, 12);
        assert_eq!(send(EMAIL, "203.0.113.7").await.status, 200);
        throttled(&send(EMAIL, "203.0.113.8").await);
    }

    async fn no_more_of_them_succeed_at_once_than_one_after_another(database: Database) {
        let limits = RateLimits { successful_logins_per_source: rate("7/h"), ..NO_LIMITS };
        let app = app_with(limits, database).await;
        let replies = at_once((0..40).map(|_| app.log_in(EMAIL, "b4l0u"))).await;
        let let_in = replies.iter().filter(|reply| reply.status == 200).count();
        assert_eq!(let_in, 7);
        assert_eq!(app.inside.count("sessions").await, 7);
    }
}
