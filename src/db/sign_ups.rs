//! Sign-up tokens, of which an address has at most one. The user is added when a token is used: see
//! `users::sign_up`.

use sqlx::{AnyConnection, Row};

use super::connection::Connections;
use super::error::Result;
use super::row::email_in;
use super::sessions::cache::Touched;
use super::statement::statements;
use super::validity::{Found, Period};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::token::SignUpTokenDigest;
use crate::user::UserId;

statements! {
    /// `$1` address, `$2` digest, `$3` 1 if the token goes by mail, else 0, `$4` now. Takes the place of an
    /// older token.
    SET = "
        INSERT INTO sign_ups (email, digest, mailed, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (email) DO UPDATE SET
            digest = excluded.digest,
            mailed = excluded.mailed,
            created_at = excluded.created_at";

    /// `$1` address, `$2` digest, `$3` now.
    RENEW = "
        UPDATE sign_ups SET created_at = $3 WHERE email = $1 AND digest = $2";

    /// `$1` digest. Finds an expired token too.
    FIND = "
        SELECT email, mailed, created_at FROM sign_ups WHERE digest = $1";

    /// `$1` digest of a token of the address `$2`, issued after `$3` and not after `$4`. Decides a race for
    /// one token: the database lets only one request delete the row.
    USE_UP = "
        DELETE FROM sign_ups
        WHERE digest = $1 AND email = $2 AND created_at > $3 AND created_at <= $4";

    /// `$1` digest; only if issued at `$2` or before.
    DELETE_EXPIRED = "
        DELETE FROM sign_ups WHERE digest = $1 AND created_at <= $2";

    /// `$1` user.
    DELETE_OF_USER = "
        DELETE FROM sign_ups WHERE email = (SELECT email FROM users WHERE id = $1)";

    /// At most `$2` sign-up tokens issued at `$1` or before.
    PURGE = "
        DELETE FROM sign_ups WHERE created_at <= $1 AND email IN (
            SELECT email FROM sign_ups WHERE created_at <= $1 LIMIT $2)";
}

/// What a sign-up token is for.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// The address of the user to be.
    pub email: Email,
    /// Whether the token went to the address by mail.
    pub is_mailed: bool,
}

/// The table of sign-up tokens.
#[derive(Clone)]
pub struct SignUps {
    connections: Connections,
}

impl SignUps {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Stores a token that is not mailed, in place of an older one for this address.
    pub async fn set(&self, email: &Email, digest: SignUpTokenDigest, now: UnixTime) -> Result<()> {
        let sign_up = SignUp {
            email: email.clone(),
            is_mailed: false,
        };
        self.connections
            .write(Touched::None, async |connection| {
                set(connection, &sign_up, digest, now).await
            })
            .await
    }

    /// Finds what a token is for, which is valid if it was issued within this period.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not an address.
    pub async fn find(&self, digest: SignUpTokenDigest, issued: Period) -> Result<Found<SignUp>> {
        let find = sqlx::query(FIND).bind(digest.as_bytes());
        let Some(row) = self.connections.fetch_optional(find).await? else {
            return Ok(Found::Invalid);
        };
        let created_at = UnixTime(row.try_get("created_at")?);
        let sign_up = SignUp {
            email: email_in(&row)?,
            is_mailed: row.try_get::<i64, _>("mailed")? == 1,
        };
        Ok(issued.judge(created_at, sign_up))
    }

    /// Deletes a token if it has expired by this period.
    pub async fn delete_expired(&self, digest: SignUpTokenDigest, issued: Period) -> Result<()> {
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

/// Deletes the token of the address of a user, who was added without it.
pub async fn delete_of_user(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_OF_USER).bind(user.0);
    delete.execute(connection).await?;
    Ok(())
}

/// Stores a token, in place of an older one for the address.
pub async fn set(
    connection: &mut AnyConnection,
    sign_up: &SignUp,
    digest: SignUpTokenDigest,
    now: UnixTime,
) -> sqlx::Result<()> {
    let set = sqlx::query(SET)
        .bind(sign_up.email.as_str())
        .bind(digest.as_bytes())
        .bind(i64::from(sign_up.is_mailed))
        .bind(now.0);
    set.execute(connection).await?;
    Ok(())
}

/// Has a token that is mailed again count as issued now. False if the address does not have it any more.
pub async fn renew(
    connection: &mut AnyConnection,
    email: &Email,
    digest: SignUpTokenDigest,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let renew = sqlx::query(RENEW)
        .bind(email.as_str())
        .bind(digest.as_bytes())
        .bind(now.0);
    Ok(renew.execute(connection).await?.rows_affected() > 0)
}

/// Deletes the token of an address, which is used up by this. False if it is not valid.
pub async fn use_up(
    connection: &mut AnyConnection,
    email: &Email,
    digest: SignUpTokenDigest,
    issued: Period,
) -> sqlx::Result<bool> {
    let use_up = sqlx::query(USE_UP)
        .bind(digest.as_bytes())
        .bind(email.as_str())
        .bind(issued.after.0)
        .bind(issued.until.0);
    Ok(use_up.execute(connection).await?.rows_affected() > 0)
}
