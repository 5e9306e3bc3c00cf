//! Taking an account back to an address that it had, for who reads the mail of that: the way in that a thief
//! of an account cannot close by giving it another address.
//!
//! Of several changes in a row each can be undone, whatever came after it: the token of an address undoes all
//! later changes, whose tokens end with that. So does a change to it in a session of the account: else the
//! address that a thief brings the account back from could take it for good. Until a change can be undone no
//! longer, no other account can have the old address, and the account cannot be deleted by a session of it.
//!
//! The token goes to the old address once, when the change is made. A request for a reset brings no other one,
//! so that who comes to read that mailbox later gains nothing by it, and nobody can void the one there is.

use super::Auth;
use super::address_lifetimes::undo_period;
use super::audit::Event;
use super::error::{Error, Result};
use super::writes::{briefly, uninterrupted};
use crate::db::{AddressUndo, Found, PastAddress, Period};
use crate::email::Email;
use crate::language::Language;
use crate::password::{Asker, Password};
use crate::source::Source;
use crate::token::{UndoToken, UndoTokenDigest};

impl Auth {
    /// Checks that a token can take an account back to this address. Uses nothing up.
    ///
    /// # Errors
    ///
    /// [`Error::BadUndoToken`].
    pub async fn check_undo_token(&self, email: &Email, token: &UndoToken) -> Result<()> {
        let given_up = undo_period(self.clock.now());
        self.find_past_address(email, token.digest(), given_up)
            .await?;
        Ok(())
    }

    /// Takes an account back to this address, with a new password. Ends every session, every reset token and
    /// every later change of the address, made or asked for. From here they can log in even while others flood
    /// the account. A user who is locked stays so.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::BadUndoToken`], with nothing changed and the token not used up.
    pub async fn undo_address_change(
        &self,
        email: &Email,
        token: &UndoToken,
        new_password: &Password,
        language: Language,
        source: Source,
    ) -> Result<()> {
        self.check_new_password(new_password, email)?;
        let token = token.digest();
        let given_up = undo_period(self.clock.now());
        // Looked at first only to spare a hash for a token that is no good; what decides is its deletion,
        // since another request may hold the same token.
        let past = self.find_past_address(email, token, given_up).await?;
        // The token proves whose account it is.
        let asker = Asker::familiar(source);
        let hashed_password = self.passwords.hash(new_password, asker).await?;
        let undo = AddressUndo {
            past,
            token,
            given_up,
            hashed_password,
            now: self.clock.now(),
            told_by_mail: self.sends_mails().then_some(language),
            proof: self.rate_limiter.proof(email, source),
        };
        let auth = self.clone();
        uninterrupted(async move {
            if !auth.db.users.undo_address_change(&undo).await? {
                return Err(Error::BadUndoToken);
            }
            let user = Some(undo.past.user);
            auth.audit.log(Event::AddressChangeUndone, source, user);
            auth.wake_mail_worker();
            Ok(())
        })
        .await
    }

    /// Finds what a valid token of this address is for. An expired one is deleted, so that it stays refused
    /// if the clock is turned back.
    async fn find_past_address(
        &self,
        email: &Email,
        token: UndoTokenDigest,
        given_up: Period,
    ) -> Result<PastAddress> {
        match self.db.past_addresses.find(token, given_up).await? {
            Found::Valid(past) if past.email == *email => Ok(past),
            Found::Expired => {
                let db = self.db.clone();
                let delete = async move { db.past_addresses.delete_expired(token, given_up).await };
                briefly("delete an expired past address", uninterrupted(delete)).await;
                Err(Error::BadUndoToken)
            }
            Found::Valid(_) | Found::Void(_) | Found::Invalid => Err(Error::BadUndoToken),
        }
    }
}
