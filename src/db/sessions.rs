//! Looking sessions up and beginning them, many at once.

use std::collections::HashMap;

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};
use tracing::warn;

use super::batch::{MAX_BATCH, Worker};
use super::loan::{self, Pool, within_budget};
use super::{Found, Result, SessionCutoffs, email_in, sql};
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::error_chain::ErrorChain;
use crate::token::SessionDigest;
use crate::user::{SessionUser, UserId};

/// Asks whose session this is, and whether it is valid by these cutoffs.
pub(super) struct LookUp {
    pub(super) digest: SessionDigest,
    pub(super) cutoffs: SessionCutoffs,
}

/// Looks up all sessions that are asked for by one query, on a connection that it keeps.
pub(super) struct Finder {
    pool: Pool,
    connection: Option<AnyConnection>,
}

impl Finder {
    pub(super) fn new(pool: Pool) -> Self {
        Self {
            pool,
            connection: None,
        }
    }

    /// What each of the sessions is worth.
    ///
    /// # Errors
    ///
    /// Also if it cannot be told which session a row is of.
    async fn look_up(&mut self, look_ups: &[LookUp]) -> Result<Vec<Result<Found<SessionUser>>>> {
        let rows = self.find(look_ups).await?;
        let rows = rows.iter().map(|row| Ok((row.try_get("digest")?, row)));
        let rows: HashMap<&[u8], _> = rows.collect::<sqlx::Result<_>>()?;
        let answer = |look_up: &LookUp| match rows.get(look_up.digest.as_bytes()) {
            Some(row) => session_in(row, look_up.cutoffs),
            None => Ok(Found::Invalid),
        };
        Ok(look_ups.iter().map(answer).collect())
    }

    /// The rows of the sessions that exist.
    async fn find(&mut self, look_ups: &[LookUp]) -> Result<Vec<AnyRow>> {
        self.pool.ensure_noted_present()?;
        let is_fresh = self.connection.is_none();
        match self.query(look_ups).await {
            // The connection was kept while the server went away and came back. A reading may be
            // repeated.
            Err(error) if error.is_temporary() && !is_fresh => self.query(look_ups).await,
            rows => rows,
        }
    }

    /// Runs the query, and lets go of a connection on which it failed.
    async fn query(&mut self, look_ups: &[LookUp]) -> Result<Vec<AnyRow>> {
        let (text, width) = sql::find_users_by_session_ids(look_ups.len());
        let mut query = sqlx::query(text);
        for number in 0..width {
            let look_up = &look_ups[number.min(look_ups.len() - 1)];
            query = query.bind(look_up.digest.as_bytes());
        }
        let kept = self.connection.take();
        if kept.is_none() {
            self.pool.ensure_same_file()?;
        }
        let (rows, connection) = within_budget(async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.pool.connections.acquire().await?.detach(),
            };
            let mut found = query.fetch(&mut connection);
            let mut rows = Vec::with_capacity(look_ups.len());
            // Nobody waits for more rows than there are look-ups, and hearing that there are none
            // takes as long as hearing of one.
            while rows.len() < look_ups.len()
                && let Some(row) = found.try_next().await?
            {
                rows.push(row);
            }
            drop(found);
            Ok((rows, connection))
        })
        .await?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

/// What a session's row says by these cutoffs.
fn session_in(row: &AnyRow, cutoffs: SessionCutoffs) -> Result<Found<SessionUser>> {
    let user = SessionUser {
        id: UserId(row.try_get("id")?),
        email: email_in(row)?,
        last_seen_at: UnixTime(row.try_get("last_seen_at")?),
    };
    let created_at = UnixTime(row.try_get("created_at")?);
    let [version, begun_under]: [i64; 2] = [
        row.try_get("password_version")?,
        row.try_get("begun_under")?,
    ];
    Ok(match cutoffs.judge(user.last_seen_at, created_at, user) {
        Found::Valid(user) if begun_under != version => Found::Void(user),
        found => found,
    })
}

impl Worker<LookUp, Result<Found<SessionUser>>> for Finder {
    /// Retries one by one if the batch fails, so that one damaged row fails only its own look-up.
    async fn work(&mut self, look_ups: &[LookUp]) -> Vec<Result<Found<SessionUser>>> {
        match self.look_up(look_ups).await {
            Ok(answers) => answers,
            Err(error) if error.is_temporary() || look_ups.len() == 1 => {
                look_ups.iter().map(|_| Err(error.clone())).collect()
            }
            Err(_) => {
                let mut answers = Vec::with_capacity(MAX_BATCH);
                for look_up in look_ups.chunks(1) {
                    let answer = self.look_up(look_up).await;
                    answers.push(answer.and_then(|mut answer| answer.remove(0)));
                }
                answers
            }
        }
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
    pub(super) readers: Pool,
    pub(super) writer: Pool,
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
        loan::execute(&self.writer, add).await?;
        Ok(())
    }

    /// Adds one session. False if its user is gone.
    async fn add_alone(&self, session: &NewSession) -> Result<bool> {
        match self.add(std::slice::from_ref(session)).await {
            Err(error) if error.is_foreign_key_violation() => Ok(false),
            added => added.map(|()| true),
        }
    }

    /// Those of these users who will have too many sessions, or may have.
    async fn find_crowded(&self, sessions: &[NewSession]) -> Result<Vec<i64>> {
        let room_after = |session: &NewSession| {
            let of_same_user = sessions.iter().filter(|other| other.user == session.user);
            i64::from(session.max_sessions) - of_same_user.map(|_| 1).sum::<i64>()
        };
        let enough = sessions.iter().map(room_after).min();
        let (text, width) = sql::find_crowded_users(sessions.len());
        let mut query = sqlx::query(text).bind(enough);
        for number in 0..width {
            query = query.bind(sessions[number.min(sessions.len() - 1)].user.0);
        }
        let rows = loan::fetch_all(&self.readers, query).await?;
        let users = rows.iter().map(|row| row.try_get("user_id"));
        Ok(users.collect::<sqlx::Result<_>>()?)
    }

    /// Ends the oldest sessions of these users, for whom others have just begun.
    async fn make_room(&self, crowded: Vec<i64>, begun: &[NewSession]) -> Result<()> {
        for user in crowded {
            let newest = begun.iter().filter(|session| session.user.0 == user);
            let newest = newest.max_by_key(|session| session.now.0);
            let Some(newest) = newest else { continue };
            let delete = sqlx::query(sql::DELETE_OLDEST_SESSIONS)
                .bind(user)
                .bind(newest.now.0)
                .bind(i64::from(newest.max_sessions))
                .bind(newest.now.after(CLOCK_TOLERANCE).0);
            loan::execute(&self.writer, delete).await?;
        }
        Ok(())
    }
}

impl Worker<NewSession, Result<bool>> for Beginner {
    async fn work(&mut self, sessions: &[NewSession]) -> Vec<Result<bool>> {
        // Looked up meanwhile, since a login alone need not wait for one after the other.
        let (added, crowded) = tokio::join!(self.add(sessions), self.find_crowded(sessions));
        let answers = match added {
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
        let made_room = match crowded {
            Ok(crowded) => self.make_room(crowded, sessions).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made_room {
            warn!(error = %ErrorChain(&error), "cannot end the oldest sessions of a user");
        }
        answers
    }

    async fn finish(self) {}
}
