//! Finds the users of many sessions by one query.

use std::collections::HashMap;
use std::sync::LazyLock;

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::cache::{SessionCache, StoredSession};
use crate::clock::UnixTime;
use crate::db::batch::{MAX_BATCH, Worker};
use crate::db::connection::{Connections, within_budget};
use crate::db::error::Result;
use crate::db::row::email_in;
use crate::db::statement::Widths;
use crate::db::validity::{Found, SessionCutoffs};
use crate::token::SessionDigest;
use crate::user::{SessionUser, UserId};

/// `$1`, … digests. Finds expired and void sessions too.
pub static FIND_USERS: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(1, |digests| {
        format!(
            "SELECT s.digest, u.id, u.email, s.created_at, s.last_seen_at, u.password_version,
                 s.password_version AS begun_under
             FROM sessions AS s
             JOIN users AS u ON u.id = s.user_id
             WHERE s.digest IN ({digests})"
        )
    })
});

/// Asks whose session this is, and whether it is valid by these cutoffs.
pub struct LookUp {
    pub digest: SessionDigest,
    pub cutoffs: SessionCutoffs,
}

/// Looks up all sessions that are asked for by one query, on a connection that it keeps.
pub struct SessionLookUp {
    connections: Connections,
    connection: Option<AnyConnection>,
}

impl SessionLookUp {
    pub fn new(connections: Connections) -> Self {
        Self {
            connections,
            connection: None,
        }
    }

    /// What each of the sessions is worth. Remembers those that exist, if the database can be followed.
    ///
    /// # Errors
    ///
    /// Also if it cannot be told which session a row is of.
    async fn look_up(&mut self, look_ups: &[LookUp]) -> Result<Vec<Result<Found<SessionUser>>>> {
        let cache = self.connections.session_cache();
        let header = cache.and_then(SessionCache::begin_look_up);
        let connections = self.connections.clone();
        let rows = connections.counted(self.find(look_ups)).await?;
        let rows = rows.iter().map(|row| Ok((row.try_get("digest")?, row)));
        let rows: HashMap<&[u8], _> = rows.collect::<sqlx::Result<_>>()?;
        let session_of = |look_up: &LookUp| {
            let row = rows.get(look_up.digest.as_bytes());
            row.map(|row| Ok(session_in(row)?)).transpose()
        };
        let sessions: Vec<Result<Option<StoredSession>>> =
            look_ups.iter().map(session_of).collect();
        if let Some(cache) = self.connections.session_cache() {
            let found = look_ups.iter().zip(&sessions);
            let found = found.filter_map(|(look_up, session)| {
                let session = session.as_ref().ok()?.clone()?;
                Some((look_up.digest, session))
            });
            cache.remember(header, found);
        }
        let answer = |(look_up, session): (&LookUp, Result<Option<StoredSession>>)| {
            Ok(match session? {
                Some(session) => session.judge(look_up.cutoffs),
                None => Found::Invalid,
            })
        };
        Ok(look_ups.iter().zip(sessions).map(answer).collect())
    }

    /// The rows of the sessions that exist.
    async fn find(&mut self, look_ups: &[LookUp]) -> Result<Vec<AnyRow>> {
        self.connections.ensure_noted_present()?;
        let is_fresh = self.connection.is_none();
        match self.query(look_ups).await {
            // The connection was kept while the server went away and came back, or another transaction was
            // in the way. A reading may be repeated.
            Err(error) if error.is_conflict() || error.is_temporary() && !is_fresh => {
                self.query(look_ups).await
            }
            rows => rows,
        }
    }

    /// Runs the query, and lets go of a connection on which it failed.
    async fn query(&mut self, look_ups: &[LookUp]) -> Result<Vec<AnyRow>> {
        let (text, width) = FIND_USERS.for_keys(look_ups.len());
        let mut query = sqlx::query(text);
        for number in 0..width {
            let look_up = &look_ups[number.min(look_ups.len() - 1)];
            query = query.bind(look_up.digest.as_bytes());
        }
        let kept = self.connection.take();
        if kept.is_none() {
            self.connections.ensure_same_file()?;
        }
        let (rows, connection) = within_budget(async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connections.detached_reader().await?,
            };
            let mut found = query.fetch(&mut connection);
            let mut rows = Vec::with_capacity(look_ups.len());
            // There are no more rows than look-ups, and to be told so takes as long as a row.
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

/// What a session's row says.
fn session_in(row: &AnyRow) -> sqlx::Result<StoredSession> {
    let [version, begun_under]: [i64; 2] = [
        row.try_get("password_version")?,
        row.try_get("begun_under")?,
    ];
    Ok(StoredSession {
        user: SessionUser {
            id: UserId(row.try_get("id")?),
            email: email_in(row)?,
            began_at: UnixTime(row.try_get("created_at")?),
            last_seen_at: UnixTime(row.try_get("last_seen_at")?),
        },
        is_void: begun_under != version,
    })
}

impl Worker<LookUp, Result<Found<SessionUser>>> for SessionLookUp {
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
