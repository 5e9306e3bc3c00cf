//! How many mails wait.

use sqlx::Row;

use super::Outbox;
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::statement::statements;

statements! {
    /// Counts up to `$1`. Every turn is at least 0: here and below, that is only to say which index to
    /// read.
    COUNT_WAITING = "
        SELECT count(*) AS waiting FROM (
            SELECT id FROM outbox WHERE turn >= 0 AND due_at IS NOT NULL LIMIT $1) AS waiting";

    /// `$1` what the oldest is if there is none, `$2` how many to read.
    SUM_UP = "
        SELECT count(*) AS waiting, coalesce(min(asked_at), $1) AS oldest FROM (
            SELECT asked_at FROM outbox
            WHERE turn >= 0 AND due_at IS NOT NULL ORDER BY turn LIMIT $2) AS waiting";
}

/// More mails than can wait.
const MAX_WAITING: i64 = 1_000_000;

/// The mails that wait to be sent, to known and to unknown addresses, or are being sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitingMails {
    /// How many there are.
    pub count: u64,
    /// When the oldest was asked for; now if there is none.
    pub oldest: UnixTime,
}

impl Outbox {
    /// Whether at least so many mails wait.
    pub async fn are_waiting(&self, count: u32) -> Result<bool> {
        let most = i64::from(count);
        let count = sqlx::query(COUNT_WAITING).bind(most);
        Ok(self.count(count).await? >= most)
    }

    /// All mails that wait now.
    pub async fn sum_up(&self, now: UnixTime) -> Result<WaitingMails> {
        let sum_up = sqlx::query(SUM_UP).bind(now.0).bind(MAX_WAITING);
        let Some(row) = self.connections.fetch_optional(sum_up).await? else {
            return Ok(WaitingMails {
                count: 0,
                oldest: now,
            });
        };
        let count: i64 = row.try_get("waiting")?;
        Ok(WaitingMails {
            count: u64::try_from(count).unwrap_or_default(),
            oldest: UnixTime(row.try_get("oldest")?),
        })
    }
}
