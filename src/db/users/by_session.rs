//! What users change of themselves, each by a session of theirs that must be valid when it is done.

use sqlx::{AnyConnection, Connection};

use super::{Users, delete_void};
use crate::db::error::Result;
use crate::db::outbox::{MailPause, notices};
use crate::db::rate_limits::Proof;
use crate::db::sessions::acting::{ActingSession, is_session_valid};
use crate::db::sessions::cache::Touched;
use crate::db::sessions::insert::NewSession;
use crate::db::statement::statements;
use crate::db::validity::Period;
use crate::db::{outbox, past_addresses, sessions, sign_ups};
use crate::email::Email;
use crate::language::Language;
use crate::user::{HashedPassword, User};

statements! {
    /// `$5` hash, `$6` the version of the password that was proved, for the user `$2` by the session `$1`.
    CHANGE_PASSWORD = concat!("
        UPDATE users SET hashed_password = $5, password_version = password_version + 1
        WHERE id = $2 AND password_version = $6 AND ", is_session_valid!());

    /// The user `$2` by the session `$1`. The rows that refer to it go with it.
    DELETE = concat!("
        DELETE FROM users WHERE id = $2 AND ", is_session_valid!());
}

/// A new password, chosen by who has proved the old one.
#[derive(Clone, Debug)]
pub struct OwnPasswordChange {
    /// The session that asks for it.
    pub acting: ActingSession,
    /// The user as they were when the old password was proved.
    pub user: User,
    /// The new hash.
    pub hashed_password: HashedPassword,
    /// The session that takes the place of the one that asks. It is of the version that the change sets.
    pub session: NewSession,
    /// In which language the user is to be told by mail, if so. The change and the mail are recorded
    /// together or not at all.
    pub told_by_mail: Option<Language>,
    /// The pause that begins with that mail.
    pub mail_pause: MailPause,
    /// The source of the change, which is then the only familiar source of the user.
    pub proof: Option<Proof>,
}

/// The deletion of an account by its user.
#[derive(Clone, Debug)]
pub struct OwnDeletion {
    /// The session that asks for it.
    pub acting: ActingSession,
    /// The address of the account.
    pub email: Email,
    /// The pause that begins with the mail about it, at the moment of the deletion.
    pub mail_pause: MailPause,
    /// In which language the user is to be told by mail; `None` for not at all. The deletion and the mail are
    /// recorded together or not at all.
    pub told_by_mail: Option<Language>,
    /// When the user must have given an address up to be kept from deleting themselves.
    pub given_up: Period,
}

/// What came of the deletion of a user by a session of theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnDeletionOutcome {
    /// The user is deleted.
    Done,
    /// The session is not valid.
    NoSession,
    /// The account can still be taken back to an address that it had.
    AddressChangedLately,
}

impl Users {
    /// Sets a new password, and begins a session in place of the one that asks for it. Voids every other
    /// session, every reset token and every familiar source of the user. False, with nothing changed, if
    /// the session is not valid, or the password was changed since it was proved.
    pub async fn change_password(&self, change: &OwnPasswordChange) -> Result<bool> {
        let touched = Touched::SessionsOf(change.user.id);
        let work = async |connection: &mut AnyConnection| change_password(connection, change).await;
        self.connections.write(touched, work).await
    }

    /// Deletes the user of this session with all that is theirs, and the mails to their address and its
    /// sign-up token, unless they have given an address up lately. The pauses after those mails go on. Changes
    /// nothing unless it succeeds.
    pub async fn delete_by(&self, deletion: &OwnDeletion) -> Result<OwnDeletionOutcome> {
        let touched = Touched::SessionsOf(deletion.acting.user);
        let work = async |connection: &mut AnyConnection| delete(connection, deletion).await;
        self.connections.write(touched, work).await
    }
}

/// Deletes a user in one transaction with all that is theirs.
async fn delete(
    connection: &mut AnyConnection,
    deletion: &OwnDeletion,
) -> sqlx::Result<OwnDeletionOutcome> {
    let OwnDeletion {
        acting,
        email,
        given_up,
        mail_pause,
        ..
    } = deletion;
    let mut transaction = connection.begin().await?;
    // First: the worker that sends mails locks the rows in this order too.
    outbox::delete_of_user(&mut transaction, acting.user, *mail_pause).await?;
    sign_ups::delete_of_user(&mut transaction, acting.user).await?;
    if let Some(language) = deletion.told_by_mail {
        notices::add_account_deleted(&mut transaction, email, language, *mail_pause).await?;
    }
    let outcome = if !acting.hold(&mut transaction).await? {
        OwnDeletionOutcome::NoSession
    } else if past_addresses::has_any(&mut transaction, acting.user, *given_up).await? {
        OwnDeletionOutcome::AddressChangedLately
    } else {
        let delete = acting.bound(DELETE).execute(&mut *transaction).await?;
        if delete.rows_affected() > 0 {
            transaction.commit().await?;
            return Ok(OwnDeletionOutcome::Done);
        }
        OwnDeletionOutcome::NoSession
    };
    transaction.rollback().await?;
    Ok(outcome)
}

/// Changes a password in one transaction with all that goes with it; false if the session is not valid.
async fn change_password(
    connection: &mut AnyConnection,
    change: &OwnPasswordChange,
) -> sqlx::Result<bool> {
    let mut transaction = connection.begin().await?;
    if !set_password(&mut transaction, change).await? {
        transaction.rollback().await?;
        return Ok(false);
    }
    transaction.commit().await?;
    Ok(true)
}

async fn set_password(
    connection: &mut AnyConnection,
    change: &OwnPasswordChange,
) -> sqlx::Result<bool> {
    let OwnPasswordChange { acting, user, .. } = change;
    if !acting.hold(connection).await? {
        return Ok(false);
    }
    let set = acting
        .bound(CHANGE_PASSWORD)
        .bind(change.hashed_password.as_str())
        .bind(user.password_version);
    if set.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    // Before the tokens: the worker that sends mails locks the rows in this order too.
    if let Some(language) = change.told_by_mail {
        notices::add_password_changed(connection, &user.email, language, change.mail_pause).await?;
    }
    let version = change.session.password_version;
    let proof = change.proof.map(|proof| (version, proof));
    delete_void(connection, user.id, proof).await?;
    sessions::delete(connection, acting.digest).await?;
    change.session.add(connection).await?;
    Ok(true)
}
