//! Why `Auth` refuses or fails.

use std::time::Duration;

use super::audit;
use super::rate_limit;
use crate::db;
use crate::password::{self, WeakPassword};
use crate::source::Source;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the answer is no. The texts of the refusals are what clients read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A user with this address exists.
    #[error("email already registered")]
    EmailTaken,
    /// The password is too weak to be chosen; reads on after the name of the field that it came in.
    #[error(transparent)]
    WeakPassword(#[from] WeakPassword),
    /// There is no such user, or this is not the password. Clients do not learn which.
    #[error("wrong email or password")]
    BadCredentials,
    /// An administrator keeps the user from logging in. Said only to who has the password, or to whom a
    /// reset token would be given.
    #[error("account locked")]
    Locked,
    /// The session never was, was logged out, expired, or fell to a password change.
    #[error("not logged in")]
    NoSession,
    /// A reset was asked for an address that is not registered.
    #[error("email not registered")]
    UnknownEmail,
    /// The token is unknown, used, superseded, expired, or another user's.
    #[error("invalid reset token")]
    BadResetToken,
    /// Too many attempts before this one; see [`rate_limit`]. Clients do not learn which limit it was.
    #[error("too many attempts")]
    Throttled {
        /// When another will be let through.
        retry_after: Duration,
    },
    /// The database cannot answer now.
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

impl Error {
    /// The refusal by a rate limit, which the audit log names, or the failure to ask for one.
    pub(super) fn of_rate_limit(error: rate_limit::Error, source: Source) -> Self {
        match error {
            rate_limit::Error::TooMany { limit, retry_after } => {
                Self::throttled(source, limit, retry_after)
            }
            rate_limit::Error::Database(error) => error.into(),
        }
    }

    /// The refusal by this limit, which the audit log names.
    pub(super) fn throttled(source: Source, limit: &'static str, retry_after: Duration) -> Self {
        audit::throttled(source, limit, retry_after);
        Self::Throttled { retry_after }
    }
}
