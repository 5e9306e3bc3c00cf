//! What an administrator changes of users.
//!
//! Each transaction begins with a write, so that SQLite waits for the lock rather than refuse it.

use sqlx::{AnyConnection, Connection};

use super::{NewUser, Users, delete_void, insert};
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::outbox::{self, MailPause};
use crate::db::sessions::cache::Touched;
use crate::db::statement::statements;
use crate::db::validity::Period;
use crate::db::{reset_tokens, sign_ups};
use crate::email::Email;
use crate::token::ResetTokenDigest;
use crate::user::{HashedPassword, UserId};

statements! {
    /// `$1` user, `$2` now. Not if locked.
    ///
    /// The version that it sets voids all sessions and reset tokens. A login that has read the user
    /// before this statement begins a session of the version before, so void; one that reads the user
    /// after it reads the lock with the version. No login can come in between.
    LOCK = "
        UPDATE users SET locked_at = $2, password_version = password_version + 1
        WHERE id = $1 AND locked_at IS NULL";

    /// `$1` user. Not if not locked.
    UNLOCK = "
        UPDATE users SET locked_at = NULL WHERE id = $1 AND locked_at IS NOT NULL";

    /// `$1` user, `$2` now. Not if confirmed.
    CONFIRM_EMAIL = "
        UPDATE users SET email_confirmed_at = $2 WHERE id = $1 AND email_confirmed_at IS NULL";

    /// `$1` user, `$2` hash.
    REPLACE_PASSWORD = "
        UPDATE users SET hashed_password = $2, password_version = password_version + 1
        WHERE id = $1";

    /// `$1` user. The rows that refer to it go with it.
    DELETE = "
        DELETE FROM users WHERE id = $1";
}

impl Users {
    /// Adds a user who has no password yet, with a reset token, which is not mailed, to choose one by;
    /// `None` if the address is taken, or an account can be taken back to it that has given it up within this
    /// period.
    pub async fn add_without_password(
        &self,
        email: &Email,
        reset_token: ResetTokenDigest,
        now: UnixTime,
        given_up: Period,
    ) -> Result<Option<UserId>> {
        let add = async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin().await?;
            let new = NewUser {
                email,
                hashed_password: &HashedPassword::none(),
                now,
                is_confirmed: false,
            };
            let Some(user) = insert(&mut transaction, &new, given_up).await? else {
                transaction.rollback().await?;
                return Ok(None);
            };
            let version = user.password_version;
            reset_tokens::set(&mut transaction, user.id, version, reset_token, now, false).await?;
            transaction.commit().await?;
            Ok(Some(user.id))
        };
        self.connections.write(Touched::None, add).await
    }

    /// Keeps a user from logging in, and ends all their sessions and reset tokens. False, with nothing
    /// changed, if the user is locked already, or gone.
    pub async fn lock(&self, user: UserId, now: UnixTime) -> Result<bool> {
        let lock = sqlx::query(LOCK).bind(user.0).bind(now.0);
        let touched = Touched::SessionsOf(user);
        Ok(self.connections.execute(touched, lock).await? > 0)
    }

    /// Lets a user log in again. False, with nothing changed, if the user is not locked, or gone.
    pub async fn unlock(&self, user: UserId) -> Result<bool> {
        let unlock = sqlx::query(UNLOCK).bind(user.0);
        Ok(self.connections.execute(Touched::None, unlock).await? > 0)
    }

    /// Notes that the address is the user's. False, with nothing changed, if that was noted before, or
    /// the user is gone.
    pub async fn confirm_email(&self, user: UserId, now: UnixTime) -> Result<bool> {
        let confirm = sqlx::query(CONFIRM_EMAIL).bind(user.0).bind(now.0);
        Ok(self.connections.execute(Touched::None, confirm).await? > 0)
    }

    /// Sets a new password, and voids every session, every reset token and every familiar source of the
    /// user. False if the user is gone.
    pub async fn replace_password(
        &self,
        user: UserId,
        hashed_password: &HashedPassword,
    ) -> Result<bool> {
        let replace = async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin().await?;
            let is_replaced = replace_password(&mut transaction, user, hashed_password).await?;
            transaction.commit().await?;
            Ok(is_replaced)
        };
        let touched = Touched::SessionsOf(user);
        self.connections.write(touched, replace).await
    }

    /// Deletes a user with all that is theirs, and the mails to their address and its sign-up token. The pauses
    /// after those mails go on. False if the user is gone.
    pub async fn delete(&self, user: UserId, mail_pause: MailPause) -> Result<bool> {
        let delete = async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin().await?;
            // First: the worker that sends mails locks the rows in this order too.
            outbox::delete_of_user(&mut transaction, user, mail_pause).await?;
            sign_ups::delete_of_user(&mut transaction, user).await?;
            let delete = sqlx::query(DELETE).bind(user.0);
            let rows = delete.execute(&mut *transaction).await?.rows_affected();
            transaction.commit().await?;
            Ok(rows > 0)
        };
        let touched = Touched::SessionsOf(user);
        self.connections.write(touched, delete).await
    }
}

/// Sets a new password in a transaction, and voids what goes with it. False, with nothing changed, if the
/// user is gone.
pub(super) async fn replace_password(
    connection: &mut AnyConnection,
    user: UserId,
    hashed_password: &HashedPassword,
) -> sqlx::Result<bool> {
    let replace = sqlx::query(REPLACE_PASSWORD)
        .bind(user.0)
        .bind(hashed_password.as_str());
    if replace.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    delete_void(connection, user, None).await?;
    Ok(true)
}
