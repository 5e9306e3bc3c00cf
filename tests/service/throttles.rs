//! How often one may try; and that nobody is locked out by others.

use std::time::Duration;

use axum::http::HeaderMap;
use bienvenue::throttle::{Limits, Rate};
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tokio::task::JoinSet;

use crate::on_each_engine;
use crate::support::client::{Call, Client, Reply};
use crate::support::{NO_LIMITS, TestApp};

const EMAIL: &str = "bob@example.org";
const OTHER: &str = "other@example.org";
const UNKNOWN: &str = "nobody@example.org";

/// Where the owner of an account is, and where strangers are.
const HOME: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.9";

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn per_account(text: &str) -> Limits {
    Limits {
        logins_per_account: rate(text),
        ..NO_LIMITS
    }
}

fn per_source(text: &str) -> Limits {
    Limits {
        logins_per_source: rate(text),
        ..NO_LIMITS
    }
}

/// An app with two users, whose password is `b4l0u`.
async fn app_with(limits: Limits, database: crate::support::Database) -> TestApp {
    app_behind(&[], limits, database).await
}

async fn app_behind(
    proxies: &[&str],
    limits: Limits,
    database: crate::support::Database,
) -> TestApp {
    let app = TestApp::with_limits(database, limits, proxies).await;
    for email in [EMAIL, OTHER] {
        app.registered(email, "b4l0u").await;
    }
    app
}

/// That a call is let through and fails.
#[track_caller]
fn assert_wrong(reply: &Reply) {
    reply.assert_refusal(401, "wrong email or password");
}

/// That a call is refused; returns for how many seconds.
#[track_caller]
fn throttled(reply: &Reply) -> u64 {
    reply.assert_refusal(429, "too many attempts");
    reply.header("retry-after").unwrap().parse().unwrap()
}

/// Guesses wrong until it is throttled, and returns how many guesses were let through.
async fn guess(call: impl Fn() -> Call) -> usize {
    for guesses in 0..100 {
        let reply = call().send().await;
        if reply.status == 429 {
            return guesses;
        }
        assert_wrong(&reply);
    }
    panic!("never throttled");
}

