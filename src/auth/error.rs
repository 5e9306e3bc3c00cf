//! Why `Auth` refuses or fails.

use std::time::Duration;

use crate::db;
use crate::password::{self, WeakPassword};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the answer is no. The texts of the refusals are what clients read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// People cannot sign up, or not in this way.
    #[error("sign-up is closed")]
    SignUpClosed,
    /// The sign-up token is unknown, used, superseded, expired, or another address's.
    #[error("invalid sign-up token")]
    BadSignUpToken,
    /// A user with this address exists.
    #[error("email already registered")]
    EmailTaken,
    /// A user asks for the address that they have.
    #[error("already the address of this account")]
    OwnAddress,
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
    /// The session is valid, but began too long ago for what was asked: its user must prove again who they
    /// are.
    #[error("log in again")]
    NotFresh,
    /// The user of the session has no session with this id.
    #[error("not found")]
    UnknownSession,
    /// No app is at the host that a proxy asks about.
    #[error("no app at this host")]
    UnknownApp,
    /// The user of the session may not use the app.
    #[error("not allowed to use this app")]
    NotAllowed,
    /// The ticket is unknown, used, expired, another app's or another browser's.
    #[error("invalid ticket")]
    BadTicket,
    /// This is not the password of the user of the session.
    #[error("wrong password")]
    WrongPassword,
    /// A reset was asked for an address that is not registered.
    #[error("email not registered")]
    UnknownEmail,
    /// The token is unknown, used, superseded, expired, or another user's.
    #[error("invalid reset token")]
    BadResetToken,
    /// The token is unknown, used, superseded, expired, or another user's.
    #[error("invalid email token")]
    BadEmailToken,
    /// The token is unknown, used, expired, another address's, or the change was undone with an earlier one.
    #[error("invalid undo token")]
    BadUndoToken,
    /// The account can still be taken back to an address that it had, so its user cannot delete it.
    #[error("address changed lately")]
    AddressChangedLately,
    /// Too many attempts before this one; see [`rate_limit`](super::rate_limit). Clients do not learn which
    /// limit it was.
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
