//! Which passwords are too weak to be chosen, where strangers can try them.

use icu_normalizer::ComposingNormalizerBorrowed;
use zeroize::Zeroizing;

use super::received::Password;
use crate::email::Email;

mod most_used;
mod normal_form;

use most_used::{begins_most_used, is_most_used};
use normal_form::{is_pattern, words};

/// The months of the pages' other language, without accents. Those in English are among the most used
/// passwords.
const FRENCH_MONTHS: [&str; 12] = [
    "janvier",
    "fevrier",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "aout",
    "septembre",
    "octobre",
    "novembre",
    "decembre",
];

/// What a new password must be in the public exposure. Passwords that users already have are not
/// measured by it.
///
/// Long enough, not one that is tried first, not what is known of the user or the site,
/// nor any of these in disguise (see `normal_form`); which characters it is made of is its owner's own affair
/// (NIST SP 800-63B, 3.1.1.2; OWASP ASVS 6.2.1, 6.2.4, 6.2.5, 6.2.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRule {
    min_characters: usize,
    /// What the names of the site come down to.
    site: Vec<Zeroizing<String>>,
}

/// Why a password is too weak; reads on after the name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakPassword {
    /// It has fewer characters than this.
    #[error("is shorter than {0} characters")]
    Short(usize),
    /// It is among the passwords that are used most, or nearly.
    #[error("is too close to one of the most used passwords, which are tried first")]
    Common,
    /// It is the address of the account or a part of it, or nearly.
    #[error("is too close to the email address")]
    Address,
    /// It is the name of the site or a part of its host name, or nearly.
    #[error("is too close to the name or the address of this site")]
    Site,
}

impl PasswordRule {
    /// The fewest characters that may be asked for (OWASP ASVS 6.2.1).
    pub const LOWEST_MIN: usize = 8;
    /// The most characters that may be asked for: passwords of this length must be allowed (OWASP
    /// ASVS 6.2.9).
    pub const HIGHEST_MIN: usize = 64;

    /// A rule that asks for this many characters; `None` outside of [`Self::LOWEST_MIN`] to
    /// [`Self::HIGHEST_MIN`].
    pub fn new(min_characters: usize) -> Option<Self> {
        (Self::LOWEST_MIN..=Self::HIGHEST_MIN)
            .contains(&min_characters)
            .then_some(Self {
                min_characters,
                site: Vec::new(),
            })
    }

    /// The same rule for a site of this name, at this host: it refuses both, and parts of them.
    pub fn for_site(self, name: &str, host: Option<&str>) -> Self {
        let words = name.split_whitespace().filter(|word| is_long(word));
        let host = host.map(names_of_host).unwrap_or_default();
        Self {
            site: names(words.chain([name]).chain(host)),
            ..self
        }
    }

    /// The fewest characters that it asks for.
    pub fn min_characters(&self) -> usize {
        self.min_characters
    }

    /// Says whether a user with this address may choose this password.
    ///
    /// A character is a Unicode code point as received (OWASP ASVS 6.2.1 and NIST count so). Upper and
    /// lower case make no difference to what is refused, nor do the digits and signs at the ends, nor
    /// those that stand for letters.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, password: &Password, email: &Email) -> Result<(), WeakPassword> {
        let text = password.as_str();
        if text.chars().count() < self.min_characters {
            return Err(WeakPassword::Short(self.min_characters));
        }
        let words = words(text);
        let is_any_of = |names: &[Zeroizing<String>]| words.iter().any(|word| names.contains(word));
        if is_any_of(&names_of_address(email)) {
            return Err(WeakPassword::Address);
        }
        if is_any_of(&self.site) {
            return Err(WeakPassword::Site);
        }
        let nfkc = ComposingNormalizerBorrowed::new_nfkc().normalize(text.trim());
        let lower_case = Zeroizing::new(Zeroizing::new(nfkc.into_owned()).to_lowercase());
        let is_common = |word: &Zeroizing<String>| {
            is_most_used(word)
                || begins_most_used(word)
                || is_pattern(word)
                || FRENCH_MONTHS.contains(&word.as_str())
        };
        // Also where no letter and no digit is left, such as spaces.
        let is_one_character = text.chars().all(|letter| text.starts_with(letter));
        if is_one_character || is_most_used(&lower_case) || words.iter().any(is_common) {
            return Err(WeakPassword::Common);
        }
        Ok(())
    }
}

/// The address, what stands before and behind the `@`, and the parts of both.
fn names_of_address(email: &Email) -> Vec<Zeroizing<String>> {
    let (local_part, domain) = email.as_str().split_once('@').unwrap_or_default();
    let parts = local_part.split(['.', '_', '-', '+']);
    let parts = parts.filter(|part| is_long(part));
    let whole = [email.as_str(), local_part];
    names(whole.into_iter().chain(parts).chain(names_of_host(domain)))
}

/// A host name, its ends, and its labels but for the last, which is a top-level domain.
fn names_of_host(host: &str) -> Vec<&str> {
    let dots = host.match_indices('.').map(|(dot, _)| dot + 1);
    let ends = dots
        .map(|start| &host[start..])
        .filter(|end| end.contains('.'));
    let labels = host.rsplit('.').skip(1);
    ends.chain(labels).chain([host]).collect()
}

/// Whether a part of a name is a name of its own, not an initial or an `of`.
fn is_long(part: &str) -> bool {
    part.chars().count() >= 4
}

/// What names come down to, as a password does.
fn names<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Zeroizing<String>> {
    texts.flat_map(words).collect()
}

