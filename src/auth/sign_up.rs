//! Signing up by a token that goes to the address. Before it is used there is no user: no password, session or
//! reset token of an attacker can wait for the owner of the address. The answer to a request does not depend on
//! whether the address has an account.

use std::time::Duration;

use super::Auth;
use super::address_lifetimes::undo_period;
use super::audit::Event;
use super::error::{Error, Result};
use super::writes::{briefly, uninterrupted};
use crate::client::ClientName;
use crate::db::{Found, MailKind, Period, SignUp, SignUpOutcome, SignedUp};
use crate::email::Email;
use crate::language::Language;
use crate::password::Password;
use crate::source::Source;
use crate::token::{SessionId, SignUpToken, SignUpTokenDigest};
use crate::user::User;

/// A sign-up token can be used for this long: a mail may be read the next morning. NIST SP 800-63B, 4.2.2.2,
/// lets codes that are mailed live as long.
pub const SIGN_UP_TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// How people sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignUpMode {
    /// By a token that goes to the address by mail; where no mail is set up, by one in the answer.
    Verified,
    /// At once.
    Unverified,
    /// Not at all: users are added by who runs the service.
    Closed,
}

/// The answer to a request to sign up.
#[derive(Debug)]
pub enum SignUpAsked {
    /// The token itself.
    Token(SignUpToken),
    /// A mail to the address. Who asks does not learn whether the address has an account.
    ByMail,
}

impl Auth {
    /// How people sign up.
    pub fn sign_up_mode(&self) -> SignUpMode {
        self.sign_up_mode
    }

    /// Checks that people can sign up.
    ///
    /// # Errors
    ///
    /// [`Error::SignUpClosed`].
    pub fn ensure_sign_up_is_open(&self) -> Result<()> {
        match self.sign_up_mode {
            SignUpMode::Verified | SignUpMode::Unverified => Ok(()),
            SignUpMode::Closed => Err(Error::SignUpClosed),
        }
    }

    /// Lets who reads the mail of this address sign up with it: with mail set up, by a mail in this language;
    /// else by the token that is returned. A password that came with it is measured, so that who chose one
    /// learns what is wrong with it, and otherwise ignored: it is chosen when the token is used.
    ///
    /// With mail, the same is done whether or not the address has an account.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::Throttled`], [`Error::SignUpClosed`]; and
    /// [`Error::EmailTaken`], but not where mail is set up.
    pub async fn ask_for_sign_up(
        &self,
        email: &Email,
        password: Option<&Password>,
        language: Language,
        source: Source,
    ) -> Result<SignUpAsked> {
        self.ensure_sign_up_is_open()?;
        if let Some(password) = password {
            self.check_new_password(password, email)?;
        }
        let allowed = self.rate_limiter.ask_sign_up(email, source).await;
        allowed.map_err(|error| self.audit.refusal(error, source))?;
        let asked = if let Some(mails) = &self.mails {
            let kind = MailKind::SignUp;
            self.ask_for_mail(mails, kind, Some(email), language, source)
                .await?;
            SignUpAsked::ByMail
        } else {
            if self.is_taken(email).await? {
                return Err(Error::EmailTaken);
            }
            let token = SignUpToken::new(&*self.tokens);
            let now = self.clock.now();
            self.db.sign_ups.set(email, token.digest(), now).await?;
            SignUpAsked::Token(token)
        };
        self.audit.log(Event::SignUpAsked, source, None);
        Ok(asked)
    }

    /// Checks that a token can be used to sign up with this address. Uses nothing up.
    ///
    /// # Errors
    ///
    /// [`Error::BadSignUpToken`], [`Error::EmailTaken`], [`Error::SignUpClosed`].
    pub async fn check_sign_up_token(&self, email: &Email, token: &SignUpToken) -> Result<()> {
        self.ensure_sign_up_is_open()?;
        let issued = Period::of_valid(self.clock.now(), SIGN_UP_TOKEN_LIFETIME);
        self.find_sign_up(email, token.digest(), issued).await?;
        Ok(())
    }

    /// Adds a user by a token, with this password.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::BadSignUpToken`], [`Error::EmailTaken`], [`Error::SignUpClosed`],
    /// with nothing changed and the token not used up.
    pub async fn finish_sign_up(
        &self,
        email: &Email,
        token: &SignUpToken,
        password: &Password,
        source: Source,
    ) -> Result<()> {
        self.add_by_token(email, token, password, source).await?;
        Ok(())
    }

    /// The same, and begins the first session; `None` if the user was added and it could not begin.
    ///
    /// # Errors
    ///
    /// Those of [`finish_sign_up`](Self::finish_sign_up).
    pub async fn finish_sign_up_and_log_in(
        &self,
        email: &Email,
        token: &SignUpToken,
        password: &Password,
        replaced: Option<SessionId>,
        client: Option<ClientName>,
        source: Source,
    ) -> Result<Option<SessionId>> {
        let user = self.add_by_token(email, token, password, source).await?;
        Ok(self.first_session(&user, replaced, client, source).await)
    }

    async fn add_by_token(
        &self,
        email: &Email,
        token: &SignUpToken,
        password: &Password,
        source: Source,
    ) -> Result<User> {
        self.ensure_sign_up_is_open()?;
        self.check_new_password(password, email)?;
        let token = token.digest();
        let issued = Period::of_valid(self.clock.now(), SIGN_UP_TOKEN_LIFETIME);
        // Looked at first only to spare a hash for a token that is no good; what decides is its deletion,
        // since another request may hold the same token.
        let sign_up = self.find_sign_up(email, token, issued).await?;
        let hashed_password = self.passwords.hash(password, source).await?;
        let new = SignedUp {
            sign_up,
            token,
            issued,
            given_up: undo_period(self.clock.now()),
            hashed_password,
            now: self.clock.now(),
            proof: self.rate_limiter.proof(email, source),
        };
        let auth = self.clone();
        uninterrupted(async move {
            match auth.db.users.add_by_token(&new).await? {
                SignUpOutcome::Added(user) => {
                    auth.audit.log(Event::SignUp, source, Some(user.id));
                    Ok(user)
                }
                SignUpOutcome::BadToken => Err(Error::BadSignUpToken),
                SignUpOutcome::EmailTaken => Err(Error::EmailTaken),
            }
        })
        .await
    }

    /// Whether a user has this address, or an account can be taken back to it.
    async fn is_taken(&self, email: &Email) -> Result<bool> {
        let given_up = undo_period(self.clock.now());
        Ok(self.db.users.is_taken(email, given_up).await?)
    }

    /// Finds what a valid token of this address is for, which no user has: an administrator may have added
    /// one since. An expired token is deleted, so that it stays refused if the clock is turned back.
    async fn find_sign_up(
        &self,
        email: &Email,
        token: SignUpTokenDigest,
        issued: Period,
    ) -> Result<SignUp> {
        match self.db.sign_ups.find(token, issued).await? {
            Found::Valid(sign_up) if sign_up.email == *email => {
                if self.is_taken(email).await? {
                    Err(Error::EmailTaken)
                } else {
                    Ok(sign_up)
                }
            }
            Found::Expired => {
                let db = self.db.clone();
                let delete = async move { db.sign_ups.delete_expired(token, issued).await };
                briefly("delete an expired sign-up token", uninterrupted(delete)).await;
                Err(Error::BadSignUpToken)
            }
            Found::Valid(_) | Found::Void(_) | Found::Invalid => Err(Error::BadSignUpToken),
        }
    }
}
