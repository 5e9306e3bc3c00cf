//! How often one may try; and that nobody is locked out by others.

mod accounts;
mod buckets;
mod familiar_sources;
mod networks;
mod refusals;
mod sources;
mod successful_logins;
mod thresholds;

use std::time::Duration;

use axum::http::HeaderMap;
use bienvenue::auth::rate_limit::{Rate, RateLimits};
use serde_json::json;
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};
use tokio::task::JoinSet;

use crate::on_each_engine;
use crate::support::client::{Call, Client, Reply};
use crate::support::{NO_LIMITS, TestApp};

const EMAIL: &str = "bob@example.org";
const OTHER: &str = "other@example.org";
const UNKNOWN: &str = "nobody@example.org";

/// Where the users have signed up, and are no more.
const SIGNED_UP_AT: &str = "192.0.2.250";

/// Where the owner of an account is, and where strangers are.
const HOME: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.9";
const FLOODER: &str = "192.0.2.66";

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

fn per_account(text: &str) -> RateLimits {
    RateLimits {
        logins_per_account: rate(text),
        ..NO_LIMITS
    }
}

fn per_source(text: &str) -> RateLimits {
    RateLimits {
        logins_per_source: rate(text),
        ..NO_LIMITS
    }
}

/// An app with two users, whose password is `b4l0u`.
async fn app_with(limits: RateLimits, database: crate::support::Database) -> TestApp {
    app_behind(&[], limits, database).await
}

async fn app_behind(
    proxies: &[&str],
    limits: RateLimits,
    database: crate::support::Database,
) -> TestApp {
    let app = TestApp::with_limits(database, limits, proxies).await;
    for email in [EMAIL, OTHER] {
        let sign_up = app.register(email, "b4l0u").from(SIGNED_UP_AT);
        assert_eq!(sign_up.send().await.status, 200);
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
