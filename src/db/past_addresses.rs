//! The addresses that accounts had until lately, each with the token that takes the account back to it. As
//! long as that can be used, no other account can have the address: who adds a user or changes an address
//! does so first and looks here then, in one transaction, so that neither misses the other.
//!
//! What was given up later than now, by a clock that was ahead, is kept for its account too, although its token
//! is not good until then: else a clock that is put right would free the address.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::connection::Connections;
use super::error::Result;
use super::row::email_in;
use super::sessions::cache::Touched;
use super::statement::statements;
use super::validity::{Found, Period};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::token::{UndoToken, UndoTokenDigest};
use crate::user::UserId;

statements! {
    /// `$1` user, `$2` address, `$3` digest of a token that is in the answer or NULL if it goes by mail, `$4`
    /// 1 if it goes by mail, else 0, `$5` now.
    ADD = "
        INSERT INTO past_addresses (user_id, email, undo_digest, mailed, changed_at)
        VALUES ($1, $2, $3, $4, $5)";

    /// `$1` address.
    DELETE_ADDRESS = "
        DELETE FROM past_addresses WHERE email = $1";

    /// `$1` address, `$2` after when it was given up, `$3` the user to whom it is not taken.
    FIND_OF_OTHERS = "
        SELECT id FROM past_addresses
        WHERE email = $1 AND changed_at > $2 AND user_id <> $3";

    /// `$1` address, `$2` after when it was given up, `$3` the user who had it.
    FIND_OWN = "
        SELECT id, user_id, email, mailed, changed_at FROM past_addresses
        WHERE email = $1 AND changed_at > $2 AND user_id = $3";

    /// `$1` user, `$2` after when it was given up.
    FIND_OF_USER = "
        SELECT id FROM past_addresses
        WHERE user_id = $1 AND changed_at > $2 LIMIT 1";

    /// `$1` number, `$2` digest.
    SET_TOKEN = "
        UPDATE past_addresses SET undo_digest = $2, mailed = 1 WHERE id = $1";

    /// `$1` number, `$2` digest. A write, so that the token is not used up until the transaction ends.
    HOLD_TOKEN = "
        UPDATE past_addresses SET mailed = 1 WHERE id = $1 AND undo_digest = $2";

    /// `$1` digest. Finds an expired token too.
    FIND = "
        SELECT id, user_id, email, mailed, changed_at FROM past_addresses WHERE undo_digest = $1";

    /// `$1` number, `$2` digest, `$3` and `$4` after and until when it was given up. Decides a race for one
    /// token: the database lets only one request delete the row.
    USE_UP = "
        DELETE FROM past_addresses
        WHERE id = $1 AND undo_digest = $2 AND changed_at > $3 AND changed_at <= $4";

    /// `$1` user, `$2` number.
    DELETE_LATER = "
        DELETE FROM past_addresses WHERE user_id = $1 AND id > $2";

    /// `$1` digest; only if given up at `$2` or before.
    DELETE_EXPIRED = "
        DELETE FROM past_addresses WHERE undo_digest = $1 AND changed_at <= $2";

    /// At most `$2` addresses given up at `$1` or before.
    PURGE = "
        DELETE FROM past_addresses WHERE changed_at <= $1 AND id IN (
            SELECT id FROM past_addresses WHERE changed_at <= $1 LIMIT $2)";
}

/// An address that an account had.
#[derive(Clone, Debug)]
pub struct PastAddress {
    /// Its number: the higher, the later it was given up.
    pub id: i64,
    /// The account.
    pub user: UserId,
    /// The address.
    pub email: Email,
    /// Whether the token that undoes the change went to it by mail.
    pub is_mailed: bool,
}

/// How the token that undoes a change reaches the owner of the old address.
#[derive(Clone, Copy, Debug)]
pub enum UndoTokenWay {
    /// By mail.
    Mail,
    /// In the answer; this is its digest.
    Answer(UndoTokenDigest),
}

/// The table of past addresses.
#[derive(Clone)]
pub struct PastAddresses {
    connections: Connections,
}

impl PastAddresses {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Finds the address of a token, which is valid if the address was given up within this period.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not an address.
    pub async fn find(
        &self,
        digest: UndoTokenDigest,
        given_up: Period,
    ) -> Result<Found<PastAddress>> {
        let find = sqlx::query(FIND).bind(digest.as_bytes());
        let Some(row) = self.connections.fetch_optional(find).await? else {
            return Ok(Found::Invalid);
        };
        let changed_at = UnixTime(row.try_get("changed_at")?);
        Ok(given_up.judge(changed_at, past_address_in(&row)?))
    }

    /// Whether a user has given an address up within this period.
    pub async fn has_any(&self, user: UserId, given_up: Period) -> Result<bool> {
        let has_any = self
            .connections
            .read(async |connection| has_any(connection, user, given_up).await);
        has_any.await
    }

