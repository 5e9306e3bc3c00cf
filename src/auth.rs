//! The rules: who may register, log in, stay logged in, log out and reset a password.
//!
//! Everything here is the same whoever asks and however; nothing here knows that it is asked over
//! HTTP.

use std::future::{Future, pending};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tracing::{Instrument, warn};

use crate::clock::{CLOCK_TOLERANCE, Clock, UnixTime};
use crate::db::{self, Db, Found, PasswordChange, Period, SessionCutoffs};
use crate::email::Email;
use crate::error_chain::ErrorChain;
use crate::password::{self, Password, PasswordRule, Passwords, Verdict, WeakPassword};
use crate::source::Source;
use crate::throttle::{self, Limits, Throttle};
use crate::token::{ResetToken, ResetTokenDigest, SessionDigest, SessionId, TokenSource};
use crate::user::{SessionUser, User};
use crate::wait_budget;

mod audit;
mod delivery;
mod mail;

pub use audit::AUDIT_TARGET;
pub use mail::{MAIL_PAUSE, Reset};

use audit::Event;
use mail::Post;

/// The most sessions that one user can have; the oldest goes when another begins.
pub const MAX_SESSIONS_PER_USER: u32 = 50;

/// Use of a session is written down at most this often, so that reading a profile is rarely a
/// write. A session may therefore end this much before its idle timeout.
const LAST_SEEN_RESOLUTION: Duration = Duration::from_mins(5);

/// How long an answer that does not depend on a write waits for it, such as the note that a session is
/// in use, if another program keeps us from writing. The next request tries again.
const SIDE_WRITE_TIMEOUT: Duration = Duration::from_millis(250);

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A session ends when it was not used for this long.
    pub session_idle: Duration,
    /// A session ends this long after the login, used or not.
    pub session: Duration,
    /// A reset token can be used for this long.
    pub reset_token: Duration,
}

/// Why the answer is no. The texts of the refusals are what clients read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A user with this address exists.
    #[error("email already registered")]
    EmailTaken,
    /// The password is too weak to be chosen; reads on after the name of the field that it came in.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// There is no such user, or this is not the password: nobody learns which.
    #[error("wrong email or password")]
    BadCredentials,
    /// The session never was, was logged out, expired, or fell to a password change.
    #[error("not logged in")]
    NoSession,
    /// A reset was asked for an address that nobody registered.
    #[error("email not registered")]
    UnknownEmail,
    /// The token is unknown, used, superseded, expired, or another user's.
    #[error("invalid reset token")]
    BadResetToken,
    /// Too many attempts before this one; see [`throttle`]. Nobody learns which limit it was.
    #[error("too many attempts")]
    Throttled {
        /// When another will be let through.
        retry_after: Duration,
    },
    /// The database cannot answer now; nothing is known of what was asked.
    #[error("temporarily unavailable")]
    Unavailable(#[source] db::Error),
    /// More logins and sign-ups wait than can be served in the time that one may wait.
    #[error("too many logins at once")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// Something is wrong with the service.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        if error.is_temporary() {
            Self::Unavailable(error)
        } else {
            Self::Internal(error.into())
        }
    }
}

impl From<password::Error> for Error {
    fn from(error: password::Error) -> Self {
        match error {
            password::Error::Busy { retry_after } => Self::Busy { retry_after },
            error => Self::Internal(error.into()),
        }
    }
}

type Result<T, E = Error> = std::result::Result<T, E>;

/// The service, without a way to reach it.
#[derive(Clone)]
pub struct Auth {
    db: Db,
    passwords: Passwords,
    throttle: Throttle,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    tokens: Arc<dyn TokenSource>,
    password_rule: Option<PasswordRule>,
    post: Option<Arc<Post>>,
}

impl Auth {
    /// Puts the rules of the local exposure on top of a database.
    #[must_use]
    pub fn new(
        db: Db,
        passwords: Passwords,
        lifetimes: Lifetimes,
        limits: Limits,
        clock: Arc<dyn Clock>,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
        Self {
            throttle: Throttle::new(db.clone(), limits, Arc::clone(&clock)),
            db,
            passwords,
            lifetimes,
            clock,
            tokens,
            password_rule: None,
            post: None,
        }
    }

    /// Measures new passwords by this rule. Without one, whatever is a [`Password`] may be chosen.
    #[must_use]
    pub fn with_password_rule(self, rule: PasswordRule) -> Self {
        Self {
            password_rule: Some(rule),
            ..self
        }
    }

    /// How long things last.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// What new passwords are measured by, to be told beforehand; `None` for nothing.
    #[must_use]
    pub fn password_rule(&self) -> Option<&PasswordRule> {
        self.password_rule.as_ref()
    }

