//! The sessions of one user, or of all, for an administrator.

use sqlx::Row;

use super::cache::Touched;
use super::{PURGE, Sessions};
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::statement::statements;
use crate::user::UserId;

statements! {
    /// `$1` user. Not the void ones.
    FIND_OF_USER = "
        SELECT s.created_at, s.last_seen_at FROM sessions AS s
        JOIN users AS u ON u.id = s.user_id AND u.password_version = s.password_version
        WHERE s.user_id = $1
        ORDER BY s.created_at";

    /// `$1` user. Not the void ones, which are no sessions any more.
    DELETE_OF_USER = "
        DELETE FROM sessions
        WHERE user_id = $1
          AND password_version = (SELECT password_version FROM users WHERE id = $1)";
}

/// When a session began and was last noted to be in use.
#[derive(Clone, Copy, Debug)]
pub struct SessionTimes {
    /// When it began.
    pub created_at: UnixTime,
    /// When it was last noted to be in use.
    pub last_seen_at: UnixTime,
}

impl Sessions {
    /// The sessions of a user that no change of the password has ended, the oldest first. Expired ones
    /// are among them until they are purged.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<SessionTimes>> {
        let find = sqlx::query(FIND_OF_USER).bind(user.0);
        let rows = self.connections.fetch_all(find).await?;
        let sessions = rows.iter().map(|row| {
            Ok(SessionTimes {
                created_at: UnixTime(row.try_get("created_at")?),
                last_seen_at: UnixTime(row.try_get("last_seen_at")?),
            })
        });
        Ok(sessions.collect::<sqlx::Result<_>>()?)
    }

    /// Ends the sessions of a user. Returns how many there were.
    pub async fn delete_of_user(&self, user: UserId) -> Result<u64> {
        let delete = async |connection: &mut sqlx::AnyConnection| {
            let delete = sqlx::query(DELETE_OF_USER).bind(user.0);
            Ok(delete.execute(connection).await?.rows_affected())
        };
        let touched = Touched::SessionsOf(user);
        self.connections.write(touched, delete).await
    }

    /// Ends some of the sessions that there are, of whatever user. Returns how many; 0 if there are
    /// none left.
    pub async fn delete_some(&self) -> Result<u64> {
        let all = UnixTime(i64::MAX);
        let touched = Touched::SessionsSeenUntil(all);
        self.connections.purge_some(touched, PURGE, [all.0]).await
    }
}
