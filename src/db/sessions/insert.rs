//! Adds many sessions in one durable commit.

use std::sync::LazyLock;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row};
use tracing::warn;

use super::cache::Touched;
use crate::client::ClientName;
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::db::batch::{MAX_BATCH, Worker};
use crate::db::connection::Connections;
use crate::db::error::Result;
use crate::db::statement::{Widths, statements};
use crate::error_chain::ErrorChain;
use crate::source::Source;
use crate::token::SessionDigest;
use crate::user::UserId;

statements! {
    /// Of user `$1`, ends the sessions begun before `$2`, but for the newest `$3` of all. Those begun
    /// after `$4`, which a clock that was ahead has left, end first and not the ones in use.
    DELETE_OLDEST = "
        DELETE FROM sessions
        WHERE user_id = $1 AND (created_at < $2 OR created_at > $4) AND digest NOT IN (
            SELECT digest FROM sessions
            WHERE user_id = $1
            ORDER BY CASE WHEN created_at > $4 THEN 1 ELSE 0 END, created_at DESC
            LIMIT $3)";
}

/// The texts that add 1, 2, 3, … sessions: for each its digest, its user, the user's password version,
/// now, its client and its source.
pub static ADD: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let texts = (1..=MAX_BATCH).map(|count| {
        let rows: Vec<String> = (0..count)
            .map(|row| {
                let [digest, user, version, now, client, source] =
                    [1, 2, 3, 4, 5, 6].map(|column| 6 * row + column);
                format!("(${digest}, ${user}, ${version}, ${now}, ${now}, ${client}, ${source})")
            })
            .collect();
        let text = format!(
            "INSERT INTO sessions (digest, user_id, password_version, created_at, last_seen_at, client,
                 source)
             VALUES {}",
            rows.join(", ")
        );
        &*text.leak()
    });
    texts.collect()
});

/// `$2`, … users, of whom it finds those with more than `$1` sessions.
pub static FIND_CROWDED_USERS: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(2, |users| {
        format!(
            "SELECT user_id FROM sessions WHERE user_id IN ({users})
             GROUP BY user_id HAVING count(*) > $1"
        )
    })
});

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// What is stored of its id.
    pub digest: SessionDigest,
    /// Whose it is.
    pub user: UserId,
    /// The version of the password that was proved: under another the session is void from the start.
    pub password_version: i64,
    /// What begins it; `None` if that does not say.
    pub client: Option<ClientName>,
    /// From where.
    pub source: Source,
    /// When it begins.
    pub now: UnixTime,
    /// How many the user may have.
    pub max_sessions: u32,
}

impl NewSession {
    /// Adds the session in a transaction that has the row of its user, and ends the oldest ones beyond the
    /// most that there may be.
    pub async fn add(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let add = add(std::slice::from_ref(self));
        add.execute(&mut *connection).await?;
        delete_oldest(self).execute(connection).await?;
        Ok(())
    }
}

/// Adds at most [`MAX_BATCH`] sessions.
fn add(sessions: &[NewSession]) -> Query<'static, Any, AnyArguments> {
    let mut add = sqlx::query(ADD[sessions.len() - 1]);
    for session in sessions {
        let client = session.client.as_ref().map(ToString::to_string);
        add = add
            .bind(session.digest.as_bytes().to_vec())
            .bind(session.user.0)
            .bind(session.password_version)
            .bind(session.now.0)
            .bind(client)
            .bind(session.source.to_bytes());
    }
    add
}

/// Ends the oldest sessions of the user for whom this one has just begun.
fn delete_oldest(newest: &NewSession) -> Query<'static, Any, AnyArguments> {
    sqlx::query(DELETE_OLDEST)
        .bind(newest.user.0)
        .bind(newest.now.0)
        .bind(i64::from(newest.max_sessions))
        .bind(newest.now.after(CLOCK_TOLERANCE).0)
}

/// Begins all sessions that are asked for in one durable commit.
pub struct SessionInserter {
    connections: Connections,
}

impl SessionInserter {
    pub fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Adds these sessions, all or none.
    async fn add(&self, sessions: &[NewSession]) -> Result<()> {
        self.connections
            .execute(Touched::None, add(sessions))
            .await?;
        Ok(())
    }

    /// Adds one session. False if its user is gone.
    async fn add_alone(&self, session: &NewSession) -> Result<bool> {
        match self.add(std::slice::from_ref(session)).await {
            Err(error) if error.is_foreign_key_violation() => Ok(false),
            added => added.map(|()| true),
        }
    }

    /// Those of these users who have, or may have, too many sessions with the new ones.
    async fn find_crowded(&self, sessions: &[NewSession]) -> Result<Vec<i64>> {
        let room_after = |session: &NewSession| {
            let of_same_user = sessions.iter().filter(|other| other.user == session.user);
            i64::from(session.max_sessions) - of_same_user.map(|_| 1).sum::<i64>()
        };
        let enough = sessions.iter().map(room_after).min();
        let (text, width) = FIND_CROWDED_USERS.for_keys(sessions.len());
        let mut query = sqlx::query(text).bind(enough);
        for number in 0..width {
            query = query.bind(sessions[number.min(sessions.len() - 1)].user.0);
        }
        let rows = self.connections.fetch_all(query).await?;
        let users = rows.iter().map(|row| row.try_get("user_id"));
        Ok(users.collect::<sqlx::Result<_>>()?)
    }

    /// Ends the oldest sessions of these users, for whom others have just begun.
    async fn make_room(&self, crowded: Vec<i64>, begun: &[NewSession]) -> Result<()> {
        for user in crowded {
            let newest = begun.iter().filter(|session| session.user.0 == user);
            let newest = newest.max_by_key(|session| session.now.0);
            let Some(newest) = newest else { continue };
            let touched = Touched::SessionsOf(newest.user);
            let delete = delete_oldest(newest);
            self.connections.execute(touched, delete).await?;
        }
        Ok(())
    }
}

impl Worker<NewSession, Result<bool>> for SessionInserter {
    async fn work(&mut self, sessions: &[NewSession]) -> Vec<Result<bool>> {
        // Looked up meanwhile, since a login alone need not wait for one after the other.
        let (added, crowded) = tokio::join!(self.add(sessions), self.find_crowded(sessions));
        let answers = match added {
            Ok(()) => sessions.iter().map(|_| Ok(true)).collect(),
            // Each alone would fail too.
            Err(error) if error.is_temporary() => {
                return sessions.iter().map(|_| Err(error.clone())).collect();
            }
            // One by one, so that one bad session does not fail the others.
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
