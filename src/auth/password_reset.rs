//! Resetting a forgotten password.

use super::Auth;
use super::audit::Event;
use super::error::{Error, Result};
use super::outbox::mail_pause;
use super::writes::{briefly, uninterrupted};
use crate::db::{Found, MailKind, PasswordChange, Period};
use crate::email::Email;
use crate::language::Language;
use crate::password::{Asker, Password};
use crate::source::Source;
use crate::token::{ResetToken, ResetTokenDigest};
use crate::user::User;

/// The answer to a request for a password reset.
#[derive(Debug)]
pub enum Reset {
    /// The token itself.
    Token(ResetToken),
    /// A mail to the address, if a user has it; who asks does not learn whether.
    ByMail,
}

impl Auth {
    /// Lets the owner of this address choose a new password: with mail set up, by mail; else by the token
    /// that is returned. A mail is in this language. The address is `None` if what was given is not one, and
    /// so is no user's.
    ///
    /// # Errors
    ///
    /// [`Throttled`](Error::Throttled), also when too many mails wait, whatever the address; and
    /// [`UnknownEmail`](Error::UnknownEmail) or [`Locked`](Error::Locked), but neither where mail is set
    /// up: there a locked user gets no mail, and who asks does not learn it.
    pub async fn ask_for_reset(
        &self,
        email: Option<&Email>,
        language: Language,
        source: Source,
    ) -> Result<Reset> {
        let allowed = self.rate_limiter.ask_reset(email, source).await;
        allowed.map_err(|error| self.audit.refusal(error, source))?;
        let Some(mails) = &self.mails else {
            let token = self.get_reset_password_token(email, source).await?;
            return Ok(Reset::Token(token));
        };
        let kind = MailKind::ResetLink;
        self.ask_for_mail(mails, kind, email, language, source)
            .await?;
        self.audit.log(Event::ResetAsked, source, None);
        Ok(Reset::ByMail)
    }

    /// Makes a token that lets its holder set the password of this user, once. Any earlier one is
    /// void.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEmail`], [`Error::Locked`].
    async fn get_reset_password_token(
        &self,
        email: Option<&Email>,
        source: Source,
    ) -> Result<ResetToken> {
        let user = self.find_user(email).await?;
        let id = user.as_ref().map(|user| user.id);
        self.audit.log(Event::ResetAsked, source, id);
        let user = user.ok_or(Error::UnknownEmail)?;
        if user.is_locked {
            return Err(Error::Locked);
        }
        let token = ResetToken::new(&*self.tokens);
        let now = self.clock.now();
        if self.db.reset_tokens.set(&user, token.digest(), now).await? {
            Ok(token)
        } else {
            Err(Error::UnknownEmail)
        }
    }

    /// Sets a new password, and ends every session and every reset token of the user. A token that was mailed
    /// also establishes that the address is the user's. From here, and from nowhere else, they can log in
    /// even while others flood the account.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::BadResetToken`], with nothing changed and the token not used
    /// up.
    pub async fn update_password(
        &self,
        email: &Email,
        token: &ResetToken,
        new_password: &Password,
        language: Language,
        source: Source,
    ) -> Result<()> {
        self.check_new_password(new_password, email)?;
        let digest = token.digest();
        let issued = Period::of_valid(self.clock.now(), self.lifetimes.reset_token);
        // Looked at first only to spare a hash for a token that is no good; what decides is the
        // update, since another request may hold the same token.
        let user = self.find_reset_token(digest, issued).await?;
        if user.email != *email {
            return Err(Error::BadResetToken);
        }
        // The token proves whose account it is.
        let asker = Asker::familiar(source);
        let hashed_password = self.passwords.hash(new_password, asker).await?;
        let change = PasswordChange {
            hashed_password,
            reset_token: digest,
            issued,
            mail_pause: mail_pause(self.clock.now()),
            told_by_mail: self.sends_mails().then_some(language),
            proof: self.rate_limiter.proof(email, source),
        };
        let auth = self.clone();
        uninterrupted(async move {
            if !auth.db.users.set_password(&user, &change).await? {
                return Err(Error::BadResetToken);
            }
            auth.audit.log(Event::ResetDone, source, Some(user.id));
            auth.wake_mail_worker();
            Ok(())
        })
        .await
    }

    /// Checks that a reset token can be used for this address. Uses nothing up.
    ///
    /// # Errors
    ///
    /// [`Error::BadResetToken`].
    pub async fn check_reset_token(&self, email: &Email, token: &ResetToken) -> Result<()> {
        let issued = Period::of_valid(self.clock.now(), self.lifetimes.reset_token);
        let user = self.find_reset_token(token.digest(), issued).await?;
        if user.email == *email {
            Ok(())
        } else {
            Err(Error::BadResetToken)
        }
    }

    /// Finds the user of a valid reset token. An expired one is deleted, so that it stays refused if
    /// the clock is turned back.
    async fn find_reset_token(&self, digest: ResetTokenDigest, issued: Period) -> Result<User> {
        match self.db.reset_tokens.find_user(digest, issued).await? {
            Found::Valid(user) => Ok(user),
            Found::Expired => {
                let db = self.db.clone();
                let delete = async move { db.reset_tokens.delete_expired(digest, issued).await };
                briefly("delete an expired reset token", uninterrupted(delete)).await;
                Err(Error::BadResetToken)
            }
            Found::Void(_) | Found::Invalid => Err(Error::BadResetToken),
        }
    }
}
