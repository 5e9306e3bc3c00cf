//! Reset tokens, of which a user has at most one.

use sqlx::{AnyConnection, Row};

use super::connection::Connections;
use super::error::Result;
use super::row::user_in;
use super::sessions::cache::Touched;
use super::statement::statements;
use super::validity::{Found, Period};
use crate::clock::UnixTime;
use crate::token::ResetTokenDigest;
use crate::user::{User, UserId};

statements! {
    /// `$1` user, `$2` digest, `$3` password version, `$4` now, `$5` 1 if the token goes by mail, else 0.
    /// Takes the place of an older token.
    SET = "
        INSERT INTO reset_tokens (user_id, digest, password_version, created_at, mailed)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (user_id) DO UPDATE SET
            digest = excluded.digest,
            password_version = excluded.password_version,
            created_at = excluded.created_at,
            mailed = excluded.mailed";

    /// `$1` user, `$2` digest, `$3` password version, `$4` now.
    RENEW = "
        UPDATE reset_tokens SET created_at = $4
        WHERE user_id = $1 AND digest = $2 AND password_version = $3";

    /// `$1` digest. Finds an expired token too.
    FIND_USER = "
        SELECT u.id, u.email, u.hashed_password, u.password_version, u.locked_at, t.created_at
        FROM reset_tokens AS t
        JOIN users AS u ON u.id = t.user_id AND u.password_version = t.password_version
        WHERE t.digest = $1";

    /// `$1` user.
    DELETE_OF_USER = "
        DELETE FROM reset_tokens WHERE user_id = $1";

    /// `$1` digest; only if issued at `$2` or before.
    DELETE_EXPIRED = "
        DELETE FROM reset_tokens WHERE digest = $1 AND created_at <= $2";

    /// At most `$2` reset tokens issued at `$1` or before.
    PURGE = "
        DELETE FROM reset_tokens WHERE created_at <= $1 AND user_id IN (
            SELECT user_id FROM reset_tokens WHERE created_at <= $1 LIMIT $2)";
}

/// The table of reset tokens.
#[derive(Clone)]
pub struct ResetTokens {
    connections: Connections,
}

impl ResetTokens {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Stores a token of this user that is not mailed, as of the password that was read, in place of an
    /// older one. False if the user is gone.
    pub async fn set(&self, user: &User, digest: ResetTokenDigest, now: UnixTime) -> Result<bool> {
        let set = self.connections.write(Touched::None, async |connection| {
            let version = user.password_version;
            set(connection, user.id, version, digest, now, false).await
        });
        match set.await {
            Err(error) if error.is_foreign_key_violation() => Ok(false),
            set => set.map(|()| true),
        }
    }

    /// Finds the user of a token, which is valid if it was issued within this period.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user.
    pub async fn find_user(&self, digest: ResetTokenDigest, issued: Period) -> Result<Found<User>> {
        let find = sqlx::query(FIND_USER).bind(digest.as_bytes());
        let Some(row) = self.connections.fetch_optional(find).await? else {
            return Ok(Found::Invalid);
        };
        let created_at = UnixTime(row.try_get("created_at")?);
        Ok(issued.judge(created_at, user_in(&row)?))
    }

    /// Deletes a token if it has expired by this period.
    pub async fn delete_expired(&self, digest: ResetTokenDigest, issued: Period) -> Result<()> {
        let delete = sqlx::query(DELETE_EXPIRED)
            .bind(digest.as_bytes())
            .bind(issued.after.0);
        self.connections.execute(Touched::None, delete).await?;
        Ok(())
    }

    /// Deletes the tokens issued at this moment or earlier, a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge(&self, issued_before: UnixTime) -> Result<u64> {
        self.connections
            .purge(Touched::None, PURGE, [issued_before.0])
            .await
    }
}

/// Stores a token of a user of this password version, which is mailed or not, in place of an older one.
pub async fn set(
    connection: &mut AnyConnection,
    user: UserId,
    password_version: i64,
    digest: ResetTokenDigest,
    now: UnixTime,
    is_mailed: bool,
) -> sqlx::Result<()> {
    let set = sqlx::query(SET)
        .bind(user.0)
        .bind(digest.as_bytes())
        .bind(password_version)
        .bind(now.0)
        .bind(i64::from(is_mailed));
    set.execute(connection).await?;
    Ok(())
}

/// Has a token that is mailed again count as issued now. False if the user, of this password version, does not
/// have it any more.
pub async fn renew(
    connection: &mut AnyConnection,
    user: UserId,
    password_version: i64,
    digest: ResetTokenDigest,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let renew = sqlx::query(RENEW)
        .bind(user.0)
        .bind(digest.as_bytes())
        .bind(password_version)
        .bind(now.0);
    Ok(renew.execute(connection).await?.rows_affected() > 0)
}

/// Deletes the token of a user.
pub async fn delete_of_user(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_OF_USER).bind(user.0);
    delete.execute(connection).await?;
    Ok(())
}
