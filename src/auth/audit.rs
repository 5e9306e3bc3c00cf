//! What operators need to know afterwards, also of a break-in (OWASP ASVS
//! 16.3.1): one line in the log for each event, under a target of its own. The lines are counted.
//!
//! Carries the number of the user where one is known, and never an address or a secret: an unknown
//! address may be a password that was typed into the wrong field. The log adds the time, and the id
//! of the request that it happened in.

use std::time::Duration;

use tracing::info;

use super::error::Error;
use super::rate_limit;
use crate::metrics::Counters;
use crate::protected_app::AppHost;
use crate::source::Source;
use crate::user::UserId;

/// By which a filter of the log can name these lines. The id of the request is that of a span, which
/// is there at the level `info` of `bienvenue`.
pub const AUDIT_TARGET: &str = "bienvenue::audit";

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    SignUpAsked,
    SignUp,
    Login,
    FailedLogin,
    LockedLogin,
    AppLogin,
    Logout,
    SessionEnded,
    PasswordChanged,
    AddressChangeAsked,
    AddressChanged,
    AddressChangeUndone,
    UserDeleted,
    ResetAsked,
    ResetDone,
}

impl Event {
    const ALL: [Self; 15] = [
        Self::SignUpAsked,
        Self::SignUp,
        Self::Login,
        Self::FailedLogin,
        Self::LockedLogin,
        Self::AppLogin,
        Self::Logout,
        Self::SessionEnded,
        Self::PasswordChanged,
        Self::AddressChangeAsked,
        Self::AddressChanged,
        Self::AddressChangeUndone,
        Self::UserDeleted,
        Self::ResetAsked,
        Self::ResetDone,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::SignUpAsked => "sign_up_asked",
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::FailedLogin => "failed_login",
            Self::LockedLogin => "locked_login",
            Self::AppLogin => "app_login",
            Self::Logout => "logout",
            Self::SessionEnded => "session_ended",
            Self::PasswordChanged => "password_changed",
            Self::AddressChangeAsked => "address_change_asked",
            Self::AddressChanged => "address_changed",
            Self::AddressChangeUndone => "address_change_undone",
            Self::UserDeleted => "user_deleted",
            Self::ResetAsked => "reset_asked",
            Self::ResetDone => "reset_done",
        }
    }
}

/// The event of a request that was refused because of a limit.
const THROTTLED: &str = "throttled";

/// The limits besides those of [`rate_limit`].
pub(super) const MAILS_IN_ALL: &str = "mails waiting in all";
pub(super) const MAILS_OF_NETWORK: &str = "mails waiting of one network";
pub(super) const TICKETS_OF_SESSION: &str = "tickets of one session";

/// Writes down what happened, and counts it.
pub(super) struct Audit {
    events: Counters<&'static str>,
    throttled: Counters<&'static str>,
}

impl Audit {
    pub(super) fn new() -> Self {
        let others = [MAILS_IN_ALL, MAILS_OF_NETWORK, TICKETS_OF_SESSION];
        Self {
            events: Counters::new(Event::ALL.map(Event::name)),
            throttled: Counters::new(rate_limit::limit_names().into_iter().chain(others)),
        }
    }

    /// Writes down that this happened, from where, and to whom if that is known.
    pub(super) fn log(&self, event: Event, source: Source, user: Option<UserId>) {
        let user = user.map(|id| id.0);
        self.events.add(event.name());
        info!(target: AUDIT_TARGET, event = event.name(), %source, user);
    }

    /// Writes down that a user has ended so many of their sessions by another one, or by itself.
    pub(super) fn log_sessions_ended(&self, source: Source, user: UserId, sessions: u64) {
        let (event, user) = (Event::SessionEnded.name(), user.0);
        self.events.add(event);
        info!(target: AUDIT_TARGET, event, %source, user, sessions);
    }

    /// Writes down that a user has begun a session at the app at this host.
    pub(super) fn log_app_login(&self, source: Source, user: UserId, app: &AppHost) {
        let (event, user) = (Event::AppLogin.name(), user.0);
        self.events.add(event);
        info!(target: AUDIT_TARGET, event, %source, user, %app);
    }

    /// Writes down that a request was refused because of a limit, and returns the refusal.
    pub(super) fn throttled(
        &self,
        source: Source,
        limit: &'static str,
        retry_after: Duration,
    ) -> Error {
        let seconds = retry_after.as_secs();
        self.throttled.add(limit);
        info!(target: AUDIT_TARGET, event = THROTTLED, %source, limit, seconds);
        Error::Throttled { retry_after }
    }

    /// The refusal by a rate limit, which is written down, or the failure to ask for one.
    pub(super) fn refusal(&self, error: rate_limit::Error, source: Source) -> Error {
        match error {
            rate_limit::Error::TooMany { limit, retry_after } => {
                self.throttled(source, limit, retry_after)
            }
            rate_limit::Error::Database(error) => error.into(),
        }
    }

    /// How many lines there were of each event, and with which limit if it was one.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>, u64)> {
        let events = self.events.iter();
        let throttled = self.throttled.iter();
        let events = events.map(|(event, count)| (event, None, count));
        events.chain(throttled.map(|(limit, count)| (THROTTLED, Some(limit), count)))
    }
}
