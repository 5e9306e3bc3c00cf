//! Whether requests should come here now.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tracing::{info, warn};

use crate::auth::Auth;
use crate::error_chain::ErrorChain;
use crate::wait_budget;

/// How long the database may take to answer. Kubernetes gives a probe one second by default, and counts
/// no answer as not ready.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the service is not ready. One word: details are in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It has only been started, and does not serve yet.
    Starting,
    /// It was told to stop, and answers what has arrived.
    Stopping,
    /// The database does not answer, or is lost.
    Database,
    /// The schema that this program needs is not in the database, such as after a restore of an older one.
    Schema,
}

impl fmt::Display for NotReady {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Database => "database",
            Self::Schema => "schema",
        })
    }
}

/// Tells whether the service is ready.
pub struct Readiness {
    auth: Auth,
    stopped: watch::Receiver<bool>,
    /// Whether the database was fine the last time.
    was_fine: AtomicBool,
}

impl Readiness {
    pub fn new(auth: Auth, stopped: watch::Receiver<bool>) -> Self {
        Self {
            auth,
            stopped,
            was_fine: AtomicBool::new(true),
        }
    }

    /// Whether requests can be answered now. Asks the database, and logs when that begins to fail and when
    /// it succeeds again.
    pub async fn check(&self) -> Result<(), NotReady> {
        if *self.stopped.borrow() {
            return Err(NotReady::Stopping);
        }
        let is_there = wait_budget::with(DATABASE_TIMEOUT, self.auth.is_schema_there()).await;
        let is_fine = matches!(is_there, Ok(true));
        let has_changed = self.was_fine.swap(is_fine, Ordering::Relaxed) != is_fine;
        match is_there {
            Ok(true) => {
                if has_changed {
                    info!("ready again: the database answers");
                }
                Ok(())
            }
            Ok(false) => {
                if has_changed {
                    warn!("not ready: the database has not the schema of this bienvenue any more");
                }
                Err(NotReady::Schema)
            }
            Err(error) => {
                if has_changed {
                    warn!(error = %ErrorChain(&error), "not ready: the database does not answer");
                }
                Err(NotReady::Database)
            }
        }
    }
}
