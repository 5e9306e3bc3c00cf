//! Looking sessions up and beginning them, many at once.

use std::collections::HashMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AnyPool, Connection, Row};
use tracing::warn;

use super::batch::{MAX_BATCH, Worker};
use super::{Result, SessionCutoffs, sql, user_from, within_deadline};
use crate::clock::UnixTime;
use crate::error_chain::ErrorChain;
use crate::token::SessionDigest;
use crate::user::{User, UserId};

/// Asks whose session this is, if it is alive by these cutoffs.
pub(super) struct LookUp {
    pub(super) digest: SessionDigest,
    pub(super) cutoffs: SessionCutoffs,
}

/// Looks up all sessions that are asked for by one query, on a connection that it keeps.
pub(super) struct Finder {
    pool: AnyPool,
    connection: Option<AnyConnection>,
}

impl Finder {
    pub(super) fn new(pool: AnyPool) -> Self {
        Self {
            pool,
            connection: None,
        }
    }

    async fn find(&mut self, look_ups: &[LookUp]) -> Result<HashMap<[u8; 32], User>> {
        let is_fresh = self.connection.is_none();
        let rows = match self.query(look_ups).await {
            // The connection was kept while the server went away and came back. A reading may be
            // repeated.
            Err(error) if error.is_temporary() && !is_fresh => self.query(look_ups).await?,
            rows => rows?,
        };
        rows.iter()
            .map(|row| {
                let digest: Vec<u8> = row.try_get("digest")?;
                let digest = digest.try_into().map_err(|_| sqlx::Error::RowNotFound)?;
                Ok((digest, user_from(row)?))
            })
            .collect()
    }

    /// Runs the query, and lets go of a connection on which it failed.
    async fn query(&mut self, look_ups: &[LookUp]) -> Result<Vec<AnyRow>> {
        // They waited together, so what has expired for one has expired for all.
        let latest = |moment: fn(&LookUp) -> UnixTime| look_ups.iter().map(moment).max();
        let last_seen_after = latest(|look_up| look_up.cutoffs.last_seen_after);
        let created_after = latest(|look_up| look_up.cutoffs.created_after);
        let (text, width) = sql::find_users_by_session_ids(look_ups.len());
        let mut query = sqlx::query(text)
            .bind(last_seen_after.map(|moment| moment.0))
            .bind(created_after.map(|moment| moment.0));
        for number in 0..width {
            let look_up = &look_ups[number.min(look_ups.len() - 1)];
            query = query.bind(look_up.digest.as_bytes());
        }
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.pool.acquire().await?.detach(),
        };
        let rows = within_deadline(query.fetch_all(&mut connection)).await?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

impl Worker<LookUp, Result<Option<User>>> for Finder {
    async fn work(&mut self, look_ups: &[LookUp]) -> Vec<Result<Option<User>>> {
        let found = self.find(look_ups).await;
        let answer = |look_up: &LookUp| match &found {
            Ok(users) => {
                let user = users.get(look_up.digest.as_bytes()).cloned();
                Ok(user.map(|user| User {
                    session_id: Some(look_up.digest),
                    ..user
                }))
            }
            Err(error) => Err(error.clone()),
        };
        look_ups.iter().map(answer).collect()
    }

    async fn finish(self) {
        if let Some(connection) = self.connection {
            // It only reads, so nothing is lost if it does not end well.
            let _ = connection.close().await;
        }
    }
}

/// A session to begin.
pub(super) struct NewSession {
    pub(super) digest: SessionDigest,
    pub(super) user: UserId,
    pub(super) password_version: i64,
    pub(super) now: UnixTime,
    pub(super) max_sessions: u32,
}

/// Begins all sessions that are asked for in one durable commit.
pub(super) struct Beginner {
    pub(super) readers: AnyPool,
    pub(super) writer: AnyPool,
}

impl Beginner {
    /// Adds these sessions, all or none.
    async fn add(&self, sessions: &[NewSession]) -> Result<()> {
        let mut add = sqlx::query(sql::add_sessions(sessions.len()));
        for session in sessions {
            add = add
                .bind(session.digest.as_bytes())
                .bind(session.user.0)
                .bind(session.password_version)
                .bind(session.now.0);
        }
        within_deadline(add.execute(&self.writer)).await?;
        Ok(())
    }

    /// Adds one session. False if its user is gone.
    async fn add_alone(&self, session: &NewSession) -> Result<bool> {
        match self.add(std::slice::from_ref(session)).await {
            Err(error) if error.is_foreign_key_violation() => Ok(false),
            added => added.map(|()| true),
        }
    }

    /// Ends the oldest sessions of those users who now have too many.
    async fn make_room(&self, sessions: &[NewSession]) -> Result<()> {
        let Some(max_sessions) = sessions.iter().map(|session| session.max_sessions).min() else {
            return Ok(());
        };
        let (text, width) = sql::find_crowded_users(sessions.len());
        let mut query = sqlx::query(text).bind(i64::from(max_sessions));
        for number in 0..width {
            query = query.bind(sessions[number.min(sessions.len() - 1)].user.0);
        }
        for row in within_deadline(query.fetch_all(&self.readers)).await? {
            let user: i64 = row.try_get("user_id")?;
            let newest = sessions
                .iter()
                .filter(|session| session.user.0 == user)
                .map(|session| session.now.0)
                .max();
            let delete = sqlx::query(sql::DELETE_OLDEST_SESSIONS)
                .bind(user)
                .bind(newest)
                .bind(i64::from(max_sessions));
            within_deadline(delete.execute(&self.writer)).await?;
        }
        Ok(())
    }
}

impl Worker<NewSession, Result<bool>> for Beginner {
    async fn work(&mut self, sessions: &[NewSession]) -> Vec<Result<bool>> {
        let answers = match self.add(sessions).await {
            Ok(()) => sessions.iter().map(|_| Ok(true)).collect(),
            // Not their fault, and asking for each would only take longer.
            Err(error) if error.is_temporary() => {
                return sessions.iter().map(|_| Err(error.clone())).collect();
            }
            // One of them spoiled it: nobody pays for a neighbour.
            Err(_) => {
                let mut answers = Vec::with_capacity(MAX_BATCH);
                for session in sessions {
                    answers.push(self.add_alone(session).await);
                }
                answers
            }
        };
        // Durable by now; a few sessions too many until the next login are no reason to refuse one.
        if let Err(error) = self.make_room(sessions).await {
            warn!(error = %ErrorChain(&error), "cannot end the oldest sessions of a user");
        }
        answers
    }

    async fn finish(self) {}
}
