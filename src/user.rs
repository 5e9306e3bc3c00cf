//! Users.

use std::fmt;

use crate::clock::UnixTime;
use crate::email::Email;

/// The number of a user, given by the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UserId(pub i64);

/// A user: an account.
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
}

/// A user who is logged in, as far as the session tells. What passwords are checked against is
/// not read for it.
#[derive(Clone, Debug)]
pub struct SessionUser {
    /// The number of the account.
    pub id: UserId,
    /// The address that the user logs in with.
    pub email: Email,
    /// When use of the session was last written down.
    pub last_seen_at: UnixTime,
}

/// A stored password hash, in whatever form it is in: it may come from another system.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// Takes a hash as it stands.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text of the hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for HashedPassword {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HashedPassword(redacted)")
    }
}
