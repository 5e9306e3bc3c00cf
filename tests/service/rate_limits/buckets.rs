//! How tokens are counted: by all instances, with clocks that are wrong, and beside a purge.

use super::*;

on_each_engine! {
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

    async fn what_is_told_to_wait_for_is_all_that_there_is_to_wait_for(database: Database) {
        let limits = RateLimits { logins_per_source: rate("2/m"), ..per_account("2/h") };
        let app = app_with(limits, database).await;
        guess(|| app.log_in(EMAIL, "wrong")).await;
        let wait = throttled(&app.log_in(EMAIL, "wrong").send().await);
        assert_eq!(wait, 1800);
        app.clock.turn(Duration::from_secs(wait - 1));
        throttled(&app.log_in(EMAIL, "wrong").send().await);
        app.clock.turn(Duration::from_secs(1));
        assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
    }

    async fn an_attempt_that_nobody_could_judge_is_not_counted(database: Database) {
        let limits = RateLimits { successful_logins_per_source: rate("1/h"), ..per_account("1/h") };
        let app = app_with(limits, database).await;
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
        let limits = RateLimits { sign_ups_per_source: rate("3/h"), resets_per_address: rate("1/h"), ..per_account("1/h") };
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

    async fn a_clock_that_is_turned_back_by_a_little_more_than_the_period_keeps_nobody_waiting(database: Database) {
        let app = app_with(per_account("4/h"), database).await;
        app.clock.turn(Duration::from_mins(70));
        guess(|| app.log_in(EMAIL, "wrong")).await;
        app.clock.turn_back(Duration::from_mins(70));
        assert_eq!(guess(|| app.log_in(EMAIL, "wrong")).await, 1);
        assert_eq!(throttled(&app.log_in(EMAIL, "wrong").send().await), 15 * 60);
    }

    async fn who_is_refused_by_one_bucket_is_not_told_to_wait_for_anothers_wrong_clock(database: Database) {
        let limits = RateLimits {
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
    // The login is undone soon, not after a good part of the time that it has.
    let inside = database.look_inside().await;
    inside
        .execute(
            "DO $$ BEGIN
                 EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 100', current_database());
             END $$",
        )
        .await;
    let limits = RateLimits {
        logins_per_source: rate("9/h"),
        ..per_account("9/h")
    };
    let app = app_with(limits, database).await;
    let connect = async || AnyConnection::connect(&app.database.url).await.unwrap();
    let (mut purge, mut other) = (connect().await, connect().await);
    assert_wrong(&app.log_in(EMAIL, "wrong").send().await);
    // The source has a token less.
    assert_wrong(&app.log_in(OTHER, "wrong").send().await);
    let [of_source, of_account] = [
        "full_at = (SELECT max(full_at) FROM throttles)",
        "full_at < (SELECT max(full_at) FROM throttles)",
    ]
    .map(|which| format!("UPDATE throttles SET full_at = full_at WHERE {which}"));

    // A server looks for a deadlock once, some time after a statement began to wait. So the purge waits
    // first, behind the login for what another holds; when the login then waits for what the purge
    // holds, it is the login that finds the deadlock and is undone.
    let lock = "BEGIN; SELECT digest FROM throttles ORDER BY full_at DESC LIMIT 1 FOR UPDATE";
    other.execute(lock).await.unwrap();
    let begin = "SET deadlock_timeout = '1min'; BEGIN";
    purge.execute(begin).await.unwrap();
    purge.execute(AssertSqlSafe(of_account)).await.unwrap();
    let login = tokio::spawn(app.log_in(EMAIL, "wrong").send());
    app.inside.wait_for_waiting(1).await;
    let purge = tokio::spawn(async move {
        purge.execute(AssertSqlSafe(of_source)).await.unwrap();
        purge.execute("COMMIT").await.unwrap();
    });
    app.inside.wait_for_waiting(2).await;
    other.execute("COMMIT").await.unwrap();
    purge.await.unwrap();
    assert_wrong(&login.await.unwrap());
}
