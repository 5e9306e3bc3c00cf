//! E-mail addresses, canonical in one place.

use std::fmt;
use std::str::FromStr;

/// The longest address that mail can be delivered to, in bytes (RFC 5321, 4.5.3.1.3, less the
/// two angle brackets).
pub const MAX_BYTES: usize = 254;
/// The longest part before the `@`, in bytes (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL_PART_BYTES: usize = 64;
/// The longest label of a domain name, in bytes (RFC 1035, 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// One e-mail address in the only spelling that is stored, looked up and written to: trimmed,
/// ASCII, lower-cased.
///
/// ASCII only, because Unicode has letters that fold or look like others: an address that merely
/// resembles a stored one must never be taken for it (CVE-2019-19844). Folding ASCII is also the
/// one kind of folding on which Rust, SQLite and PostgreSQL agree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is not an [`Email`]; reads on after the name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmail {
    /// The text is longer than any deliverable address.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// The text is not exactly one plain address.
    #[error("is not an email address")]
    Malformed,
    /// The text may be an address, of a kind that is not supported: mail to it needs SMTPUTF8 (RFC 6531)
    /// of every server on the way, and its letters can look like those of another address.
    #[error("has characters other than ASCII, which are not supported")]
    NotAscii,
}

impl Email {
    /// The address as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    pub fn local_part(&self) -> &str {
        self.0
            .split_once('@')
            .map_or("", |(local_part, _)| local_part)
    }

    /// What stands behind the `@`.
    pub fn domain(&self) -> &str {
        self.0.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// The address as logs may show it, such as `b***@example.org`: enough to recognize it by, not
    /// enough to write to it.
    pub fn masked(&self) -> String {
        let (local_part, domain) = self.0.split_once('@').unwrap_or_default();
        format!("{}***@{domain}", &local_part[..local_part.len().min(1)])
    }
}

/// A text in the spelling of an [`Email`], to show what was asked for: trimmed, in lower case, and cut off
/// at [`MAX_BYTES`].
pub fn spelled_as_address(text: &str) -> String {
    let text = text.trim();
    text[..text.floor_char_boundary(MAX_BYTES)].to_ascii_lowercase()
}

impl FromStr for Email {
    type Err = InvalidEmail;

    /// Reads one address, in the plain form that people have: a dot-atom, `@`, a host name
    /// (RFC 5321, 4.1.2, without quoted strings, comments and address literals, which let two
    /// addresses hide in one).
    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.len() > MAX_BYTES {
            return Err(InvalidEmail::TooLong);
        }
        let (local_part, domain) = text.split_once('@').ok_or(InvalidEmail::Malformed)?;
        if !text.is_ascii() {
            return Err(InvalidEmail::NotAscii);
        }
        if is_local_part(local_part) && is_host_name(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidEmail::Malformed)
        }
    }
}

impl fmt::Display for Email {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| !atom.is_empty() && atom.bytes().all(is_atom_byte);
    text.len() <= MAX_LOCAL_PART_BYTES && text.split('.').all(is_atom)
}

/// `atext` of RFC 5322, 3.2.3.
fn is_atom_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte)
}

fn is_host_name(text: &str) -> bool {
    text.split('.').all(|label| {
        (1..=MAX_LABEL_BYTES).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_trimmed_and_lower_cased() {
        let email: Email = " \tGuillaume@Holberton.IO\r\n".parse().unwrap();
        assert_eq!(email.as_str(), "guillaume@holberton.io");
    }

    #[test]
    fn any_text_is_shown_in_the_spelling_of_an_address() {
        let long = "\u{E9}".repeat(MAX_BYTES);
        for (text, shown) in [
            (" \tGuillaume@Holberton.IO\r\n", "guillaume@holberton.io"),
            (" Bob ", "bob"),
            (" ", ""),
            ("X\u{E9}", "x\u{E9}"),
            (&long, &long[..MAX_BYTES]),
            (&format!("x{long}"), &format!("x{}", &long[..MAX_BYTES - 2])),
        ] {
            assert_eq!(spelled_as_address(text), shown);
        }
    }

    #[test]
    fn a_masked_address_shows_a_letter_and_the_domain() {
        for (text, masked) in [("bob@example.org", "b***@example.org"), ("a@b", "a***@b")] {
            assert_eq!(text.parse::<Email>().unwrap().masked(), masked);
        }
    }

    #[test]
    fn plain_addresses_are_read() {
        for text in [
            "a@b",
            "me@localhost",
            "first.last+tag@mail.example.org",
            "o'brien_{1}@xn--bcher-kva.example",
        ] {
            assert_eq!(text.parse::<Email>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn anything_but_one_plain_address_is_malformed() {
        for text in [
            "",
            " ",
            "bob",
            "@example.org",
            "bob@",
            "a@b@c",
            "a@b,c@d",
            "a@b;c@d",
            "a@b c@d",
            "a@b\nc@d",
            "a@b\r\nBcc: c@d",
            "a\0@b",
            "\"a b\"@c",
            "Bob <bob@example.org>",
            "bob(comment)@example.org",
            "bob@[127.0.0.1]",
            ".bob@example.org",
            "bob.@example.org",
            "b..ob@example.org",
            "bob@example..org",
            "bob@.org",
            "bob@org.",
            "bob@-example.org",
            "bob@example-.org",
            "m\u{131}ke@example.org",
            "mi\u{212A}e@example.org",
            "mike\u{200B}@example.org",
            "mike@ex\u{E4}mple.org",
        ] {
            let error = if text.trim().is_ascii() || !text.contains('@') {
                InvalidEmail::Malformed
            } else {
                InvalidEmail::NotAscii
            };
            assert_eq!(text.parse::<Email>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn lengths_end_where_the_standards_say() {
        let domain = format!("{0}.{0}.{0}", "d".repeat(MAX_LABEL_BYTES));
        let longest = format!("{}@{domain}", "l".repeat(MAX_BYTES - 1 - domain.len()));
        assert!(longest.parse::<Email>().is_ok());
        assert_eq!(
            format!("l{longest}").parse::<Email>(),
            Err(InvalidEmail::TooLong)
        );
        assert!(format!("{}@b", "l".repeat(64)).parse::<Email>().is_ok());
        assert!(format!("{}@b", "l".repeat(65)).parse::<Email>().is_err());
        assert!(format!("a@{}", "d".repeat(63)).parse::<Email>().is_ok());
        assert!(format!("a@{}", "d".repeat(64)).parse::<Email>().is_err());
    }
}
