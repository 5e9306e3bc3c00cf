//! The session by which a user makes a change that holds only if the session does.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use crate::db::statement::statements;
use crate::db::validity::SessionCutoffs;
use crate::token::SessionDigest;
use crate::user::UserId;

statements! {
    /// `$1` user. Changes nothing: it takes the lock of the row, so that changes by two sessions of one user
    /// follow each other, and none waits for a session that the other holds.
    LOCK_USER = "
        UPDATE users SET password_version = password_version WHERE id = $1";

    /// `$1` digest, `$2` user; only if begun after `$3` and not after `$4`, last seen after `$5`, and not
    /// void.
    ///
    /// Changes nothing: it takes the lock of the row. Who ends the session waits until the change is made,
    /// or has ended it before, and then there is no row here. A change that itself waits for a lock on
    /// PostgreSQL would else still see the session as it was when the change began.
    HOLD = "
        UPDATE sessions SET last_seen_at = last_seen_at
        WHERE digest = $1 AND user_id = $2 AND created_at > $3 AND created_at <= $4
          AND last_seen_at > $5
          AND password_version = (SELECT password_version FROM users WHERE id = $2)";
}

/// That the session in `$1`, begun after `$3` and not after `$4`, is one of user `$2` and not void: the
/// condition of what is changed by it.
macro_rules! is_session_valid {
    () => {
        "EXISTS (
            SELECT 1 FROM sessions AS acting
            JOIN users AS u ON u.id = acting.user_id AND u.password_version = acting.password_version
            WHERE acting.digest = $1 AND acting.user_id = $2
              AND acting.created_at > $3 AND acting.created_at <= $4)"
    };
}

pub(crate) use is_session_valid;

/// A session of a user, and when it must have begun to allow a change.
#[derive(Clone, Copy, Debug)]
pub struct ActingSession {
    /// The session.
    pub digest: SessionDigest,
    /// Whose it is.
    pub user: UserId,
    /// The moments by which it is valid or not.
    pub cutoffs: SessionCutoffs,
}

impl ActingSession {
    /// A statement with the condition that the session is valid. Placeholders of its own begin at `$5`.
    pub fn bound<'a>(&self, statement: &'static str) -> Query<'a, Any, AnyArguments> {
        sqlx::query(statement)
            .bind(self.digest.as_bytes().to_vec())
            .bind(self.user.0)
            .bind(self.cutoffs.created.after.0)
            .bind(self.cutoffs.created.until.0)
    }

    /// Keeps others from ending the session until the transaction ends. False if it is not valid.
    pub async fn hold(&self, connection: &mut AnyConnection) -> sqlx::Result<bool> {
        lock_user(connection, self.user).await?;
        let hold = self.bound(HOLD).bind(self.cutoffs.last_seen_after.0);
        Ok(hold.execute(connection).await?.rows_affected() > 0)
    }
}

/// Lets changes to a user follow each other: the next waits until the transaction ends.
pub async fn lock_user(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<()> {
    let lock = sqlx::query(LOCK_USER).bind(user.0);
    lock.execute(connection).await?;
    Ok(())
}
