//! What a user learns of their account by a session, and deleting it.

use super::Auth;
use super::address_lifetimes::undo_period;
use super::audit::Event;
use super::error::{Error, Result};
use super::outbox::mail_pause;
use super::writes::uninterrupted;
use crate::db::{OwnDeletion, OwnDeletionOutcome};
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

    /// The user of this session, which must be fresh, if they can delete themselves now.
    ///
    /// # Errors
    ///
    /// Those of [`delete_user`](Self::delete_user).
    pub async fn get_deletable_user(&self, session_id: &SessionId) -> Result<SessionUser> {
        let user = self.get_fresh_user(session_id).await?;
        let given_up = undo_period(self.clock.now());
        if self.db.past_addresses.has_any(user.id, given_up).await? {
            return Err(Error::AddressChangedLately);
        }
        Ok(user)
    }

    /// Deletes the user of this session, which must be fresh, with all that is theirs, at once: their
    /// sessions, reset tokens, groups and mails. Nobody is given the number again; the address is free.
    /// Returns it. Where mails are sent, one in this language tells the owner.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotFresh`]; [`Error::AddressChangedLately`], so that who has taken the
    /// account and given it another address cannot delete it before it is taken back.
    pub async fn delete_user(
        &self,
        session_id: &SessionId,
        language: Language,
        source: Source,
    ) -> Result<Email> {
        let user = self.get_fresh_user(session_id).await?;
        let acting = self.fresh_acting_session(session_id.digest(), user.id);
        let now = self.clock.now();
        let deletion = OwnDeletion {
            acting,
            email: user.email,
            mail_pause: mail_pause(now),
            given_up: undo_period(now),
            told_by_mail: self.sends_mails().then_some(language),
        };
        let auth = self.clone();
        uninterrupted(async move {
            match auth.db.users.delete_by(&deletion).await? {
                OwnDeletionOutcome::Done => {}
                OwnDeletionOutcome::NoSession => return Err(Error::NoSession),
                OwnDeletionOutcome::AddressChangedLately => {
                    return Err(Error::AddressChangedLately);
                }
            }
            auth.audit.log(Event::UserDeleted, source, Some(user.id));
            auth.wake_mail_worker();
            Ok(deletion.email)
        })
        .await
    }
}
