//! What operators ask of the running service: whether its database answers, how many users, sessions and
//! mails there are, and what was counted since the start.

use std::time::Duration;

use tokio::time::sleep;

use super::Auth;
use super::error::Result;
use super::mail_counts::MailCounts;
use crate::metrics::{Counters, HashMetrics};
use crate::user::UserId;

/// How many users are counted by one query. With the most sessions that they can have, that takes some
/// 10 ms; with as many as people have, 1 ms.
const STEP: u32 = 2_000;

/// The pause between two queries, so that counting takes a small part of a core and of one connection,
/// however many users there are: ten million in about a minute.
const PAUSE: Duration = Duration::from_millis(10);

/// How many users and sessions there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountCounts {
    /// Users.
    pub users: u64,
    /// Their sessions, with those that have ended and are not deleted yet.
    pub sessions: u64,
}

/// The mails that wait to be sent, or are being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingMails {
    /// How many there are, to known and to unknown addresses.
    pub count: u64,
    /// How long ago the oldest was asked for; zero if there is none.
    pub age_of_oldest: Duration,
}

impl Auth {
    /// Asks the database whether the schema is there that this program needs.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn is_schema_there(&self) -> Result<bool> {
        Ok(self.db.is_schema_there().await?)
    }

    /// Counts all users and sessions, some at a time, with pauses: one query over millions of rows would
    /// take seconds, in which the log of an SQLite database could not be cut and PostgreSQL would give the
    /// query up. What changes meanwhile may or may not be counted.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn count_accounts(&self) -> Result<AccountCounts> {
        let mut counts = AccountCounts::default();
        let mut after = UserId(0);
        loop {
            let (users, last) = self.db.users.count_after(after, STEP).await?;
            counts.users += users;
            counts.sessions += self.db.sessions.count_of_users(after, last).await?;
            if users < u64::from(STEP) {
                return Ok(counts);
            }
            after = last;
            sleep(PAUSE).await;
        }
    }

    /// The mails that wait now. None do where no mail is set up.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn waiting_mails(&self) -> Result<WaitingMails> {
        let now = self.clock.now();
        let waiting = self.db.outbox.sum_up(now).await?;
        let age = u64::try_from(now.0 - waiting.oldest.0).unwrap_or_default();
        Ok(WaitingMails {
            count: waiting.count,
            age_of_oldest: Duration::from_secs(age),
        })
    }

    /// How many audit lines there were of each event, and of each limit by which requests were throttled.
    pub fn event_counts(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>, u64)> {
        self.audit.counts()
    }

    /// How many times it was tried to send a mail, by its kind and by what came of it.
    pub fn mail_counts(&self) -> &MailCounts {
        &self.mail_counts
    }

    /// How long hashing took, and how often it was refused.
    pub fn hash_metrics(&self) -> &HashMetrics {
        self.passwords.metrics()
    }

    /// How many passwords wait to be hashed.
    pub fn waiting_passwords(&self) -> usize {
        self.passwords.waiting()
    }

    /// How much of the work on the database has failed, by the kind of the error.
    pub fn database_errors(&self) -> &Counters<&'static str> {
        self.db.errors()
    }
}