    /// Adds a user.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::EmailTaken`], [`Error::Throttled`].
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
        self.check_new_password(password, email)?;
        self.passwords.ensure_room(source)?;
        let let_in = self.throttle.sign_up(source).await;
        unless_throttled(let_in, source)?;
        let hashed_password = self.passwords.hash(password, source).await?;
        let (auth, email) = (self.clone(), email.clone());
        to_its_end(async move {
            let now = auth.clock.now();
            let proof = auth.throttle.proof(&email, source);
            let added = auth.db.users.add(&email, &hashed_password, now, proof);
            let user = added.await?.ok_or(Error::EmailTaken)?;
            Event::SignUp.log(source, Some(user.id));
            Ok(user)
        })
        .await
    }

    /// Adds a user and begins their first session: nobody need prove a password that they have
    /// just chosen. `None` if the user was added and no session could begin, so that nobody takes
    /// a sign-up that happened for one that failed.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`], [`Error::EmailTaken`], [`Error::Throttled`].
    pub async fn register_and_log_in(
        &self,
        email: &Email,
        password: &Password,
        replaced: Option<SessionId>,
        source: Source,
    ) -> Result<Option<SessionId>> {
        let user = self.add_user(email, password, source).await?;
        let session_id = self.create_session(&user, replaced, source).await;
        Ok(session_id
            .inspect_err(|error| warn!(error = %ErrorChain(error), "no session after a sign-up"))
            .ok())
    }

    /// Finds the user whose address and password these are. A hash of a lower cost than today's is
    /// replaced on the way. The address is `None` if what was given is not one, and so is no user's.
    ///
    /// # Errors
    ///
    /// [`Error::BadCredentials`], after the same work for an unknown address as for a wrong
    /// password; [`Error::Throttled`], after none.
    pub async fn valid_login(
        &self,
        email: Option<&Email>,
        password: &Password,
        source: Source,
    ) -> Result<User> {
        self.passwords.ensure_room(source)?;
        let let_in = self.throttle.log_in(email, source).await;
        let attempt = unless_throttled(let_in, source)?;
        let outcome = self.check_credentials(email, password, source).await;
        match &outcome {
            Ok(user) => self.throttle.succeeded(attempt, user).await,
            Err(Error::BadCredentials) => self.throttle.failed(attempt).await,
            Err(_) => self.throttle.undecided(attempt).await,
        }
        outcome
    }

    async fn check_credentials(
        &self,
        email: Option<&Email>,
        password: &Password,
        source: Source,
    ) -> Result<User> {
        let user = self.find_user(email).await?;
        let stored = user.as_ref().map(|user| &user.hashed_password);
        let verdict = self.passwords.verify(password, stored, source).await?;
        let id = user.as_ref().map(|user| user.id);
        let (Some(user), Verdict::Right { stronger }) = (user, verdict) else {
            Event::FailedLogin.log(source, id);
            return Err(Error::BadCredentials);
        };
        if let Some(stronger) = stronger {
            self.db.users.replace_hash(&user, &stronger).await?;
        }
        Ok(user)
    }

    /// Finds the user with this address; none without one.
    async fn find_user(&self, email: Option<&Email>) -> Result<Option<User>> {
        match email {
            Some(email) => Ok(self.db.users.find_by_email(email).await?),
            None => Ok(None),
        }
    }

    /// Begins a session for a user who has just proved who they are. Their other sessions go on;
    /// one that it replaces, of whomever, ends (OWASP ASVS 7.2.4).
    ///
    /// If the password was changed since the user was read, the session is void from the start.
    ///
    /// # Errors
    ///
    /// [`Error::BadCredentials`] if the user is gone.
    pub async fn create_session(
        &self,
        user: &User,
        replaced: Option<SessionId>,
        source: Source,
    ) -> Result<SessionId> {
        let (auth, user) = (self.clone(), user.clone());
        to_its_end(async move {
            let session_id = SessionId::new(&*auth.tokens);
            let (digest, now) = (session_id.digest(), auth.clock.now());
            let begun = auth
                .db
                .sessions
                .add(&user, digest, now, MAX_SESSIONS_PER_USER);
            if !begun.await? {
                return Err(Error::BadCredentials);
            }
            Event::Login.log(source, Some(user.id));
            if let Some(replaced) = replaced {
                match auth.destroy_session(&replaced, source).await {
                    Ok(()) | Err(Error::NoSession) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(session_id)
        })
        .await
    }

    /// Finds the user whose session this is, and notes that it is in use.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub async fn get_user_from_session_id(&self, session_id: &SessionId) -> Result<SessionUser> {
        let digest = session_id.digest();
        let now = self.clock.now();
        let Found::Valid(user) = self.find_session(digest, self.session_cutoffs(now)).await? else {
            return Err(Error::NoSession);
        };
        let stale = now.before(LAST_SEEN_RESOLUTION.min(self.lifetimes.session_idle / 4));
        let latest = now.after(CLOCK_TOLERANCE);
        if user.last_seen_at <= stale || user.last_seen_at > latest {
            let touch = self.db.sessions.touch(digest, now, latest);
            // In a box, as below: what few checks need takes no room in the future of every one.
            Box::pin(try_to_write("note that a session is in use", touch)).await;
        }
        Ok(user)
    }

    /// Finds the user of a session. An expired one is deleted, so that it stays refused if the clock is
    /// turned back.
    async fn find_session(
        &self,
        digest: SessionDigest,
        cutoffs: SessionCutoffs,
    ) -> Result<Found<SessionUser>> {
        let found = self.db.sessions.find_user(digest, cutoffs).await?;
        if let Found::Expired = found {
            let db = self.db.clone();
            let delete = async move { db.sessions.delete_expired(digest, cutoffs).await };
            let delete = try_to_write("delete an expired session", to_its_end(delete));
            Box::pin(delete).await;
        }
        Ok(found)
    }

    /// Ends a session, be it valid or void: who logs out after a change of the password has no less
    /// logged out.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it was logged out before, expired or never was.
    pub async fn destroy_session(&self, session_id: &SessionId, source: Source) -> Result<()> {
        let digest = session_id.digest();
        let cutoffs = self.session_cutoffs(self.clock.now());
        // Looked at first only to know who it is; what decides is the deletion.
        let (Found::Valid(user) | Found::Void(user)) = self.find_session(digest, cutoffs).await?
        else {
            return Err(Error::NoSession);
        };
        let auth = self.clone();
        to_its_end(async move {
            if !auth.db.sessions.delete(digest, cutoffs).await? {
                return Err(Error::NoSession);
            }
            Event::Logout.log(source, Some(user.id));
            Ok(())
        })
        .await
    }

    /// Makes a token that lets its holder set the password of this user, once. Any earlier one is
    /// void.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEmail`].
    async fn get_reset_password_token(
        &self,
        email: Option<&Email>,
        source: Source,
    ) -> Result<ResetToken> {
        let user = self.find_user(email).await?;
        Event::ResetAsked.log(source, user.as_ref().map(|user| user.id));
        let user = user.ok_or(Error::UnknownEmail)?;
        let token = ResetToken::new(&*self.tokens);
        let now = self.clock.now();
        if self.db.reset_tokens.set(&user, token.digest(), now).await? {
            Ok(token)
        } else {
            Err(Error::UnknownEmail)
        }
    }

    /// Sets a new password, and ends every session and every reset token of the user. From here, and
    /// from nowhere else, they can log in even while others flood the account.
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
        let hashed_password = self.passwords.hash(new_password, source).await?;
        let change = PasswordChange {
            hashed_password,
            reset_token: digest,
            issued,
            told_by_mail: self.tells_owners().then(|| self.clock.now()),
            proof: self.throttle.proof(email, source),
        };
        let auth = self.clone();
        to_its_end(async move {
            if !auth.db.users.set_password(&user, &change).await? {
                return Err(Error::BadResetToken);
            }
            Event::ResetDone.log(source, Some(user.id));
            auth.wake_worker();
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
                try_to_write("delete an expired reset token", to_its_end(delete)).await;
                Err(Error::BadResetToken)
            }
            Found::Void(_) | Found::Invalid => Err(Error::BadResetToken),
        }
    }

    fn check_new_password(&self, password: &Password, email: &Email) -> Result<()> {
        match &self.password_rule {
            Some(rule) => Ok(rule.check(password, email)?),
            None => Ok(()),
        }
    }

    /// Deletes sessions, reset tokens, notes of mails and counts of attempts that have expired, and
    /// says how many.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn purge_expired(&self) -> Result<u64> {
        // A session past its lifetime is not found, hence no longer noted as used, hence soon
        // idle: the one cutoff catches both kinds.
        let now = self.clock.now();
        let seen_before = self.session_cutoffs(now).last_seen_after;
        let issued_before = now.before(self.lifetimes.reset_token);
        let sessions = self.db.sessions.purge(seen_before).await?;
        let tokens = self.db.reset_tokens.purge(issued_before).await?;
        let mails = self.purge_mails().await?;
        Ok(sessions + tokens + mails + self.throttle.purge().await?)
    }

    fn session_cutoffs(&self, now: UnixTime) -> SessionCutoffs {
        SessionCutoffs {
            last_seen_after: now.before(self.lifetimes.session_idle),
            created: Period::of_valid(now, self.lifetimes.session),
        }
    }
}

/// Waits a short time for a write that the answer does not depend on.
async fn try_to_write(what: &str, write: impl Future<Output = Result<(), db::Error>>) {
    match timeout(SIDE_WRITE_TIMEOUT, write).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = %ErrorChain(&error), "cannot {what}"),
        Err(_) => warn!("no time to {what}"),
    }
}

/// Does something to its end even if whoever asked for it leaves meanwhile: what has been changed is
/// also written down, and nobody changes anything unseen by hanging up at the right moment. Only for
/// what has passed a check that strangers fail: whoever has hung up holds no connection any more that
/// would limit how much of it there can be.
async fn to_its_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(wait_budget::shared(work.in_current_span())).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The process is ending, and nobody gets an answer any more.
            Err(_) => pending().await,
        },
    }
}

/// What the throttle let through, or the refusal, written down.
fn unless_throttled<T>(let_in: Result<T, throttle::Error>, source: Source) -> Result<T> {
    match let_in {
        Ok(let_in) => Ok(let_in),
        Err(throttle::Error::TooMany { limit, retry_after }) => {
            audit::throttled(source, limit, retry_after);
            Err(Error::Throttled { retry_after })
        }
        Err(throttle::Error::Database(error)) => Err(error.into()),
    }
}