impl Default for PasswordRule {
    fn default() -> Self {
        Self {
            min_characters: Self::LOWEST_MIN,
            site: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &PasswordRule, text: &str) -> Result<(), WeakPassword> {
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
            (&('\u{1F600}'..'\u{1F608}').collect::<String>(), Ok(())),
            ("e\u{301}u\u{301}i\u{301}q\u{301}", Ok(())),
            (" a  k  x", Ok(())),
        ] {
            assert_eq!(check(&rule, text), verdict, "{text}");
        }
        let rule = PasswordRule::new(15).unwrap();
        assert_eq!(check(&rule, "r3bl0ch0n.3.14"), Err(WeakPassword::Short(15)));
        assert_eq!(check(&rule, "r3bl0ch0n.3.141"), Ok(()));
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
                check(&PasswordRule::default(), text),
                Err(WeakPassword::Common),
                "{text}"
            );
        }
    }

    #[test]
    fn the_address_and_its_parts_are_refused_in_any_disguise() {
        for text in [
            "tartiflette.lover@example.org",
            "Tartiflette.Lover@Example.org",
            "tartiflette.lover",
            "TARTIFLETTE.LOVER",
            "tartiflettelover",
            "tartiflette",
            "T@rtiflette2026!",
            "example.org",
            "Example2026!",
        ] {
            assert_eq!(
                check(&PasswordRule::default(), text),
                Err(WeakPassword::Address),
                "{text}"
            );
        }
    }

    #[test]
    fn the_most_used_passwords_are_refused_in_any_disguise() {
        for text in [
            "        ",
            "\u{200B}\u{200B}\u{200B}\u{200B}\u{200B}\u{200B}\u{200B}\u{200B}",
            "--------",
            "\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}\u{1F600}",
            "Juillet2026",
            "F\u{E9}vrier2026!",
            "P@ssw0rd!",
            "Summer2026!",
            "Winter2025",
            "2026Summer!",
            "$umm3r2026",
            "password ",
            " password",
            "pass word",
            "\u{FF50}\u{FF41}\u{FF53}\u{FF53}\u{FF57}\u{FF4F}\u{FF52}\u{FF44}",
            "p\u{E4}ssw\u{F6}rd",
            "p455w0rd",
            "Pa$$word1",
            "Passw0rd123!",
            "password2026",
            "!!password!!",
            "passwordpassword",
            "Welcome1!",
            "Qwerty123!",
            "Azerty123!",
            "Admin123!",
            "Letmein123$",
            "Iloveyou2!",
            "i love you",
            "M0nkey2026!",
            "michael19850412",
            "abcd1234!",
            "abcdefghijklmnop",
            "qwertyuiopasdf",
            "aaaaaaaaaaaaaaaaaaaa",
            "1212121212121212",
            "ha ha ha ha ha",
        ] {
            let verdict = check(&PasswordRule::default(), text);
            assert_eq!(verdict, Err(WeakPassword::Common), "{text}");
        }
    }

    #[test]
    fn the_names_of_the_site_are_refused_in_any_disguise() {
        let rule = PasswordRule::default();
        let rule = rule.for_site("Caf\u{E9} Reblochon 74", Some("auth.reblo-chon.co.uk"));
        for text in [
            "Caf\u{E9} Reblochon 74",
            "cafereblochon",
            "Reblochon!",
            "R3bl0ch0n2026",
            "auth.reblo-chon.co.uk",
            "reblo-chon.co.uk",
            "Reblo-Chon2026",
            "Auth2026!",
        ] {
            assert_eq!(check(&rule, text), Err(WeakPassword::Site), "{text}");
            assert_ne!(
                check(&PasswordRule::default(), text),
                Err(WeakPassword::Site)
            );
        }
    }

    #[test]
    fn phrases_and_generated_passwords_are_taken() {
        let rule = PasswordRule::default();
        let rule = rule.for_site("Bienvenue", Some("auth.example.org"));
        for text in [
            "correct horse battery staple",
            "tartiflette au reblochon",
            "r3bl0ch0n de savoie",
            "the summer of 2026 in Savoie",
            "my password is a secret cheese",
            "kx8Qz!p2Lw",
            "h7Tq93xkPv",
            "hukzi0-cyvpYs-bogdeg",
            "Xk4-ru9-Wq2-bm7",
            "4f0c9b1e7a2d",
            "482910573648",
            "9k3jd8s2a1",
            "\u{41C}\u{43E}\u{439} \u{441}\u{44B}\u{440} \u{432} \u{433}\u{43E}\u{440}\u{430}\u{445}",
            "\u{5317}\u{4EAC}\u{7684}\u{79CB}\u{5929}\u{5F88}\u{7F8E}\u{4E3D}",
        ] {
            assert_eq!(check(&rule, text), Ok(()), "{text}");
        }
    }

    #[test]
    fn of_ten_random_characters_hardly_any_are_refused() {
        const CHARACTERS: &[u8] =
            b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&*+-@";
        let rule = PasswordRule::default();
        let mut state: u64 = 1;
        let mut random = || {
            // Marsaglia's xorshift64.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let index = state % CHARACTERS.len() as u64;
            char::from(CHARACTERS[usize::try_from(index).unwrap()])
        };
        let refused = (0..10_000).filter(|_| {
            let text: String = (0..10).map(|_| random()).collect();
            check(&rule, &text).is_err()
        });
        assert!(refused.count() <= 5);
    }

    #[test]
    fn at_least_8_and_at_most_64_characters_can_be_asked_for() {
        for (characters, is_taken) in [(7, false), (8, true), (64, true), (65, false)] {
            assert_eq!(PasswordRule::new(characters).is_some(), is_taken);
        }
        assert_eq!(PasswordRule::new(8), Some(PasswordRule::default()));
    }
}
