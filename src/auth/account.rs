//! What a user learns of their account by a session, and deleting it.

use super::Auth;
use super::audit::Event;
use super::error::{Error, Result};
use super::writes::uninterrupted;
use crate::db::OwnDeletion;
use crate::email::Email;
use crate::language::Language;
use crate::source::Source;
use crate::token::SessionId;
use crate::user::{Account, SessionUser, UserKey};

impl Auth {
    /// The account of the user of a session, and the session.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub async fn get_account(&self, session_id: &SessionId) -> Result<(Account, SessionUser)> {
        let user = self.get_user_from_session_id(session_id).await?;
        let key = UserKey::Number(user.id);
        let account = self.db.users.find_account(&key).await?;
        Ok((account.ok_or(Error::NoSession)?, user))
    }

    /// Deletes the user of this session, which must be fresh, with all that is theirs, at once: their
    /// sessions, reset tokens, groups and mails. Nobody is given the number again; the address is free.
    /// Returns it. Where mails are sent, one in this language tells the owner.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotFresh`].
    pub async fn delete_user(
        &self,
        session_id: &SessionId,
        language: Language,
        source: Source,
    ) -> Result<Email> {
        let user = self.get_fresh_user(session_id).await?;
        let acting = self.acting(session_id.digest(), user.id);
        let deletion = OwnDeletion {
            acting,
            email: user.email,
            now: self.clock.now(),
            told_by_mail: self.tells_owners().then_some(language),
        };
        let auth = self.clone();
        uninterrupted(async move {
            if !auth.db.users.delete_by(&deletion).await? {
                return Err(Error::NoSession);
            }
            auth.audit.log(Event::UserDeleted, source, Some(user.id));
            auth.wake_mail_worker();
            Ok(deletion.email)
        })
        .await
    }
}
