//! The changes of addresses that are asked for and not confirmed yet, of which a user has at most one. The
//! address is changed when the token is used: see `users::address`.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection, Row};

use super::connection::Connections;
use super::error::Result;
use super::row::email_in;
use super::sessions::acting::{ActingSession, is_session_valid};
use super::sessions::cache::Touched;
use super::statement::statements;
use super::validity::Period;
use crate::clock::UnixTime;
use crate::email::Email;
use crate::token::EmailTokenDigest;
use crate::user::UserId;

statements! {
    /// `$5` address, `$6` digest of a token that is in the answer or NULL if it goes by mail, `$7` when that
    /// token was made or NULL, `$8` 1 if it goes by mail, else 0, `$9` now, for the user `$2` by the session
    /// `$1`. Takes the place of an older request. If that was for the same address, and its mail went after
    /// `$10`, so that no other goes for now, its token stays.
    SET = concat!("
        INSERT INTO pending_addresses
            (user_id, email, digest, mailed, password_version, asked_at, issued_at)
        SELECT id, $5, $6, $8, password_version, $9, $7 FROM users
        WHERE id = $2 AND ", is_session_valid!(), "
        ON CONFLICT (user_id) DO UPDATE SET
            email = excluded.email,
            digest = CASE
                WHEN excluded.digest IS NULL
                    AND pending_addresses.email = excluded.email
                    AND pending_addresses.password_version = excluded.password_version
                    AND pending_addresses.mailed = 1
                    AND pending_addresses.issued_at > $10
                    THEN pending_addresses.digest
                ELSE excluded.digest END,
            issued_at = CASE
                WHEN excluded.digest IS NULL
                    AND pending_addresses.email = excluded.email
                    AND pending_addresses.password_version = excluded.password_version
                    AND pending_addresses.mailed = 1
                    AND pending_addresses.issued_at > $10
                    THEN pending_addresses.issued_at
                ELSE excluded.issued_at END,
            mailed = excluded.mailed,
            password_version = excluded.password_version,
            asked_at = excluded.asked_at");

    /// `$1` address, `$2` digest, `$3` now, `$4` the only user who may have the address, 0 if all may. For
    /// each of them who waits for it, and whose password is still the same.
    SET_TOKEN = "
        UPDATE pending_addresses SET digest = $2, issued_at = $3, mailed = 1
        WHERE email = $1 AND (user_id = $4 OR $4 = 0)
          AND password_version = (SELECT password_version FROM users WHERE id = user_id)";

    /// `$1` address, `$2` digest, `$3` now, `$4` the only user who may have the address, 0 if all may. For each
    /// of them who has this token.
    RENEW = "
        UPDATE pending_addresses SET issued_at = $3
        WHERE email = $1 AND digest = $2 AND (user_id = $4 OR $4 = 0)
          AND password_version = (SELECT password_version FROM users WHERE id = user_id)";

    /// `$1` user.
    FIND_OF_USER = "
        SELECT p.email, p.mailed, p.issued_at FROM pending_addresses AS p
        JOIN users AS u ON u.id = p.user_id AND u.password_version = p.password_version
        WHERE p.user_id = $1";

    /// `$1` user, `$2` digest. Finds an expired token too.
    FIND = "
        SELECT p.email, p.mailed, p.issued_at FROM pending_addresses AS p
        JOIN users AS u ON u.id = p.user_id AND u.password_version = p.password_version
        WHERE p.user_id = $1 AND p.digest = $2 AND p.issued_at IS NOT NULL";

    /// Of the user `$2` by the session `$1`.
    CALL_OFF = concat!("
        DELETE FROM pending_addresses WHERE user_id = $2 AND ", is_session_valid!());

    /// `$1` user.
    DELETE_OF_USER = "
        DELETE FROM pending_addresses WHERE user_id = $1";

    /// `$1` user, `$2` digest; only if issued at `$3` or before.
    DELETE_EXPIRED = "
        DELETE FROM pending_addresses WHERE user_id = $1 AND digest = $2 AND issued_at <= $3";

    /// At most `$2` requests that were made at `$1` or before.
    PURGE = "
        DELETE FROM pending_addresses WHERE asked_at <= $1 AND user_id IN (
            SELECT user_id FROM pending_addresses WHERE asked_at <= $1 LIMIT $2)";
}

/// A change that a user has asked for.
#[derive(Clone, Debug)]
pub struct PendingAddress {
    /// The address to be.
    pub email: Email,
    /// Whether the token goes to it by mail.
    pub is_mailed: bool,
    /// When its token was made; `None` as long as there is none.
    pub issued_at: Option<UnixTime>,
}

/// What a token is for that was presented.
#[derive(Clone, Debug)]
pub struct AskedAddress {
    /// The address to be.
    pub email: Email,
    /// Whether the token went to it by mail.
    pub is_mailed: bool,
    /// When the token was made.
    pub issued_at: UnixTime,
}

/// How a user gets the token.
#[derive(Clone, Copy, Debug)]
pub enum TokenWay {
    /// By mail. If one went after this moment, no other goes for now.
    Mail {
        /// The moment.
        last_after: UnixTime,
    },
    /// In the answer; this is its digest.
    Answer(EmailTokenDigest),
}

/// The table of changes that are not confirmed yet.
#[derive(Clone)]
pub struct PendingAddresses {
    connections: Connections,
}

impl PendingAddresses {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// The change that a user has asked for and neither confirmed nor called off; `None` if there is none.
    /// Its token may have expired.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not an address.
    pub async fn of_user(&self, user: UserId) -> Result<Option<PendingAddress>> {
        let find = sqlx::query(FIND_OF_USER).bind(user.0);
        let Some(row) = self.connections.fetch_optional(find).await? else {
            return Ok(None);
        };
        let issued_at: Option<i64> = row.try_get("issued_at")?;
        Ok(Some(PendingAddress {
            email: email_in(&row)?,
            is_mailed: row.try_get::<i64, _>("mailed")? == 1,
            issued_at: issued_at.map(UnixTime),
        }))
    }

    /// What a token of this user is for; `None` if there is none such.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not an address.
    pub async fn find(
        &self,
        user: UserId,
        digest: EmailTokenDigest,
    ) -> Result<Option<AskedAddress>> {
        let find = self
            .connections
            .read(async |connection| find(connection, user, digest).await);
        find.await
    }

    /// Calls the change off that the user of this session has asked for, if there is one. False if the
    /// session is not valid.
    pub async fn call_off(&self, acting: ActingSession) -> Result<bool> {
        let work = async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin().await?;
            if !acting.hold(&mut transaction).await? {
                transaction.rollback().await?;
                return Ok(false);
            }
            acting.bound(CALL_OFF).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(true)
        };
        self.connections.write(Touched::None, work).await
    }

    /// Deletes a token if it has expired by this period.
    pub async fn delete_expired(
        &self,
        user: UserId,
        digest: EmailTokenDigest,
        issued: Period,
    ) -> Result<()> {
        let delete = sqlx::query(DELETE_EXPIRED)
            .bind(user.0)
            .bind(digest.as_bytes())
            .bind(issued.after.0);
        self.connections.execute(Touched::None, delete).await?;
        Ok(())
    }

    /// Deletes the requests made at this moment or earlier, a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge(&self, asked_before: UnixTime) -> Result<u64> {
        let bounds = [asked_before.0];
        self.connections.purge(Touched::None, PURGE, bounds).await
    }
}

