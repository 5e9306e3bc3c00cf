//! Users: their addresses and password hashes.
//!
//! What requests ask for is here, but for what users change by a session of theirs, which is in `by_session`,
//! and the change of an address, in `address`; `accounts` finds and lists users for an administrator, and
//! `changes` is what an administrator changes. `sign_up` adds a user by a token, `import` adds many at once,
//! and `export` reads all.

use sqlx::{AnyConnection, Connection, Row};

use super::connection::Connections;
use super::error::Result;
use super::outbox::{MailPause, notices};
use super::rate_limits::Proof;
use super::row::user_in;
use super::sessions::cache::Touched;
use super::statement::statements;
use super::validity::Period;
use super::{past_addresses, pending_addresses, rate_limits, reset_tokens};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::Language;
use crate::token::ResetTokenDigest;
use crate::user::{HashedPassword, User, UserId};

pub(super) mod accounts;
pub(super) mod address;
pub(super) mod by_session;
pub(super) mod changes;
pub(super) mod export;
pub(super) mod import;
pub(super) mod sign_up;

statements! {
    /// `$1` address, `$2` hash, `$3` now, `$4` when it was established that the address is the user's. No row
    /// if the address is taken.
    ADD = "
        INSERT INTO users (email, hashed_password, password_version, created_at, email_confirmed_at)
        VALUES ($1, $2, 1, $3, $4)
        ON CONFLICT (email) DO NOTHING";

    /// `$1` address.
    FIND_BY_EMAIL = "
        SELECT id, email, hashed_password, password_version, locked_at
        FROM users
        WHERE email = $1";

    /// `$1` user, `$2` how many; counts so many users at most who come after that one.
    COUNT_AFTER = "
        SELECT count(*) AS users, coalesce(max(id), $1) AS last
        FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) AS page";

    /// `$1` user, `$2` the hash that was checked, `$3` its successor. Not if the hash has changed.
    REPLACE_HASH = "
        UPDATE users SET hashed_password = $3
        WHERE id = $1 AND hashed_password = $2";

    /// `$1` user, `$2` hash, `$3` digest of a reset token issued after `$4` and not after `$5`, `$6` now. Who
    /// has a token that was mailed reads the mail of the address.
    ///
    /// Decides a race for one token: the version that it sets voids the token, and the database
    /// lets only one request at a time change the row.
    SET_PASSWORD = "
        UPDATE users SET
            hashed_password = $2,
            password_version = password_version + 1,
            email_confirmed_at = CASE
                WHEN EXISTS (SELECT 1 FROM reset_tokens AS t WHERE t.digest = $3 AND t.mailed = 1)
                    THEN coalesce(email_confirmed_at, $6)
                ELSE email_confirmed_at END
        WHERE id = $1 AND EXISTS (
            SELECT 1 FROM reset_tokens AS t
            WHERE t.user_id = users.id AND t.digest = $3
              AND t.created_at > $4 AND t.created_at <= $5
              AND t.password_version = users.password_version)";
}

/// A user to be added.
#[derive(Clone, Copy, Debug)]
pub struct NewUser<'a> {
    /// The address.
    pub email: &'a Email,
    /// The hash.
    pub hashed_password: &'a HashedPassword,
    /// When the user is added.
    pub now: UnixTime,
    /// Whether it was established that the address is the user's.
    pub is_confirmed: bool,
}

/// A new password, set by a reset token.
#[derive(Clone, Debug)]
pub struct PasswordChange {
    /// The new hash.
    pub hashed_password: HashedPassword,
    /// The token that allows it.
    pub reset_token: ResetTokenDigest,
    /// When the token must have been issued.
    pub issued: Period,
    /// The pause that begins with the mail about it, at the moment of the change.
    pub mail_pause: MailPause,
    /// In which language the user is to be told by mail; `None` for not at all. The change and the mail are
    /// recorded together or not at all.
    pub told_by_mail: Option<Language>,
    /// The source of the change, which is then the only familiar source of the user.
    pub proof: Option<Proof>,
}

/// The table of users.
#[derive(Clone)]
pub struct Users {
    connections: Connections,
}

impl Users {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Adds a user, to whom the source of the proof is familiar; `None` if the address is taken, or an
    /// account can be taken back to it that has given it up within this period.
    pub async fn add(
        &self,
        new: &NewUser<'_>,
        given_up: Period,
        proof: Option<Proof>,
    ) -> Result<Option<User>> {
        self.connections
            .write(Touched::None, async |connection| {
                add(connection, new, given_up, proof).await
            })
            .await
    }

    /// Finds the user with this address; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user.
    pub async fn find_by_email(&self, email: &Email) -> Result<Option<User>> {
        let find = sqlx::query(FIND_BY_EMAIL).bind(email.as_str());
        let row = self.connections.fetch_optional(find).await?;
        Ok(row.as_ref().map(user_in).transpose()?)
    }

