//! Users.

use std::fmt;
use std::str::FromStr;

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
    /// Whether an administrator keeps the user from logging in.
    pub is_locked: bool,
}

/// A user as an administrator sees them.
#[derive(Clone, Debug)]
pub struct Account {
    /// The number of the account.
    pub id: UserId,
    /// The address as it is stored. Another program may have written it, so it need not be an
    /// [`Email`]: then nobody can log in with it.
    pub email: String,
    /// When the user was added.
    pub created_at: UnixTime,
    /// Since when the user cannot log in; `None` if they can.
    pub locked_at: Option<UnixTime>,
    /// When it was established that the address is the user's; `None` if it was not.
    pub email_confirmed_at: Option<UnixTime>,
}

/// How an administrator names a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserKey {
    /// By the number of the account.
    Number(UserId),
    /// By the address.
    Address(Email),
}

/// Why a text is not a [`UserKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give the email address of a user, or the number, which also users with other addresses have"
)]
pub struct InvalidUserKey;

impl FromStr for UserKey {
    type Err = InvalidUserKey;

    fn from_str(text: &str) -> Result<Self, InvalidUserKey> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|_| InvalidUserKey)?;
            return Ok(Self::Number(UserId(number)));
        }
        text.parse().map(Self::Address).map_err(|_| InvalidUserKey)
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(UserId(number)) => write!(formatter, "number {number}"),
            Self::Address(email) => email.fmt(formatter),
        }
    }
}

/// The name of a group of users, such as `admins`: 1 to 32 of `a` to `z`, `0` to `9`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupName(String);

/// Why a text is not a [`GroupName`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "give 1 to {} small letters a to z, digits, _ and -",
    GroupName::MAX_LENGTH
)]
pub struct InvalidGroupName;

impl GroupName {
    /// The longest name. Names go into header fields, and are to fit with many others.
    const MAX_LENGTH: usize = 32;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = InvalidGroupName;

    fn from_str(text: &str) -> Result<Self, InvalidGroupName> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
        if (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidGroupName)
        }
    }
}

/// The groups of a user: `users`, which everyone is in, and their own, in one text with commas.
#[derive(Clone, PartialEq, Eq)]
pub struct GroupList(Box<str>);

impl GroupList {
    /// The group that every user is in.
    const EVERYONE: &str = "users";

    /// The list of a user's own groups, in whatever order, and that of everyone.
    pub fn with_everyone(mut own: Vec<GroupName>) -> Self {
        own.sort_by(|one, other| one.0.cmp(&other.0));
        let mut list = Self::EVERYONE.to_owned();
        for group in own.iter().filter(|group| group.0 != Self::EVERYONE) {
            list.push(',');
            list.push_str(&group.0);
        }
        Self(list.into())
    }

    /// The names, with commas between them, which no name has.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the user is in this group.
    pub fn contains(&self, group: &GroupName) -> bool {
        self.0.split(',').any(|name| name == group.0)
    }
}

impl fmt::Debug for GroupList {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A user who is logged in, as far as the session tells. What passwords are checked against is
/// not read for it.
#[derive(Clone, Debug)]
pub struct SessionUser {
    /// The number of the account.
    pub id: UserId,
    /// The address that the user logs in with.
    pub email: Email,
    /// When the session began: when its user last proved who they are.
    pub began_at: UnixTime,
    /// When use of the session was last written down.
    pub last_seen_at: UnixTime,
}

/// A stored password hash, in whatever form it is in: it may come from another system.
#[derive(Clone, PartialEq, Eq)]
pub struct HashedPassword(String);

impl HashedPassword {
    /// What no password matches, for a user who has none yet. Checking it takes as long as another hash.
    pub fn none() -> Self {
        Self("*".to_owned())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_by_number_or_address() {
        let number = |number| Ok(UserKey::Number(UserId(number)));
        let address = |text: &str| Ok(UserKey::Address(text.parse().unwrap()));
        for (text, key) in [
            ("7", number(7)),
            ("0", number(0)),
            ("9223372036854775807", number(i64::MAX)),
            ("9223372036854775808", Err(InvalidUserKey)),
            ("", Err(InvalidUserKey)),
            ("-7", Err(InvalidUserKey)),
            ("bob", Err(InvalidUserKey)),
            ("Bob@Example.org", address("bob@example.org")),
            ("7@example.org", address("7@example.org")),
        ] {
            assert_eq!(text.parse::<UserKey>(), key, "{text}");
        }
    }

    #[test]
    fn a_group_has_a_short_name_in_small_letters() {
        let longest = "x".repeat(32);
        for text in ["admins", "a", "0", "-", "night_shift-2", &longest] {
            assert_eq!(text.parse::<GroupName>().unwrap().as_str(), text);
        }
        for text in [
            "",
            "Admins",
            "a b",
            "a,b",
            "a\n",
            "\u{E9}",
            &format!("{longest}x"),
        ] {
            assert_eq!(text.parse::<GroupName>(), Err(InvalidGroupName), "{text:?}");
        }
    }
}
