//! Opening the database at the start, or waiting until another process has migrated it.

use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::warn;

use crate::cli::service_manager;
use crate::db::{DatabaseUrl, Db, OpenError};

/// How often it is looked whether the schema is there.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// How often it is said that it is not.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// Opens the database, and brings its schema up to date.
///
/// With `is_migrated_elsewhere`, waits instead until another process has done so, or has created it.
///
/// # Errors
///
/// Says why it cannot be used for another reason.
pub async fn open(url: &DatabaseUrl, is_migrated_elsewhere: bool) -> Result<Db, OpenError> {
    if !is_migrated_elsewhere {
        return Db::open(url).await;
    }
    let mut told_at: Option<Instant> = None;
    loop {
        match Db::open_migrated(url).await {
            Err(error) if error.is_pending() => {
                if told_at.is_none_or(|told_at| told_at.elapsed() >= TELL_EVERY) {
                    warn!("--no-migrate, so this waits until it is done: {error}");
                    told_at = Some(Instant::now());
                }
                service_manager::tell_waiting(2 * TELL_EVERY);
                sleep(RETRY_EVERY).await;
            }
            opened => return opened,
        }
    }
}