/// Sends all calls at once; returns the replies.
async fn at_once(calls: impl Iterator<Item = Call>) -> Vec<Reply> {
    let mut senders = JoinSet::new();
    for call in calls {
        senders.spawn(call.send());
    }
    senders.join_all().await
}

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

    async fn what_is_no_address_counts_for_its_source_like_an_unknown_one(database: Database) {
        let limits = Limits { resets_per_source: rate("4/m"), ..per_source("4/m") };
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
        let limits = Limits { logins_per_source: rate("2/h"), ..per_account("2/h") };
        let app = app_with(limits, database).await;
        for _ in 0..10 {
            app.logged_in(EMAIL, "b4l0u").await;
        }
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 2);
    }

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
        let limits = Limits { logins_per_source: rate("30/h"), ..per_account("7/h") };
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

    async fn instances_count_together_and_across_a_restart(database: Database) {
        let app = app_with(per_account("4/h"), database).await;
        let another = app.another().await;
        for client in [&*app, &another, &*app, &another] {
            assert_wrong(&client.log_in(EMAIL, "wrong").send().await);
        }
        throttled(&app.log_in(EMAIL, "wrong").send().await);
        throttled(&another.log_in(EMAIL, "wrong").send().await);
        app.db.close().await;
        let restarted: Client = app.another().await;
        throttled(&restarted.log_in(EMAIL, "wrong").send().await);
        app.clock.turn(Duration::from_mins(15));
        assert_wrong(&restarted.log_in(EMAIL, "wrong").send().await);
        throttled(&restarted.log_in(EMAIL, "wrong").send().await);
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
        let limits = Limits { logins_per_source: rate("3/h"), ..per_account("5/h") };
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

    async fn what_is_told_to_wait_for_is_all_that_there_is_to_wait_for(database: Database) {
        let limits = Limits { logins_per_source: rate("2/m"), ..per_account("2/h") };
        let app = app_with(limits, database).await;
        guess(|| app.log_in(EMAIL, "wrong")).await;
        let wait = throttled(&app.log_in(EMAIL, "wrong").send().await);
        assert_eq!(wait, 1800);
        app.clock.turn(Duration::from_secs(wait - 1));
        throttled(&app.log_in(EMAIL, "wrong").send().await);
        app.clock.turn(Duration::from_secs(1));
        assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
    }

    async fn owners_get_in_under_a_flood_from_where_they_have_logged_in_before(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        let at_home = |password| app.log_in(EMAIL, password).from(HOME);
        assert_eq!(at_home("b4l0u").send().await.status, 200);
        for number in 0..50 {
            let stranger = format!("203.0.113.{number}");
            app.log_in(EMAIL, "wrong").from(&stranger).send().await;
        }
        throttled(&app.log_in(EMAIL, "b4l0u").from(STRANGER).send().await);
        assert_eq!(at_home("b4l0u").send().await.status, 200);
        // They too may guess only so often.
        assert_eq!(guess(|| at_home("wrong")).await, 5);
        throttled(&at_home("b4l0u").send().await);
        // A source that is familiar to one account is a stranger to others.
        assert_eq!(guess(|| app.log_in(OTHER, "wrong").from(STRANGER)).await, 5);
        throttled(&app.log_in(OTHER, "b4l0u").from(HOME).send().await);
    }

    async fn a_source_is_forgotten_a_month_after_its_last_login(database: Database) {
        const MONTH: Duration = Duration::from_hours(30 * 24);
        const ALMOST: Duration = Duration::from_secs(30 * 24 * 3600 - 1);
        let app = app_with(per_account("5/h"), database).await;
        let at_home = || app.log_in(EMAIL, "b4l0u").from(HOME).send();
        assert_eq!(at_home().await.status, 200);
        app.clock.turn(ALMOST);
        app.auth.purge_expired().await.unwrap();
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        assert_eq!(at_home().await.status, 200);
        // Remembered anew.
        app.clock.turn(ALMOST);
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        assert_eq!(at_home().await.status, 200);
        app.clock.turn(MONTH);
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        throttled(&at_home().await);
        assert_eq!(app.inside.count("familiar_sources").await, 1);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("familiar_sources").await, 0);
    }

    async fn owners_get_in_under_a_flood_from_anywhere_by_a_reset(database: Database) {
        let limits = Limits { resets_per_address: rate("5/h"), ..per_account("5/h") };
        let app = app_with(limits, database).await;
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        throttled(&app.log_in(EMAIL, "b4l0u").from(HOME).send().await);
        let asked = app.ask_reset(EMAIL).from(HOME).send().await;
        let token = asked.json()["reset_token"].as_str().unwrap().to_owned();
        assert_eq!(app.reset(EMAIL, &token, "t4rt1fl3tt3").from(HOME).send().await.status, 200);
        let login = app.log_in(EMAIL, "t4rt1fl3tt3").from(HOME);
        assert_eq!(login.send().await.status, 200);
        throttled(&app.log_in(EMAIL, "t4rt1fl3tt3").from(STRANGER).send().await);
    }

    async fn reset_requests_are_throttled_by_address_known_or_not_and_not_from_home(database: Database) {
        let limits = Limits { resets_per_address: rate("3/h"), ..NO_LIMITS };
        let app = app_with(limits, database).await;
        assert_eq!(app.log_in(EMAIL, "b4l0u").from(HOME).send().await.status, 200);
        let mut replies = Vec::new();
        for (email, status) in [(EMAIL, 200), (UNKNOWN, 403)] {
            for _ in 0..3 {
                let asked = app.ask_reset(email).from(STRANGER).send().await;
                assert_eq!(asked.status, status);
            }
            let before = app.inside.all_rows().await;
            let refused = app.ask_reset(&email.to_uppercase()).from("192.0.2.1").send().await;
            assert_eq!(throttled(&refused), 1200);
            assert_eq!(app.inside.all_rows().await, before);
            replies.push(refused.body);
        }
        assert_eq!(replies[0], replies[1]);
        assert_eq!(app.ask_reset(EMAIL).from(HOME).send().await.status, 200);
        app.clock.turn(Duration::from_mins(20));
        assert_eq!(app.ask_reset(EMAIL).from(STRANGER).send().await.status, 200);
    }

    async fn reset_requests_and_sign_ups_are_throttled_by_source(database: Database) {
        let limits = Limits {
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

    async fn an_attempt_that_nobody_could_judge_is_not_counted(database: Database) {
        let app = app_with(per_account("1/h"), database).await;
        for _ in 0..3 {
            app.inside.execute("ALTER TABLE users RENAME TO away").await;
            app.log_in(EMAIL, "wrong").send().await.assert_refusal(500, "internal error");
            app.inside.execute("ALTER TABLE away RENAME TO users").await;
        }
        assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
        throttled(&app.log_in(EMAIL, "wrong").send().await);
    }

    async fn nobody_is_let_in_uncounted(database: Database) {
        // Two have signed up already.
        let limits = Limits { sign_ups_per_source: rate("3/h"), resets_per_address: rate("1/h"), ..per_account("1/h") };
        let app = app_with(limits, database).await;
        app.inside.execute("ALTER TABLE throttles RENAME TO away").await;
        let rounds = app.passwords.rounds_spent();
        let calls = [
            app.log_in(EMAIL, "b4l0u"),
            app.register("new@example.org", "b4l0u"),
            app.ask_reset(EMAIL),
        ];
        for call in calls.clone() {
            app.assert_refused(call, 500, "internal error").await;
        }
        app.inside.execute("ALTER TABLE away RENAME TO throttles").await;
        for call in calls {
            app.assert_refused(call.of_nobody(), 500, "internal error").await;
        }
        assert_eq!(app.passwords.rounds_spent(), rounds);
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
        app.registered("new@example.org", "b4l0u").await;
    }

    async fn a_bucket_that_is_full_again_is_forgotten(database: Database) {
        let app = app_with(per_account("10/m"), database).await;
        for number in 0..30 {
            app.log_in(&format!("user{number}@example.org"), "wrong").send().await;
        }
        app.log_in(EMAIL, "wrong").send().await;
        app.log_in(EMAIL, "wrong").send().await;
        assert_eq!(app.inside.count("throttles").await, 31);
        app.clock.turn(Duration::from_secs(5));
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("throttles").await, 31);
        app.clock.turn(Duration::from_secs(1));
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("throttles").await, 1);
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 9);
        assert_eq!(guess(|| app.log_in(UNKNOWN, "wrong")).await, 10);
    }

    async fn a_clock_that_is_turned_back_keeps_nobody_waiting(database: Database) {
        let app = app_with(per_account("4/m"), database).await;
        app.clock.turn(Duration::from_hours(31 * 24));
        guess(|| app.log_in(EMAIL, "wrong")).await;
        app.clock.turn_back(Duration::from_hours(31 * 24));
        // Counts as empty from now on, but for the one that found it so.
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 1);
        assert_eq!(throttled(&app.log_in(EMAIL, "wrong").send().await), 15);
        app.clock.turn(Duration::from_secs(15));
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 1);
    }

    async fn who_is_refused_by_one_bucket_is_not_told_to_wait_for_anothers_wrong_clock(database: Database) {
        let limits = Limits {
            logins_per_account: rate("4/m"),
            logins_per_source: rate("2/m"),
            ..NO_LIMITS
        };
        let app = app_with(limits, database).await;
        app.clock.turn(Duration::from_hours(31 * 24));
        guess(|| app.log_in(EMAIL, "wrong")).await;
        app.clock.turn_back(Duration::from_hours(31 * 24));
        let elsewhere = |email| app.log_in(email, "wrong").from(STRANGER);
        assert_eq!(guess(|| elsewhere(OTHER)).await, 2);
        assert_eq!(throttled(&elsewhere(EMAIL).send().await), 30);
    }

    async fn clocks_that_differ_by_less_than_the_period_win_nothing(database: Database) {
        let app = app_with(per_account("6/m"), database).await;
        let mut let_in = 0;
        for _ in 0..20 {
            app.clock.turn(Duration::from_secs(30));
            let_in += guess(|| app.log_in(EMAIL, "wrong")).await;
            app.clock.turn_back(Duration::from_secs(30));
            let_in += guess(|| app.log_in(EMAIL, "wrong")).await;
        }
        // Those of a bucket, and what comes back in 30 seconds.
        assert!(let_in <= 6 + 3, "{let_in}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_refused_because_of_a_deadlock_with_a_purge() {
    let Some(database) = crate::support::Database::postgres().await else {
        return;
    };
    let mut purge = AnyConnection::connect(&database.url).await.unwrap();
    let limits = Limits {
        logins_per_source: rate("9/h"),
        ..per_account("9/h")
    };
    let app = app_with(limits, database).await;
    assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
    // The source has a token less.
    assert_wrong(&app.log_in(OTHER, "wrong").send().await);
    let [of_source, of_account] = [
        "full_at = (SELECT max(full_at) FROM throttles)",
        "full_at < (SELECT max(full_at) FROM throttles)",
    ]
    .map(|which| format!("UPDATE throttles SET full_at = full_at WHERE {which}"));

    // Holds what the login will wait for, then waits for what the login holds, patiently enough for
    // the login to be the one that is undone.
    let lock = format!("SET deadlock_timeout = '1min'; BEGIN; {of_account}");
    purge.execute(AssertSqlSafe(lock)).await.unwrap();
    let login = tokio::spawn(app.log_in(EMAIL, "wrong").send());
    app.inside.wait_for_waiting(1).await;
    purge.execute(AssertSqlSafe(of_source)).await.unwrap();
    purge.execute("COMMIT").await.unwrap();
    assert_wrong(&login.await.unwrap());
}
