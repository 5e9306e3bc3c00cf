//! How long a request waits for what it writes.

use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument, warn};

use crate::db;
use crate::error_chain::ErrorChain;
use crate::wait_budget;

/// How long an answer that does not depend on a write waits for it, such as the note that a session is
/// in use, if another program holds the lock. The next request tries again.
const SIDE_WRITE_TIMEOUT: Duration = Duration::from_millis(250);

/// Waits a short time for a write that the answer does not depend on.
pub async fn briefly(what: &str, write: impl Future<Output = Result<(), db::Error>>) {
    match timeout(SIDE_WRITE_TIMEOUT, write).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = %ErrorChain(&error), "cannot {what}"),
        Err(_) => warn!("no time to {what}"),
    }
}

/// Runs on if the client disconnects, so that what has been changed is also logged: a client cannot change
/// anything unseen by hanging up at the right moment. Only for what has passed a check that strangers fail: a
/// client that has hung up holds no connection any more that would limit how much of it there can be.
pub async fn uninterrupted<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(wait_budget::shared(work.in_current_span())).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process is ending: there is no answer any more.
            Err(_) => pending().await,
        },
    }
}