    /// Deletes an address if its token has expired by this period.
    pub async fn delete_expired(&self, digest: UndoTokenDigest, given_up: Period) -> Result<()> {
        let delete = sqlx::query(DELETE_EXPIRED)
            .bind(digest.as_bytes())
            .bind(given_up.after.0);
        self.connections.execute(Touched::None, delete).await?;
        Ok(())
    }

    /// Deletes the addresses given up at this moment or earlier, a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge(&self, given_up_before: UnixTime) -> Result<u64> {
        let bounds = [given_up_before.0];
        self.connections.purge(Touched::None, PURGE, bounds).await
    }
}

fn past_address_in(row: &AnyRow) -> sqlx::Result<PastAddress> {
    Ok(PastAddress {
        id: row.try_get("id")?,
        user: UserId(row.try_get("user_id")?),
        email: email_in(row)?,
        is_mailed: row.try_get::<i64, _>("mailed")? == 1,
    })
}

/// Records that a user has given an address up, which is theirs in this transaction. Whoever had it before
/// them has lost the right to it.
pub async fn add(
    connection: &mut AnyConnection,
    user: UserId,
    email: &Email,
    way: UndoTokenWay,
    now: UnixTime,
) -> sqlx::Result<()> {
    delete(connection, email).await?;
    let (digest, is_mailed) = match way {
        UndoTokenWay::Mail => (None, 1),
        UndoTokenWay::Answer(digest) => (Some(digest.as_bytes().to_vec()), 0),
    };
    let add = sqlx::query(ADD)
        .bind(user.0)
        .bind(email.as_str())
        .bind(digest)
        .bind(is_mailed)
        .bind(now.0);
    add.execute(connection).await?;
    Ok(())
}

/// Deletes an address, which is given up no longer.
pub async fn delete(connection: &mut AnyConnection, email: &Email) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_ADDRESS).bind(email.as_str());
    delete.execute(connection).await?;
    Ok(())
}

/// Whether another account than this user's, or any, can be taken back to an address, which was then given
/// up within this period.
pub async fn is_of_other(
    connection: &mut AnyConnection,
    email: &Email,
    user: Option<UserId>,
    given_up: Period,
) -> sqlx::Result<bool> {
    let find = sqlx::query(FIND_OF_OTHERS)
        .bind(email.as_str())
        .bind(given_up.after.0)
        // No user has this number.
        .bind(user.map_or(0, |user| user.0));
    Ok(find.fetch_optional(connection).await?.is_some())
}

/// The address, if this user has given it up within this period; else `None`.
pub async fn find_own(
    connection: &mut AnyConnection,
    user: UserId,
    email: &Email,
    given_up: Period,
) -> sqlx::Result<Option<PastAddress>> {
    let find = sqlx::query(FIND_OWN)
        .bind(email.as_str())
        .bind(given_up.after.0)
        .bind(user.0);
    let row = find.fetch_optional(connection).await?;
    row.as_ref().map(past_address_in).transpose()
}

/// Whether a user has given an address up within this period.
pub async fn has_any(
    connection: &mut AnyConnection,
    user: UserId,
    given_up: Period,
) -> sqlx::Result<bool> {
    let find = sqlx::query(FIND_OF_USER)
        .bind(user.0)
        .bind(given_up.after.0);
    Ok(find.fetch_optional(connection).await?.is_some())
}

/// Stores the token of a mail to a past address.
pub async fn set_token(
    connection: &mut AnyConnection,
    id: i64,
    token: &UndoToken,
) -> sqlx::Result<()> {
    let digest = token.digest();
    let set = sqlx::query(SET_TOKEN).bind(id).bind(digest.as_bytes());
    set.execute(connection).await?;
    Ok(())
}

/// Whether a past address has this token, which is mailed again and has it until the transaction ends.
pub async fn hold_token(
    connection: &mut AnyConnection,
    id: i64,
    digest: UndoTokenDigest,
) -> sqlx::Result<bool> {
    let hold = sqlx::query(HOLD_TOKEN).bind(id).bind(digest.as_bytes());
    Ok(hold.execute(connection).await?.rows_affected() > 0)
}

/// Deletes an address by its token, which is used up by this. False if it is not valid.
pub async fn use_up(
    connection: &mut AnyConnection,
    past: &PastAddress,
    digest: UndoTokenDigest,
    given_up: Period,
) -> sqlx::Result<bool> {
    let use_up = sqlx::query(USE_UP)
        .bind(past.id)
        .bind(digest.as_bytes())
        .bind(given_up.after.0)
        .bind(given_up.until.0);
    Ok(use_up.execute(connection).await?.rows_affected() > 0)
}

/// Deletes the addresses that the account had after this one.
pub async fn delete_later(connection: &mut AnyConnection, past: &PastAddress) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_LATER).bind(past.user.0).bind(past.id);
    delete.execute(connection).await?;
    Ok(())
}
