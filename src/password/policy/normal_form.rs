//! The plain words that a password comes down to for who guesses it: `P@ssw0rd!`, ` password1` and
//! full-width letters are tried right after `password`.

use icu_normalizer::DecomposingNormalizerBorrowed;
use zeroize::Zeroizing;

/// The fewest characters of a word. Anything shorter is part of too many good passwords.
const MIN_CHARACTERS: usize = 3;

/// A repeated unit of at most so many characters is a weak password, whatever the unit is.
const MAX_REPEATED_CHARACTERS: usize = 4;

/// The fewest characters of a run that are a weak password.
const MIN_RUN_CHARACTERS: usize = 5;

/// What lies side by side: the alphabet, digits, and the letters of keyboards in their three orders.
const RUNS: [&str; 6] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertzuiopasdfghjklyxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
];

/// A text in lower case and compatibility characters (Unicode's NFKD), without accents, separators
/// and what does not show. Signs that stand for letters stay.
fn plain(text: &str) -> Zeroizing<String> {
    let decomposed = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    let decomposed = Zeroizing::new(decomposed.into_owned());
    let lower_case = Zeroizing::new(decomposed.to_lowercase());
    let is_kept = |letter: &char| letter.is_alphanumeric() || letters_of(*letter).is_some();
    Zeroizing::new(lower_case.chars().filter(is_kept).collect())
}

/// The words that a password comes down to: its plain text with and without the digits and signs at
/// its ends, with and without letters in the place of the digits and signs that look like them; of a
/// repeated word that word too.
pub fn words(password: &str) -> Vec<Zeroizing<String>> {
    let text: Zeroizing<Vec<char>> = Zeroizing::new(plain(password).chars().collect());
    let mut words = Vec::new();
    let digits = |letters: &mut dyn Iterator<Item = &char>| {
        letters.take_while(|letter| !letter.is_alphabetic()).count()
    };
    let starts = cuts(digits(&mut text.iter()));
    let ends = cuts(digits(&mut text.iter().rev()));
    for start in starts {
        for end in ends.map(|end| text.len() - end) {
            let Some(word) = text.get(start..end) else {
                continue;
            };
            let unit = repeated_unit(word);
            for letters in [word, unit] {
                if letters.len() >= MIN_CHARACTERS {
                    words.push(letters.iter().collect::<String>().into());
                    words.extend([0, 1].map(|choice| with_letters(letters, choice)));
                }
            }
        }
    }
    words.sort_unstable_by(|word, other| word.as_str().cmp(other));
    words.dedup();
    words
}

/// Whether it is a short unit again and again, or a run of the alphabet or of a keyboard.
pub fn is_pattern(word: &str) -> bool {
    let letters: Zeroizing<Vec<char>> = Zeroizing::new(word.chars().collect());
    let unit = repeated_unit(&letters).len();
    let backwards: Zeroizing<String> = Zeroizing::new(word.chars().rev().collect());
    (unit <= MAX_REPEATED_CHARACTERS && letters.len() >= 2 * unit.max(MIN_CHARACTERS))
        || letters.len() >= MIN_RUN_CHARACTERS
            && RUNS
                .iter()
                .any(|run| run.contains(word) || run.contains(&**backwards))
}

/// Where to cut off digits and signs, of which there are so many: nowhere, before the letters, or one
/// or two before them, which may stand for letters themselves.
fn cuts(digits: usize) -> [usize; 4] {
    [
        0,
        digits.saturating_sub(2),
        digits.saturating_sub(1),
        digits,
    ]
}

/// The shortest start that gives the whole when it is repeated.
fn repeated_unit(letters: &[char]) -> &[char] {
    let length = letters.len();
    let is_unit =
        |unit: &usize| length.is_multiple_of(*unit) && letters[*unit..] == letters[..length - unit];
    let unit = (1..length).find(is_unit).unwrap_or(length);
    &letters[..unit]
}

/// The word with letters for what looks like them; the first or the second letter where there are two.
fn with_letters(word: &[char], choice: usize) -> Zeroizing<String> {
    let letter = |letter: &char| letters_of(*letter).map_or(*letter, |letters| letters[choice]);
    Zeroizing::new(word.iter().map(letter).collect())
}

/// The letters that a digit or a sign stands for.
fn letters_of(sign: char) -> Option<[char; 2]> {
    Some(match sign {
        '@' | '4' => ['a', 'a'],
        '8' => ['b', 'b'],
        '3' | '\u{20AC}' => ['e', 'e'],
        '6' | '9' => ['g', 'g'],
        '1' | '!' | '|' => ['i', 'l'],
        '0' => ['o', 'o'],
        '$' | '5' => ['s', 's'],
        '7' | '+' => ['t', 't'],
        '2' => ['z', 'z'],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_has_no_case_accents_separators_or_wide_letters() {
        for (text, expected) in [
            (" Pass Word\t", "password"),
            ("p.a-s_s,w'o\"r/d", "password"),
            ("\u{FF30}\u{FF41}\u{FF53}\u{FF53}", "pass"),
            ("p\u{E4}ss\u{200B}w\u{F6}rd\u{AD}", "password"),
            ("\u{1D4F9}\u{1D4EA}\u{1D4FC}\u{1D4FC}", "pass"),
            ("P@$$!", "p@$$!"),
            (
                "\u{41F}\u{430}\u{440}\u{43E}\u{43B}\u{44C}",
                "\u{43F}\u{430}\u{440}\u{43E}\u{43B}\u{44C}",
            ),
        ] {
            assert_eq!(*plain(text), expected, "{text}");
        }
    }

    #[test]
    fn a_password_comes_down_to_its_words() {
        for (password, word) in [
            ("P@ssw0rd!", "password"),
            ("$ummer2026!", "summer"),
            ("2026$ummer", "summer"),
            ("12345passwor6", "passwor"),
            ("pa$$", "pass"),
            ("1l1ke", "ilike"),
            ("1ove4ever", "loveaever"),
            ("p455w0rd", "password"),
            ("password password", "password"),
            ("Studio54!", "studio54"),
        ] {
            let words = words(password);
            assert!(
                words.iter().any(|other| **other == word),
                "{password}: {words:?}"
            );
        }
    }

    #[test]
    fn a_long_password_has_few_words() {
        for password in [
            "1".repeat(1024),
            "1a".repeat(512),
            "a1".repeat(512),
            "x!".repeat(300),
        ] {
            assert!(words(&password).len() <= 96);
        }
        assert!(words("\u{1F600}\u{1F601}").is_empty());
    }

    #[test]
    fn repetitions_and_runs_are_patterns() {
        for word in [
            "aaaaaaaa",
            "abababab",
            "12121212",
            "abcabc",
            "20262026",
            "abcdef",
            "fedcba",
            "asdfgh",
            "azerty",
            "poiuytreza",
            "1qaz2wsx3edc",
            "09876",
        ] {
            assert!(is_pattern(word), "{word}");
        }
        for word in [
            "aa",
            "abcd",
            "tartiflette",
            "correcthorse",
            "lalo",
            "tomatoes",
        ] {
            assert!(!is_pattern(word), "{word}");
        }
    }
}