    /// Counts users in the order of their numbers: at most so many who come after this one. Returns
    /// how many there are, and the last one; the same again if there are none.
    pub async fn count_after(&self, user: UserId, most: u32) -> Result<(u64, UserId)> {
        let count = sqlx::query(COUNT_AFTER).bind(user.0).bind(i64::from(most));
        let Some(row) = self.connections.fetch_optional(count).await? else {
            return Ok((0, user));
        };
        let count: i64 = row.try_get("users")?;
        let count = u64::try_from(count).unwrap_or_default();
        Ok((count, UserId(row.try_get("last")?)))
    }

    /// Stores another hash of the same password, if the user's hash is still the one that was read.
    pub async fn replace_hash(&self, user: &User, hashed_password: &HashedPassword) -> Result<()> {
        let replace = sqlx::query(REPLACE_HASH)
            .bind(user.id.0)
            .bind(user.hashed_password.as_str())
            .bind(hashed_password.as_str());
        self.connections.execute(Touched::None, replace).await?;
        Ok(())
    }

    /// Sets a new password if the reset token is the user's and valid, which it is no more by this.
    /// Voids every session, every reset token, every familiar source and the change of the address that the
    /// user has asked for. False if the token is not valid, and then nothing was changed.
    ///
    /// # Errors
    ///
    /// Also if the user is gone.
    pub async fn set_password(&self, user: &User, change: &PasswordChange) -> Result<bool> {
        let touched = Touched::SessionsOf(user.id);
        self.connections
            .write(touched, async |connection| {
                set_password(connection, user, change).await
            })
            .await
    }
}

/// Adds a user and the source in one transaction; `None` if the address is taken.
async fn add(
    connection: &mut AnyConnection,
    new: &NewUser<'_>,
    given_up: Period,
    proof: Option<Proof>,
) -> sqlx::Result<Option<User>> {
    let mut transaction = connection.begin().await?;
    let Some(user) = insert(&mut transaction, new, given_up).await? else {
        transaction.rollback().await?;
        return Ok(None);
    };
    if let Some(proof) = proof {
        let (id, version) = (user.id, user.password_version);
        rate_limits::add_familiar_source(&mut transaction, id, version, proof).await?;
    }
    transaction.commit().await?;
    Ok(Some(user))
}

/// Adds a user; `None` if the address is taken, and then the transaction must not be committed.
async fn insert(
    connection: &mut AnyConnection,
    new: &NewUser<'_>,
    given_up: Period,
) -> sqlx::Result<Option<User>> {
    let NewUser { email, now, .. } = new;
    let add = sqlx::query(ADD)
        .bind(email.as_str())
        .bind(new.hashed_password.as_str())
        .bind(now.0)
        .bind(new.is_confirmed.then_some(now.0));
    let is_added = add.execute(&mut *connection).await?.rows_affected() > 0;
    // Looked at after the user was added: see `past_addresses`.
    if !is_added || past_addresses::is_of_other(connection, email, None, given_up).await? {
        return Ok(None);
    }
    let find = sqlx::query(FIND_BY_EMAIL).bind(email.as_str());
    Ok(Some(user_in(&find.fetch_one(connection).await?)?))
}

/// Sets a password in one transaction with all that goes with it; false if the token is not valid.
async fn set_password(
    connection: &mut AnyConnection,
    user: &User,
    change: &PasswordChange,
) -> sqlx::Result<bool> {
    let mut transaction = connection.begin().await?;
    let set = sqlx::query(SET_PASSWORD)
        .bind(user.id.0)
        .bind(change.hashed_password.as_str())
        .bind(change.reset_token.as_bytes())
        .bind(change.issued.after.0)
        .bind(change.issued.until.0)
        .bind(change.mail_pause.now.0);
    if set.execute(&mut *transaction).await?.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    // Before the tokens: the worker that sends mails locks the rows in this order too.
    if let Some(language) = change.told_by_mail {
        notices::add_password_changed(&mut transaction, &user.email, language, change.mail_pause)
            .await?;
    }
    let version = user.password_version + 1;
    let proof = change.proof.map(|proof| (version, proof));
    delete_void(&mut transaction, user.id, proof).await?;
    transaction.commit().await?;
    Ok(true)
}

/// Deletes what a new version of the password voids of a user: reset tokens, the change of the address that
/// they have asked for, and familiar sources. That of a proof, of the new version, is then the only one.
///
/// Sessions are void too, and stay until they expire or are logged out of.
async fn delete_void(
    connection: &mut AnyConnection,
    user: UserId,
    proof: Option<(i64, Proof)>,
) -> sqlx::Result<()> {
    reset_tokens::delete_of_user(connection, user).await?;
    pending_addresses::delete_of_user(connection, user).await?;
    rate_limits::delete_familiar_sources(connection, user).await?;
    if let Some((version, proof)) = proof {
        rate_limits::add_familiar_source(connection, user, version, proof).await?;
    }
    Ok(())
}