/// Records that the user of a session asks for this address. False if the session is not valid.
pub async fn set(
    connection: &mut AnyConnection,
    acting: ActingSession,
    email: &Email,
    way: TokenWay,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let (digest, is_mailed, last_after) = match way {
        TokenWay::Mail { last_after } => (None, 1, last_after),
        TokenWay::Answer(digest) => (Some(digest.as_bytes().to_vec()), 0, now),
    };
    let issued_at = digest.as_ref().map(|_| now.0);
    let set = acting
        .bound(SET)
        .bind(email.as_str().to_owned())
        .bind(digest)
        .bind(issued_at)
        .bind(is_mailed)
        .bind(now.0)
        .bind(last_after.0);
    Ok(set.execute(connection).await?.rows_affected() > 0)
}

/// Gives the token of a mail to all who wait for its address, or to this user alone. Returns whether there
/// is one.
pub async fn set_token(
    connection: &mut AnyConnection,
    email: &Email,
    only_for: Option<UserId>,
    digest: EmailTokenDigest,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let set = token_of_mail(SET_TOKEN, email, only_for, digest, now);
    Ok(set.execute(connection).await?.rows_affected() > 0)
}

fn token_of_mail(
    statement: &'static str,
    email: &Email,
    only_for: Option<UserId>,
    digest: EmailTokenDigest,
    now: UnixTime,
) -> Query<'static, Any, AnyArguments> {
    sqlx::query(statement)
        .bind(email.as_str().to_owned())
        .bind(digest.as_bytes().to_vec())
        .bind(now.0)
        .bind(only_for.map_or(0, |user| user.0))
}

/// Has a token that is mailed again count as issued now. False if none who waits for the address, or not this
/// user, has it any more.
pub async fn renew(
    connection: &mut AnyConnection,
    email: &Email,
    only_for: Option<UserId>,
    digest: EmailTokenDigest,
    now: UnixTime,
) -> sqlx::Result<bool> {
    let renew = token_of_mail(RENEW, email, only_for, digest, now);
    Ok(renew.execute(connection).await?.rows_affected() > 0)
}

/// What a token of this user is for; `None` if there is none such.
pub async fn find(
    connection: &mut AnyConnection,
    user: UserId,
    digest: EmailTokenDigest,
) -> sqlx::Result<Option<AskedAddress>> {
    let find = sqlx::query(FIND).bind(user.0).bind(digest.as_bytes());
    let Some(row) = find.fetch_optional(connection).await? else {
        return Ok(None);
    };
    Ok(Some(AskedAddress {
        email: email_in(&row)?,
        is_mailed: row.try_get::<i64, _>("mailed")? == 1,
        issued_at: UnixTime(row.try_get("issued_at")?),
    }))
}

/// Deletes what a user has asked for.
pub async fn delete_of_user(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_OF_USER).bind(user.0);
    delete.execute(connection).await?;
    Ok(())
}
