//! Numbers that are counted now and then and told as they were: counting them takes queries, which whoever
//! asks for metrics must not be able to cause.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::join;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tracing::debug;

use crate::auth::{AccountCounts, Auth, WaitingMails};
use crate::error_chain::ErrorChain;

/// How often users and sessions are counted. Reads all of them.
const ACCOUNTS_INTERVAL: Duration = Duration::from_mins(5);

/// How often the mails that wait are counted, which are few: as often as metrics are usually asked for.
const MAILS_INTERVAL: Duration = Duration::from_secs(15);

/// The last numbers; each `None` until it was counted.
#[derive(Default)]
pub struct Samples {
    accounts: Mutex<Option<AccountCounts>>,
    mails: Mutex<Option<WaitingMails>>,
}

impl Samples {
    /// Users and sessions. While the database does not answer, as they were before.
    pub fn accounts(&self) -> Option<AccountCounts> {
        *self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mails that wait; `None` while the database does not answer, since they age meanwhile.
    pub fn mails(&self) -> Option<WaitingMails> {
        *self.mails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn count_accounts(&self, auth: &Auth) {
        match auth.count_accounts().await {
            Ok(counts) => {
                *self.accounts.lock().unwrap_or_else(PoisonError::into_inner) = Some(counts);
            }
            Err(error) => debug!(error = %ErrorChain(&error), "cannot count users and sessions"),
        }
    }

    async fn count_mails(&self, auth: &Auth) {
        let waiting = auth.waiting_mails().await;
        let waiting = waiting.inspect_err(|error| {
            debug!(error = %ErrorChain(error), "cannot count the mails that wait");
        });
        *self.mails.lock().unwrap_or_else(PoisonError::into_inner) = waiting.ok();
    }
}

/// Counts again and again, each number at its own interval.
pub async fn sample_regularly(auth: Auth, samples: Arc<Samples>) {
    let accounts = async {
        let mut ticks = every(ACCOUNTS_INTERVAL);
        loop {
            ticks.tick().await;
            samples.count_accounts(&auth).await;
        }
    };
    let mails = async {
        let mut ticks = every(MAILS_INTERVAL);
        loop {
            ticks.tick().await;
            samples.count_mails(&auth).await;
        }
    };
    join!(accounts, mails);
}

fn every(time: Duration) -> Interval {
    let mut ticks = interval(time);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}
