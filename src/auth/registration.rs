//! Signing up at once, with a password and an address that is not confirmed.

use tracing::warn;

use super::address_lifetimes::undo_period;
use super::audit::Event;
use super::error::{Error, Result};
use super::writes::uninterrupted;
use super::{Auth, SignUpMode};
use crate::client::ClientName;
use crate::db::NewUser;
use crate::email::Email;
use crate::error_chain::ErrorChain;
use crate::password::Password;
use crate::source::Source;
use crate::token::SessionId;
use crate::user::User;

impl Auth {
    /// Adds a user.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::EmailTaken`], [`Error::Throttled`]; [`Error::SignUpClosed`] unless
    /// people sign up so.
    pub async fn register_user(
        &self,
        email: &Email,
        password: &Password,
        source: Source,
    ) -> Result<()> {
        self.add_user(email, password, source).await?;
        Ok(())
    }

    /// Adds a user and writes it down. From here they can log in even while others flood the account.
    async fn add_user(&self, email: &Email, password: &Password, source: Source) -> Result<User> {
        if self.sign_up_mode != SignUpMode::Unverified {
            return Err(Error::SignUpClosed);
        }
        self.check_new_password(password, email)?;
        self.passwords.ensure_room(source)?;
        let allowed = self.rate_limiter.sign_up(source).await;
        allowed.map_err(|error| self.audit.refusal(error, source))?;
        let hashed_password = self.passwords.hash(password, source).await?;
        let (auth, email) = (self.clone(), email.clone());
        uninterrupted(async move {
            let now = auth.clock.now();
            let proof = auth.rate_limiter.proof(&email, source);
            let new = NewUser {
                email: &email,
                hashed_password: &hashed_password,
                now,
                is_confirmed: false,
            };
            let added = auth.db.users.add(&new, undo_period(now), proof);
            let user = added.await?.ok_or(Error::EmailTaken)?;
            auth.audit.log(Event::SignUp, source, Some(user.id));
            Ok(user)
        })
        .await
    }

    /// Adds a user and begins their first session: a password that was just chosen
    /// need not be proved. `None` if the user was added and no session could begin, so that
    /// a sign-up that happened is not taken for one that failed.
    ///
    /// # Errors
    ///
    /// Those of [`register_user`](Self::register_user).
    pub async fn register_and_log_in(
        &self,
        email: &Email,
        password: &Password,
        replaced: Option<SessionId>,
        client: Option<ClientName>,
        source: Source,
    ) -> Result<Option<SessionId>> {
        let user = self.add_user(email, password, source).await?;
        Ok(self.first_session(&user, replaced, client, source).await)
    }

    /// Begins the first session of a user who was just added; `None` if it could not begin.
    pub(super) async fn first_session(
        &self,
        user: &User,
        replaced: Option<SessionId>,
        client: Option<ClientName>,
        source: Source,
    ) -> Option<SessionId> {
        let session_id = self.create_session(user, replaced, client, source).await;
        session_id
            .inspect_err(|error| warn!(error = %ErrorChain(error), "no session after a sign-up"))
            .ok()
    }
}
