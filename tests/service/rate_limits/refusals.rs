//! What a refusal costs the database.

use sqlx::Row;

use super::*;

/// What has changed if and only if something was written. SQLite counts the changes that others
/// make for each connection; PostgreSQL marks each row with who wrote or locked it.
async fn state_of(connection: &mut AnyConnection) -> Vec<String> {
    let query = match connection.backend_name() {
        "SQLite" => "SELECT CAST(data_version AS TEXT) FROM pragma_data_version",
        _ => {
            "SELECT 'bucket ' || xmin || ' ' || xmax || ' ' || ctid FROM throttles
             UNION ALL
             SELECT 'source ' || xmin || ' ' || xmax || ' ' || ctid FROM familiar_sources
             UNION ALL
             SELECT 'user ' || xmin || ' ' || xmax || ' ' || ctid FROM users
             ORDER BY 1"
        }
    };
    let rows = sqlx::query(query).fetch_all(connection).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// An app with a limit of each kind, and calls that each have reached one.
async fn app_and_refused_calls(database: crate::support::Database) -> (TestApp, Vec<Call>) {
    let limits = RateLimits {
        logins_per_account: rate("3/h"),
        logins_per_source: rate("9/h"),
        successful_logins_per_source: rate("5/h"),
        sign_ups_per_source: rate("3/h"),
        sign_ups_per_address: rate("2/h"),
        resets_per_address: rate("2/h"),
        resets_per_source: rate("9/h"),
    };
    let app = app_with(limits, database).await;
    let calls = vec![
        app.log_in(EMAIL, "wrong").from(STRANGER),
        app.log_in(OTHER, "b4l0u").from(HOME),
        app.ask_reset(EMAIL).from(STRANGER),
        app.register(EMAIL, "b4l0u").from(STRANGER),
    ];
    for call in &calls {
        while call.clone().send().await.status != 429 {}
    }
    (app, calls)
}

on_each_engine! {
    async fn a_refusal_writes_nothing(database: Database) {
        let (app, calls) = app_and_refused_calls(database).await;
        let mut watcher = AnyConnection::connect(&app.database.url).await.unwrap();
        let before = state_of(&mut watcher).await;
        for call in &calls {
            throttled(&call.clone().send().await);
        }
        let many = calls.iter().flat_map(|call| (0..25).map(|_| call.clone()));
        for reply in at_once(many).await {
            throttled(&reply);
        }
        assert_eq!(state_of(&mut watcher).await, before);
        // A request that is let through writes, and that is seen.
        assert_wrong(&app.log_in(UNKNOWN, "wrong").from(STRANGER).send().await);
        assert_ne!(state_of(&mut watcher).await, before);
    }

    async fn a_refusal_does_not_wait_for_whoever_writes(database: Database) {
        let (app, calls) = app_and_refused_calls(database).await;
        let lock = app.inside.lock_out_writers().await;
        for call in calls {
            throttled(&call.send().await);
        }
        lock.close().await.unwrap();
    }
}
