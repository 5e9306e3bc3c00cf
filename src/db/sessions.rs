//! Sessions: looked up and added many at once.

use std::sync::Arc;

use sqlx::{AnyConnection, Row};

use super::batch::Batcher;
use super::connection::Connections;
use super::error::Result;
use super::statement::statements;
use super::validity::{Found, SessionCutoffs};
use crate::clock::UnixTime;
use crate::token::SessionDigest;
use crate::user::{SessionUser, UserId};

pub(super) mod acting;
pub(super) mod cache;
pub(super) mod found;
pub(super) mod insert;
pub(super) mod look_up;
pub(super) mod of_user;

use cache::Touched;
use found::{FoundSession, SessionKey};
use insert::{NewSession, SessionInserter};
use look_up::SessionLookUp;

statements! {
    /// `$1` digest, `$2` now, `$3` the latest moment that `last_seen_at` can be right. Adds no row, so
    /// a session that has just ended stays ended.
    TOUCH = "
        UPDATE sessions SET last_seen_at = $2
        WHERE digest = $1 AND (last_seen_at < $2 OR last_seen_at > $3)";

    /// `$1` digest; only if last seen after `$2`, begun after `$3` and not begun after `$4`.
    DELETE = "
        DELETE FROM sessions
        WHERE digest = $1 AND last_seen_at > $2 AND created_at > $3 AND created_at <= $4";

    /// `$1` digest.
    DELETE_ANY = "
        DELETE FROM sessions WHERE digest = $1";

    /// `$1` digest; only if last seen at `$2` or before, or begun at `$3` or before.
    DELETE_EXPIRED = "
        DELETE FROM sessions WHERE digest = $1 AND (last_seen_at <= $2 OR created_at <= $3)";

    /// `$1` and `$2` users; counts the sessions of those after the first, and not after the second.
    COUNT_OF_USERS = "
        SELECT count(*) AS sessions FROM sessions WHERE user_id > $1 AND user_id <= $2";

    /// At most `$2` sessions last seen at `$1` or before.
    ///
    /// In this purge and the others, the condition stands outside too: PostgreSQL looks at that one
    /// again when it comes to the row, which may have been renewed since it was chosen.
    PURGE = "
        DELETE FROM sessions WHERE last_seen_at <= $1 AND digest IN (
            SELECT digest FROM sessions WHERE last_seen_at <= $1 LIMIT $2)";
}

/// The table of sessions.
#[derive(Clone)]
pub struct Sessions {
    connections: Connections,
    look_ups: Arc<Batcher<SessionKey, Result<Option<FoundSession>>>>,
    inserts: Arc<Batcher<NewSession, Result<bool>>>,
}

impl Sessions {
    pub(super) fn new(connections: Connections) -> Self {
        // One worker each: while it works, the next batch comes together. Two that look up were
        // measured to answer a tenth less, in smaller batches.
        let look_up = SessionLookUp::new(connections.clone());
        let inserter = SessionInserter::new(connections.clone());
        Self {
            look_ups: Arc::new(Batcher::start(look_up)),
            inserts: Arc::new(Batcher::start(inserter)),
            connections,
        }
    }

    pub(super) async fn close(&self) {
        self.look_ups.close().await;
        self.inserts.close().await;
    }

    /// Adds a session, and ends the oldest ones of its user beyond the most that there may be, except such
    /// as began in this very second. False if the user is gone.
    ///
    /// # Errors
    ///
    /// Also if the digest is not new.
    pub async fn add(&self, session: NewSession) -> Result<bool> {
        self.inserts.ask(session).await?
    }

    /// Finds a session, valid or not, with its user.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user.
    pub async fn find(&self, key: SessionKey) -> Result<Option<FoundSession>> {
        self.connections.ensure_noted_present()?;
        if let Some(cache) = self.connections.session_cache()
            && let Some(found) = cache.find(&key)
        {
            return Ok(Some(found));
        }
        self.look_ups.ask(key).await?
    }

    /// Finds the user of a session, which is valid or not by these cutoffs.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user.
    pub async fn find_user(
        &self,
        digest: SessionDigest,
        cutoffs: SessionCutoffs,
    ) -> Result<Found<SessionUser>> {
        let found = self.find(SessionKey::Plain(digest)).await?;
        Ok(found.map_or(Found::Invalid, |found| {
            found.session.judge(cutoffs).with(found.session.user)
        }))
    }

    /// Counts the sessions of all users who come after this one, and not after `last`. Those that have
    /// expired or are void count until they are purged.
    pub async fn count_of_users(&self, after: UserId, last: UserId) -> Result<u64> {
        let count = sqlx::query(COUNT_OF_USERS).bind(after.0).bind(last.0);
        let row = self.connections.fetch_optional(count).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get("sessions"))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    /// Notes that a session was in use. A use noted after `latest` is taken for a wrong clock's.
    pub async fn touch(
        &self,
        digest: SessionDigest,
        now: UnixTime,
        latest: UnixTime,
    ) -> Result<()> {
        let touch = sqlx::query(TOUCH)
            .bind(digest.as_bytes())
            .bind(now.0)
            .bind(latest.0);
        self.connections
            .execute(Touched::Session(digest), touch)
            .await?;
        Ok(())
    }

    /// Ends a session; false if none was valid by these cutoffs.
    pub async fn delete(&self, digest: SessionDigest, cutoffs: SessionCutoffs) -> Result<bool> {
        let delete = sqlx::query(DELETE)
            .bind(digest.as_bytes())
            .bind(cutoffs.last_seen_after.0)
            .bind(cutoffs.created.after.0)
            .bind(cutoffs.created.until.0);
        Ok(self
            .connections
            .execute(Touched::Session(digest), delete)
            .await?
            > 0)
    }

    /// Deletes a session if it has expired by these cutoffs.
    pub async fn delete_expired(
        &self,
        digest: SessionDigest,
        cutoffs: SessionCutoffs,
    ) -> Result<()> {
        let delete = sqlx::query(DELETE_EXPIRED)
            .bind(digest.as_bytes())
            .bind(cutoffs.last_seen_after.0)
            .bind(cutoffs.created.after.0);
        self.connections
            .execute(Touched::Session(digest), delete)
            .await?;
        Ok(())
    }

    /// Deletes the sessions last seen at this moment or earlier, a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge(&self, seen_before: UnixTime) -> Result<u64> {
        let touched = Touched::SessionsSeenUntil(seen_before);
        self.connections
            .purge(touched, PURGE, [seen_before.0])
            .await
    }
}

/// Deletes a session in a transaction, valid or not.
pub(super) async fn delete(
    connection: &mut AnyConnection,
    digest: SessionDigest,
) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_ANY).bind(digest.as_bytes());
    delete.execute(connection).await?;
    Ok(())
}
