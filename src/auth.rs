//! The rules: who may register, log in, stay logged in, log out and reset a password.
//!
//! They are the same for all clients; nothing here knows of HTTP.
//!
//! - `registration`, `sign_up`, `login`, `session`, `password_reset`, `address_undo`: what one may ask for;
//!   `own_sessions`, `password_change`, `address_change` and `account`, what one may by a session of one's own;
//!   `address_lifetimes`: how long a change of an address is possible.
//! - `app_access`: who may use an app in front of which a proxy asks; `hand_over`: how an app on another host
//!   gets a session.
//! - `rate_limit`: how often.
//! - `mail_request`: asking for a mail; `outbox`: the worker that sends them; `mail_setup`: what that takes;
//!   `mail_counts`: how many were; `links`: the links in them.
//! - `administration`: what those may ask for who run the service, by its commands.
//! - `audit`: what is logged for who looks into a break-in, and counted.
//! - `status`: what operators ask, such as how many users there are.
//! - `writes`: how long a request waits for what it writes; `error`: why it is refused.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, UnixTime};
use crate::db::Db;
use crate::email::Email;
use crate::mail::{Mailer, Site};
use crate::password::{Password, PasswordRule, Passwords};
use crate::protected_app::ProtectedApps;
use crate::token::TokenSource;

mod account;
mod address_change;
mod address_lifetimes;
mod address_undo;
pub mod administration;
mod app_access;
mod audit;
mod error;
mod hand_over;
mod links;
mod login;
mod mail_counts;
mod mail_request;
mod mail_setup;
mod outbox;
mod own_sessions;
mod password_change;
mod password_reset;
pub mod rate_limit;
mod registration;
mod session;
mod sign_up;
mod status;
mod writes;

pub use address_change::{AddressChangeAsked, AddressChanged, ChangeAddress, PendingAddress};
pub use address_lifetimes::{EMAIL_TOKEN_LIFETIME, UNDO_LIFETIME};
pub use app_access::AppUser;
pub use audit::AUDIT_TARGET;
pub use error::Error;
pub use hand_over::APP_LOGIN_LIFETIME;
pub use links::reset_link;
pub use login::LogIn;
pub use mail_counts::MailCounts;
pub use outbox::{MAIL_PAUSE, mail_pause};
pub use own_sessions::ListedSession;
pub use password_change::ChangePassword;
pub use password_reset::Reset;
pub use session::MAX_SESSIONS_PER_USER;
pub use sign_up::{SIGN_UP_TOKEN_LIFETIME, SignUpAsked, SignUpMode};
pub use status::{AccountCounts, WaitingMails};

use audit::Audit;
use error::Result;
use mail_setup::MailSetup;
use rate_limit::{RateLimiter, RateLimits};

/// How long things last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// A session ends when it was not used for this long.
    pub session_idle: Duration,
    /// A session ends this long after the login, used or not.
    pub session: Duration,
    /// What cannot be undone takes a session that began within this time.
    pub fresh_login: Duration,
    /// A reset token can be used for this long.
    pub reset_token: Duration,
}

/// The service, without a way to reach it.
#[derive(Clone)]
pub struct Auth {
    db: Db,
    passwords: Passwords,
    rate_limiter: RateLimiter,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    tokens: Arc<dyn TokenSource>,
    password_rule: Option<PasswordRule>,
    sign_up_mode: SignUpMode,
    mails: Option<Arc<MailSetup>>,
    tells_of_logins: bool,
    mail_counts: Arc<MailCounts>,
    audit: Arc<Audit>,
    apps: Arc<ProtectedApps>,
}

impl Auth {
    /// Puts the rules of the local exposure on top of a database.
    pub fn new(
        db: Db,
        passwords: Passwords,
        lifetimes: Lifetimes,
        limits: RateLimits,
        clock: Arc<dyn Clock>,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
        Self {
            rate_limiter: RateLimiter::new(db.clone(), limits, Arc::clone(&clock)),
            db,
            passwords,
            lifetimes,
            clock,
            tokens,
            password_rule: None,
            sign_up_mode: SignUpMode::Unverified,
            mails: None,
            tells_of_logins: true,
            mail_counts: Arc::new(mail_counts::no_mails()),
            audit: Arc::new(Audit::new()),
            apps: Arc::default(),
        }
    }

    /// Measures new passwords by this rule. Without one, whatever is a [`Password`] may be chosen.
    pub fn with_password_rule(self, rule: PasswordRule) -> Self {
        Self {
            password_rule: Some(rule),
            ..self
        }
    }

    /// The present moment.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Lets people sign up in this way. Without this, they do at once.
    pub fn with_sign_up(self, sign_up_mode: SignUpMode) -> Self {
        Self {
            sign_up_mode,
            ..self
        }
    }

    /// How long things last.
    pub fn lifetimes(&self) -> &Lifetimes {
        &self.lifetimes
    }

    /// What new passwords are measured by, to be told beforehand; `None` for nothing.
    pub fn password_rule(&self) -> Option<&PasswordRule> {
        self.password_rule.as_ref()
    }

    /// Gives reset tokens, sign-up tokens and those of changes of addresses only to the owner of the address,
    /// by mail, and tells owners when their password or their address was changed, somebody has logged in
    /// from a source that is not familiar to them, or their account was deleted. Links in mails begin with
    /// the site's public URL, whatever a request says. Without this, who asks gets the token, and owners are
    /// not told.
    ///
    /// The mails leave while [`Self::deliver_until`] runs.
    pub fn with_mail(self, mailer: Mailer, site: Site) -> Self {
        Self {
            mails: Some(Arc::new(MailSetup::new(mailer, site))),
            ..self
        }
    }

    /// Tells no owner of a login, from wherever.
    pub fn without_login_notices(self) -> Self {
        Self {
            tells_of_logins: false,
            ..self
        }
    }

    fn check_new_password(&self, password: &Password, email: &Email) -> Result<()> {
        match &self.password_rule {
            Some(rule) => Ok(rule.check(password, email)?),
            None => Ok(()),
        }
    }

    /// Deletes sessions, reset tokens, sign-up tokens, tickets, changes of addresses, notes of mails and counts
    /// of attempts that have expired, and says how many.
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
        let asked_before = now.before(SIGN_UP_TOKEN_LIFETIME);
        let sign_ups = self.db.sign_ups.purge(asked_before).await?;
        let pending = self.purge_pending_addresses(now).await?;
        let given_up_before = now.before(UNDO_LIFETIME);
        let past = self.db.past_addresses.purge(given_up_before).await?;
        let addresses = pending + past;
        let tickets = self.tickets_issued_before();
        let tickets = self.db.app_sessions.purge_tickets(tickets).await?;
        let mails = self.purge_mails().await?;
        let attempts = self.rate_limiter.purge().await?;
        Ok(sessions + tokens + sign_ups + tickets + addresses + mails + attempts)
    }
}
