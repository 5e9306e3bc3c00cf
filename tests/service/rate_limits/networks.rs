//! How often all sources of one network may try.

use super::*;

/// A source of its own in an IPv6 network of 48 bits.
fn in_network(network: usize, number: usize) -> String {
    format!("2001:db8:{network:x}:{number:x}::1")
}

on_each_engine! {
    async fn the_sources_of_a_network_have_four_times_what_one_has(database: Database) {
        let limits = RateLimits {
            sign_ups_per_source: rate("5/h"),
            resets_per_source: rate("5/h"),
            ..per_source("5/h")
        };
        let app = app_with(limits, database).await;
        let ipv4 = |number| format!("203.0.113.{number}");
        let ipv6 = |number| in_network(1, number);
        let calls = [
            app.log_in(UNKNOWN, "wrong"),
            // A taken address counts too.
            app.register(EMAIL, "b4l0u"),
            app.ask_reset(UNKNOWN),
        ];
        let networks: [(&dyn Fn(usize) -> String, _); 2] =
            [(&ipv4, "203.0.112.1"), (&ipv6, "2001:db8:2::1")];
        for (source, elsewhere) in networks {
            for call in &calls {
                for number in 0..30 {
                    let reply = call.clone().from(&source(number)).send().await;
                    if number < 20 {
                        assert_ne!(reply.status, 429, "{number}");
                    } else {
                        assert_eq!(throttled(&reply), 180);
                    }
                }
                let reply = call.clone().from(elsewhere).send().await;
                assert_ne!(reply.status, 429);
            }
        }
    }

    async fn many_guesses_from_a_source_each_in_a_few_networks_are_not_all_let_through(database: Database) {
        let app = app_with(per_source("5/h"), database).await;
        let mut let_in = 0;
        for number in 0..240 {
            let email = format!("user{number}@example.org");
            let call = app.log_in(&email, "wrong").from(&in_network(number % 8, number / 8));
            match call.send().await {
                reply if reply.status == 401 => let_in += 1,
                reply => drop(throttled(&reply)),
            }
        }
        assert_eq!(let_in, 8 * 4 * 5);
    }

    async fn one_source_does_not_use_up_what_its_network_has(database: Database) {
        let app = app_with(per_source("5/h"), database).await;
        let wrong = |number| app.log_in(UNKNOWN, "wrong").from(&in_network(1, number));
        for _ in 0..30 {
            wrong(1).send().await;
        }
        for number in 2..5 {
            assert_eq!(guess(|| wrong(number)).await, 5);
        }
        throttled(&wrong(5).send().await);
    }

    async fn a_flood_out_of_their_network_does_not_keep_owners_from_their_familiar_sources(database: Database) {
        let limits = RateLimits { resets_per_source: rate("2/h"), ..per_source("2/h") };
        let app = app_with(limits, database).await;
        let home = in_network(1, 0xffff);
        assert_eq!(app.log_in(EMAIL, "b4l0u").from(&home).send().await.status, 200);
        for number in 0..20 {
            app.log_in(EMAIL, "wrong").from(&in_network(1, number)).send().await;
            app.ask_reset(EMAIL).from(&in_network(1, number)).send().await;
        }
        throttled(&app.log_in(EMAIL, "b4l0u").from(&in_network(1, 0xfffe)).send().await);
        throttled(&app.ask_reset(EMAIL).from(&in_network(1, 0xfffe)).send().await);
        assert_eq!(app.log_in(EMAIL, "b4l0u").from(&home).send().await.status, 200);
        assert_eq!(app.ask_reset(EMAIL).from(&home).send().await.status, 200);
        // To other accounts it is a source like any other.
        throttled(&app.log_in(OTHER, "b4l0u").from(&home).send().await);
    }
}
