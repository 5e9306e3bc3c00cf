//! Logging in.

use tracing::error;

use super::Auth;
use super::audit::Event;
use super::error::{Error, Result};
use super::outbox::mail_pause;
use super::rate_limit::Attempt;
use crate::client::ClientName;
use crate::db::LoginNotice;
use crate::email::Email;
use crate::language::Language;
use crate::password::{Asker, Password, Verdict};
use crate::source::Source;
use crate::token::SessionId;
use crate::user::User;

/// What it takes to log in.
pub struct LogIn<'a> {
    /// The address; `None` if what was given is not one, and so is no user's.
    pub email: Option<&'a Email>,
    /// The password.
    pub password: &'a Password,
    /// A session that ends when the new one begins, of whichever user.
    pub replaced: Option<SessionId>,
    /// What the session is begun with, which is kept with it; `None` if that does not say.
    pub client: Option<ClientName>,
    /// The language in which the user is told by mail of a login from a source that is not familiar.
    pub language: Language,
}

/// What the owner of an account is told of a login.
struct LoginDetails {
    client: Option<ClientName>,
    language: Language,
}

impl Auth {
    /// Begins a session of the user whose address and password these are. Their other sessions go on. If the
    /// source was not familiar to them, they are told by mail.
    ///
    /// Takes three commits, each shared with all logins that wait for it: the attempt is counted before
    /// the password is checked, so that many at once are not all let through; how it ended is noted,
    /// with the source that is familiar from now on and the mail about it; and the session is added. The
    /// second comes before the third, so that the owner's way in is kept even if no session can begin, and
    /// no session begins from where it would have been told of without a word.
    ///
    /// # Errors
    ///
    /// [`Error::BadCredentials`], after the same work for an unknown address as for a wrong
    /// password; [`Error::Locked`], which only the right password learns; [`Error::Throttled`], after
    /// no work.
    pub async fn log_in(&self, log_in: LogIn<'_>, source: Source) -> Result<(User, SessionId)> {
        let LogIn {
            email,
            password,
            replaced,
            client,
            language,
        } = log_in;
        let details = LoginDetails {
            client: client.clone(),
            language,
        };
        let user = self.prove(email, password, source, Some(details)).await?;
        let begun = self.create_session(&user, replaced, client, source);
        Ok((user.clone(), begun.await?))
    }

    /// Finds the user whose address and password these are. A hash of a lower cost than today's is
    /// replaced on the way, and so is one of another function than bcrypt. The address is `None` if what
    /// was given is not one, and so is no user's. Nobody is told by mail.
    ///
    /// # Errors
    ///
    /// [`Error::BadCredentials`], after the same work for an unknown address as for a wrong
    /// password; [`Error::Locked`]; [`Error::Throttled`], after no work.
    pub async fn valid_login(
        &self,
        email: Option<&Email>,
        password: &Password,
        source: Source,
    ) -> Result<User> {
        self.prove(email, password, source, None).await
    }

    /// The same; with details, the user is told of them by mail if the source was not familiar.
    async fn prove(
        &self,
        email: Option<&Email>,
        password: &Password,
        source: Source,
        details: Option<LoginDetails>,
    ) -> Result<User> {
        if !self.passwords.has_room(source) {
            // Only then is the database asked before the attempt is counted.
            let is_familiar = self.rate_limiter.is_familiar(email, source).await?;
            self.passwords.ensure_room(Asker {
                source,
                is_familiar,
            })?;
        }
        let attempt = self.rate_limiter.log_in(email, source).await;
        let attempt = attempt.map_err(|error| self.audit.refusal(error, source))?;
        let asker = Asker {
            source,
            is_familiar: attempt.is_familiar(),
        };
        let outcome = self.check_credentials(email, password, asker).await;
        match &outcome {
            Ok(user) => {
                let notice = details.and_then(|details| self.notice(&attempt, user, details));
                let is_told = notice.is_some();
                self.rate_limiter.succeeded(attempt, user, notice).await;
                if is_told {
                    self.wake_mail_worker();
                }
            }
            Err(Error::BadCredentials) => self.rate_limiter.failed(attempt).await,
            Err(Error::Locked) => self.rate_limiter.refused(attempt).await,
            Err(_) => self.rate_limiter.undecided(attempt).await,
        }
        outcome
    }

    /// The news of a login, if its source was not familiar; `None` too where nobody is to be told, or where
    /// it is not known which sources are familiar.
    fn notice(&self, attempt: &Attempt, user: &User, details: LoginDetails) -> Option<LoginNotice> {
        if attempt.is_familiar() || !self.rate_limiter.knows_sources() || !self.tells_of_logins() {
            return None;
        }
        Some(LoginNotice {
            email: user.email.clone(),
            language: details.language,
            client: details.client,
            source: attempt.source(),
            pause: mail_pause(self.clock.now()),
        })
    }

    async fn check_credentials(
        &self,
        email: Option<&Email>,
        password: &Password,
        asker: Asker,
    ) -> Result<User> {
        let user = self.find_user(email).await?;
        let stored = user.as_ref().map(|user| &user.hashed_password);
        let verdict = self.passwords.verify(password, stored, asker).await?;
        let id = user.as_ref().map(|user| user.id);
        if let (Some(id), Verdict::Unusable(reason)) = (id, &verdict) {
            error!(user = id.0, %reason, "no password can be checked against the stored hash");
        }
        let (Some(user), Verdict::Right { stronger }) = (user, verdict) else {
            self.audit.log(Event::FailedLogin, asker.source, id);
            return Err(Error::BadCredentials);
        };
        // The lock was read with the version of the password that the session will carry, so a lock from
        // now on voids it.
        if user.is_locked {
            self.audit.log(Event::LockedLogin, asker.source, id);
            return Err(Error::Locked);
        }
        if let Some(stronger) = stronger {
            self.db.users.replace_hash(&user, &stronger).await?;
        }
        Ok(user)
    }

    /// Finds the user with this address; none without one.
    pub(super) async fn find_user(&self, email: Option<&Email>) -> Result<Option<User>> {
        match email {
            Some(email) => Ok(self.db.users.find_by_email(email).await?),
            None => Ok(None),
        }
    }
}
