//! How long one request waits for the database, all its waits taken together.
//!
//! A request asks the database several times, one after the other, and each time it may wait: to be
//! let into a queue, for the batch before its own, for a connection, for the answer. All of it comes
//! out of one budget, so that an answer is not late by as many waits as there are. What else takes
//! time does not count, above all a login's wait for its hash, which has a limit of its own.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// What a request may wait in all. A second below the 5 within which it is answered, with success or
/// with 503: that second is for all that is not waiting, on a machine that is busy.
pub const LIMIT: Duration = Duration::from_secs(4);

tokio::task_local! {
    static LEFT: Arc<AtomicU64>;
}

/// Gives a request a whole budget.
pub fn of_request<T>(request: impl Future<Output = T>) -> impl Future<Output = T> {
    with(LIMIT, request)
}

/// Gives this work, in which there may be several waits, this much for all of them.
///
/// Not an `async fn`, which would hold the work twice: as its argument, and where it waits for it.
pub fn with<T>(budget: Duration, work: impl Future<Output = T>) -> impl Future<Output = T> {
    LEFT.scope(Arc::new(micros(budget).into()), work)
}

/// Lets work that is to run as a task of its own take from the budget of the request that starts it.
pub fn shared<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    // Outside of a request, each wait has a budget of its own, and this has one for all its waits.
    let left = LEFT.try_with(Arc::clone);
    LEFT.scope(
        left.unwrap_or_else(|_| Arc::new(micros(LIMIT).into())),
        work,
    )
}

/// What is left; outside of a request a whole budget.
pub fn left() -> Duration {
    LEFT.try_with(|left| Duration::from_micros(left.load(Ordering::Relaxed)))
        .unwrap_or(LIMIT)
}

/// Waits for something no longer than the budget allows, and takes the time from it.
///
/// # Errors
///
/// The budget is used up. What was waited for is dropped where it was.
pub async fn spend<T>(waiting: impl Future<Output = T>) -> Result<T, Elapsed> {
    let since = Instant::now();
    let outcome = timeout(left(), waiting).await;
    // Outside of a request there is nothing to take it from.
    let _ = LEFT.try_with(|left| {
        let spent = micros(since.elapsed());
        let take = |left: u64| Some(left.saturating_sub(spent));
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
    });
    outcome
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::sleep;

    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    #[tokio::test]
    async fn the_waits_of_a_request_share_one_budget() {
        of_request(async {
            spend(sleep(SHORT)).await.unwrap();
            assert!(left() + SHORT <= LIMIT);
            let task = tokio::spawn(shared(spend(sleep(SHORT))));
            task.await.unwrap().unwrap();
            assert!(left() + 2 * SHORT <= LIMIT, "{:?}", left());
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_no_wait_for_the_database_does_not_count() {
        of_request(async {
            sleep(SHORT).await;
            assert_eq!(left(), LIMIT);
        })
        .await;
    }

    #[tokio::test]
    async fn a_budget_that_is_used_up_is_an_error_at_once() {
        with(SHORT, async {
            for _ in 0..2 {
                assert!(spend(pending::<()>()).await.is_err());
                assert_eq!(left(), Duration::ZERO);
            }
            // What need not be waited for is still had.
            assert!(spend(ready(())).await.is_ok());
        })
        .await;
    }

    #[tokio::test]
    async fn outside_of_a_request_each_wait_has_a_whole_budget() {
        spend(sleep(SHORT)).await.unwrap();
        assert_eq!(left(), LIMIT);
    }
}
