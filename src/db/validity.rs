//! When a session, a reset token or a proof is valid.

use std::time::Duration;

use crate::clock::{CLOCK_TOLERANCE, UnixTime};

/// When something must have been made to be valid now: a session, a reset token, a proof.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// After this: at this moment or before it, it has expired.
    pub after: UnixTime,
    /// Not after this: a clock was wrong.
    pub until: UnixTime,
}

impl Period {
    /// When something that lasts this long must have been made to be valid now.
    pub fn of_valid(now: UnixTime, lifetime: Duration) -> Self {
        Self {
            after: now.before(lifetime),
            until: now.after(CLOCK_TOLERANCE),
        }
    }

    /// Whether something made at this moment is valid.
    pub fn contains(self, made_at: UnixTime) -> bool {
        made_at > self.after && made_at <= self.until
    }

    /// What something made at this moment is worth.
    pub(super) fn judge<T>(self, made_at: UnixTime, value: T) -> Found<T> {
        if made_at <= self.after {
            Found::Expired
        } else if made_at > self.until {
            Found::Invalid
        } else {
            Found::Valid(value)
        }
    }
}

/// The moments by which a session is valid or not.
#[derive(Clone, Copy, Debug)]
pub struct SessionCutoffs {
    /// It must have been used after this, or it has expired.
    pub last_seen_after: UnixTime,
    /// When it must have begun.
    pub created: Period,
}

impl SessionCutoffs {
    /// What a session that was last seen and began at these moments is worth.
    pub fn judge<T>(self, last_seen_at: UnixTime, created_at: UnixTime, value: T) -> Found<T> {
        if last_seen_at <= self.last_seen_after {
            Found::Expired
        } else {
            self.created.judge(created_at, value)
        }
    }
}

/// What a session id or a reset token leads to.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// It is valid, and this is what it is for.
    Valid(T),
    /// It is a session that would be valid but for a change of the password.
    Void(T),
    /// It has expired, and its row is still there.
    Expired,
    /// It does not exist, it is a reset token that a password change has voided, or it was made further
    /// in the future than clocks differ.
    Invalid,
}

impl Found<()> {
    /// The same of what this is for.
    pub fn with<T>(self, value: T) -> Found<T> {
        match self {
            Self::Valid(()) => Found::Valid(value),
            Self::Void(()) => Found::Void(value),
            Self::Expired => Found::Expired,
            Self::Invalid => Found::Invalid,
        }
    }
}
