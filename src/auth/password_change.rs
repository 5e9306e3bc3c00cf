//! Choosing another password by the old one.

use super::Auth;
use super::audit::Event;
use super::error::{Error, Result};
use super::outbox::mail_pause;
use super::writes::uninterrupted;
use crate::client::ClientName;
use crate::db::OwnPasswordChange;
use crate::email::Email;
use crate::language::Language;
use crate::password::{Asker, Password};
use crate::source::Source;
use crate::token::SessionId;

/// What changing a password takes.
#[derive(Debug)]
pub struct ChangePassword<'a> {
    /// The session of the user.
    pub session_id: &'a SessionId,
    /// The password until now.
    pub password: &'a Password,
    /// The one from now on.
    pub new_password: &'a Password,
    /// The language in which the user is told by mail.
    pub language: Language,
    /// What asks.
    pub client: Option<ClientName>,
}

impl Auth {
    /// Sets a new password for the user of a session who proves the old one, and begins another session in
    /// place of this one (OWASP ASVS 6.2.3, 7.2.4). Ends every other session and every reset token. From
    /// here, and from nowhere else, they can log in even while others flood the account.
    ///
    /// Proving the password counts like a login, so a session alone, such as one that was stolen, guesses no
    /// faster than a stranger.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`]; [`Error::WrongPassword`] or [`Error::WeakPassword`], with nothing changed;
    /// [`Error::Throttled`].
    pub async fn change_password(
        &self,
        change: ChangePassword<'_>,
        source: Source,
    ) -> Result<(Email, SessionId)> {
        let session_user = self.get_user_from_session_id(change.session_id).await?;
        let email = session_user.email;
        self.check_new_password(change.new_password, &email)?;
        let proved = self.valid_login(Some(&email), change.password, source);
        let user = proved.await.map_err(|error| match error {
            Error::BadCredentials => Error::WrongPassword,
            // What locks a user ends their sessions.
            Error::Locked => Error::NoSession,
            error => error,
        })?;
        if user.id != session_user.id {
            return Err(Error::NoSession);
        }
        let asker = Asker::familiar(source);
        let hashed_password = self.passwords.hash(change.new_password, asker).await?;
        let session_id = SessionId::new(&*self.tokens);
        let mut session = self.new_session(&user, &session_id, change.client, source);
        session.password_version += 1;
        let change = OwnPasswordChange {
            acting: self.acting_session(change.session_id.digest(), user.id),
            hashed_password,
            told_by_mail: self.sends_mails().then_some(change.language),
            mail_pause: mail_pause(session.now),
            session,
            proof: self.rate_limiter.proof(&email, source),
            user,
        };
        let auth = self.clone();
        uninterrupted(async move {
            if !auth.db.users.change_password(&change).await? {
                return Err(Error::NoSession);
            }
            let user = Some(change.user.id);
            auth.audit.log(Event::PasswordChanged, source, user);
            auth.wake_mail_worker();
            Ok((email, session_id))
        })
        .await
    }
}
