//! Which passwords are too weak to be chosen, where strangers can try them.

use zeroize::Zeroizing;

use super::Password;
use super::most_used::is_most_used;
use crate::email::Email;

/// What a new password must be in the public exposure. Passwords that users already have are not
/// measured by it.
///
/// Long enough, not one that everybody tries first, not what everybody knows of the user; which
/// characters it is made of is its owner's own affair (NIST SP 800-63B, 3.1.1.2; OWASP ASVS 6.2.1,
/// 6.2.4, 6.2.5, 6.2.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordRule {
    min_characters: usize,
}

/// Why a password is too weak; reads on after the name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has fewer characters than this.
    #[error("is shorter than {0} characters")]
    Short(usize),
    /// It is among the passwords that are used most.
    #[error("is one of the most used passwords, which are tried first")]
    Common,
    /// It is the address of the account, or what stands before the `@`.
    #[error("is the email address or the name in it")]
    Address,
}

impl PasswordRule {
    /// The fewest characters that may be asked for (OWASP ASVS 6.2.1).
    pub const LOWEST_MIN: usize = 8;
    /// The most characters that may be asked for: passwords of this length must be allowed (OWASP
    /// ASVS 6.2.9).
    pub const HIGHEST_MIN: usize = 64;

    /// A rule that asks for this many characters; `None` outside of [`Self::LOWEST_MIN`] to
    /// [`Self::HIGHEST_MIN`].
    #[must_use]
    pub fn new(min_characters: usize) -> Option<Self> {
        (Self::LOWEST_MIN..=Self::HIGHEST_MIN)
            .contains(&min_characters)
            .then_some(Self { min_characters })
    }

    /// The fewest characters that it asks for.
    #[must_use]
    pub fn min_characters(self) -> usize {
        self.min_characters
    }

    /// Says whether a user with this address may choose this password.
    ///
    /// A character is a Unicode code point (OWASP ASVS 6.2.1 and NIST count so). Upper and lower
    /// case make no difference to what is refused.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(self, password: &Password, email: &Email) -> Result<(), WeakPassword> {
        let text = &*password.0;
        if text.chars().count() < self.min_characters {
            return Err(WeakPassword::Short(self.min_characters));
        }
        let lower_case = Zeroizing::new(text.to_lowercase());
        if *lower_case == email.as_str() || *lower_case == email.local_part() {
            return Err(WeakPassword::Address);
        }
        if is_most_used(&lower_case) {
            return Err(WeakPassword::Common);
        }
        Ok(())
    }
}

impl Default for PasswordRule {
    fn default() -> Self {
        Self {
            min_characters: Self::LOWEST_MIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: PasswordRule, text: &str) -> Result<(), WeakPassword> {
        let email = "tartiflette.lover@example.org".parse().unwrap();
        rule.check(&text.parse().unwrap(), &email)
    }

    #[test]
    fn characters_are_code_points() {
        let rule = PasswordRule::default();
        for (text, verdict) in [
            ("t4rt1fl", Err(WeakPassword::Short(8))),
            ("t4rt1fl3", Ok(())),
            (&"\u{1F600}".repeat(7), Err(WeakPassword::Short(8))),
            (&"\u{1F600}".repeat(8), Ok(())),
            ("e\u{301}e\u{301}e\u{301}e\u{301}", Ok(())),
            (" a  b  c", Ok(())),
        ] {
            assert_eq!(check(rule, text), verdict, "{text}");
        }
        let rule = PasswordRule::new(15).unwrap();
        assert_eq!(check(rule, "t4rt1fl3tt3.14"), Err(WeakPassword::Short(15)));
        assert_eq!(check(rule, "t4rt1fl3tt3.141"), Ok(()));
    }

    #[test]
    fn the_most_used_passwords_are_refused_in_any_case() {
        // The most used ones of eight characters or more, by several leaks.
        for text in [
            "password",
            "PASSWORD",
            "Password1",
            "passw0rd",
            "P@ssw0rd",
            "12345678",
            "123456789",
            "1234567890",
            "11111111",
            "87654321",
            "qwertyuiop",
            "QwertyUiop",
            "1q2w3e4r",
            "1qaz2wsx",
            "iloveyou",
            "sunshine",
            "princess",
            "football",
            "baseball",
            "superman",
            "trustno1",
            "password123",
            "qwerty123",
            "!QAZ2wsx",
            "АЛЕКСАНДР",
        ] {
            assert_eq!(
                check(PasswordRule::default(), text),
                Err(WeakPassword::Common),
                "{text}"
            );
        }
    }

    #[test]
    fn the_address_and_its_name_are_refused_in_any_case() {
        for text in [
            "tartiflette.lover@example.org",
            "Tartiflette.Lover@Example.org",
            "tartiflette.lover",
            "TARTIFLETTE.LOVER",
        ] {
            assert_eq!(
                check(PasswordRule::default(), text),
                Err(WeakPassword::Address),
                "{text}"
            );
        }
        assert_eq!(check(PasswordRule::default(), "tartiflette"), Ok(()));
    }

    #[test]
    fn a_phrase_needs_no_digits_and_no_signs() {
        assert_eq!(
            check(PasswordRule::default(), "correct horse battery staple"),
            Ok(())
        );
    }

    #[test]
    fn at_least_8_and_at_most_64_characters_can_be_asked_for() {
        for (characters, is_taken) in [(7, false), (8, true), (64, true), (65, false)] {
            assert_eq!(PasswordRule::new(characters).is_some(), is_taken);
        }
        assert_eq!(PasswordRule::new(8), Some(PasswordRule::default()));
    }
}
