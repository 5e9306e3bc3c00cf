//! A password as it is received.

use std::fmt;
use std::str::FromStr;

use zeroize::Zeroizing;

/// The longest password, in bytes.
pub const MAX_BYTES: usize = 1024;

/// A password as its owner typed it: not trimmed, not normalized, any characters but NUL
/// (NIST SP 800-63B, 3.1.1.2; OWASP ASVS 6.2.8).
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// Why a text cannot be a [`Password`]; reads on after the name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Nothing was typed.
    #[error("is empty")]
    Empty,
    /// It is longer than anyone types or stores.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Other programs' bcrypt ends a password at the first NUL, so a hash that moved in from
    /// there would accept whatever follows (CVE-2024-3096).
    #[error("contains a nul character")]
    Nul,
}

impl FromStr for Password {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        if text.is_empty() {
            Err(InvalidPassword::Empty)
        } else if text.len() > MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if text.contains('\0') {
            Err(InvalidPassword::Nul)
        } else {
            Ok(Self(Zeroizing::new(text.to_owned())))
        }
    }
}

impl Password {
    /// The text of the password.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    #[test]
    fn a_password_is_taken_as_received() {
        for text in [
            "b4l0u",
            " a b ",
            "\r\n\t",
            "e\u{301}",
            &"\u{1F600}".repeat(18),
        ] {
            assert_eq!(*password(text).as_str(), *text);
        }
    }

    #[test]
    fn a_password_has_1_to_1024_bytes_and_no_nul() {
        assert_eq!("".parse::<Password>().unwrap_err(), InvalidPassword::Empty);
        assert!("x".repeat(1024).parse::<Password>().is_ok());
        assert_eq!(
            "x".repeat(1025).parse::<Password>().unwrap_err(),
            InvalidPassword::TooLong
        );
        assert_eq!(
            "a\0b".parse::<Password>().unwrap_err(),
            InvalidPassword::Nul
        );
    }

    #[test]
    fn a_password_hides_itself() {
        assert_eq!(format!("{:?}", password("b4l0u")), "Password(redacted)");
    }
}
