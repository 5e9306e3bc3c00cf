//! What operators need to know afterwards, also of a break-in (OWASP ASVS
//! 16.3.1): one line in the log for each event, under a target of its own.
//!
//! Carries the number of the user where one is known, and never an address or a secret: an unknown
//! address may be a password that was typed into the wrong field. The log adds the time, and the id
//! of the request that it happened in.

use std::time::Duration;

use tracing::info;

use crate::source::Source;
use crate::user::UserId;

/// By which a filter of the log can name these lines. The id of the request is that of a span, which
/// is there at the level `info` of `bienvenue`.
pub const AUDIT_TARGET: &str = "bienvenue::audit";

/// What happened.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    SignUp,
    Login,
    FailedLogin,
    LockedLogin,
    Logout,
    ResetAsked,
    ResetDone,
}

impl Event {
    fn name(self) -> &'static str {
        match self {
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::FailedLogin => "failed_login",
            Self::LockedLogin => "locked_login",
            Self::Logout => "logout",
            Self::ResetAsked => "reset_asked",
            Self::ResetDone => "reset_done",
        }
    }

    /// Writes down that this happened, from where, and to whom if that is known.
    pub(super) fn log(self, source: Source, user: Option<UserId>) {
        let user = user.map(|id| id.0);
        info!(target: AUDIT_TARGET, event = self.name(), %source, user);
    }
}

/// Writes down that a request was refused because of a limit.
pub(super) fn throttled(source: Source, limit: &'static str, retry_after: Duration) {
    let seconds = retry_after.as_secs();
    info!(target: AUDIT_TARGET, event = "throttled", %source, limit, seconds);
}
