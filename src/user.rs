//! The user, in the words of the service; knows nobody but the other words.

use std::fmt;

use crate::clock::UnixTime;
use crate::email::Email;
use crate::token::{ResetTokenDigest, SessionDigest};

/// The number of a user, given by the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserId(pub i64);

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct User {
    /// The number of the account; never changes.
    pub id: UserId,
    /// The address that the user logs in with.
    pub email: Email,
    /// What the user's password is checked against.
    pub hashed_password: HashedPassword,
    /// How many times the password was set anew. Sessions and reset tokens carry the version that
    /// they were made under and are void under any other.
    pub password_version: i64,
    /// The session that the user was found through; `None` if found in another way.
    pub session_id: Option<SessionDigest>,
    /// When use of that session was last written down; `None` without a session.
    pub session_last_seen_at: Option<UnixTime>,
    /// The reset token that the user was found through; `None` if found in another way.
    pub reset_token: Option<ResetTokenDigest>,
}

/// A stored password hash, in whatever form it is in: it may come from another system.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// Takes a hash as it stands.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text of the hash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashedPassword(redacted)")
    }
}
