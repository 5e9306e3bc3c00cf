//! The passwords that are tried first.

use std::str::Lines;

/// 46,475 passwords in lower case, one a line, in the order of their bytes.
///
/// They are those of eight characters or more among the 100,000 found most often in the leaks that
/// "Have I Been Pwned" collects, as the British National Cyber Security Centre published them
/// (`PwnedPasswordsTop100k`, 2019) and the crate `passwords` 3.1.19 carries them (MIT licence,
/// © 2018 magiclen.org). The ten thousandth of that length is the 23,000th of all, so these hold
/// the 10,000 most used ones whichever way their equals are ordered.
///
/// Text that is searched where it lies, because a table of 46,475 strings costs a process some
/// megabytes of pointers before the first sign-up.
const LINES: &str = include_str!("most_used.txt");

/// Whether this is one of them; `lower_case` is a whole password in lower case.
pub fn is_most_used(lower_case: &str) -> bool {
    lines_from(lower_case).next() == Some(lower_case)
}

/// Whether one of them is this word, in lower case, with nothing but digits and signs after it: what is
/// too short to be in the list is known by what is put behind it to make it longer.
pub fn begins_most_used(word: &str) -> bool {
    let is_letter = |text: &str| text.starts_with(char::is_alphabetic);
    lines_from(word)
        .map_while(|line| line.strip_prefix(word))
        .take_while(|rest| !is_letter(rest))
        .any(|rest| !rest.contains(char::is_alphabetic))
}

/// The lines from the first that is not less than this on.
fn lines_from(text: &str) -> Lines<'static> {
    let (mut from, mut to) = (0, LINES.len());
    while from < to {
        let middle = LINES.floor_char_boundary(usize::midpoint(from, to));
        let start = LINES[..middle].rfind('\n').map_or(0, |end| end + 1);
        let line = LINES[start..].lines().next().unwrap_or_default();
        if line < text {
            from = start + line.len() + 1;
        } else {
            to = start;
        }
    }
    LINES[from..].lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_found_and_nothing_between_two_lines() {
        for line in LINES.lines() {
            assert!(is_most_used(line), "{line}");
        }
        for text in [
            "",
            "\n",
            "00000000\n",
            "0000000",
            "\u{10FFFF}",
            "tartiflette",
        ] {
            assert!(!is_most_used(text), "{text:?}");
        }
    }

    #[test]
    fn the_lines_are_46_475_passwords_of_eight_characters_or_more_in_lower_case_and_in_order() {
        assert_eq!(LINES.lines().count(), 46_475);
        assert!(LINES.lines().is_sorted_by(|line, next| line < next));
        for line in LINES.lines() {
            assert!(line.chars().count() >= 8, "{line}");
            assert_eq!(line, line.to_lowercase());
        }
    }

    #[test]
    fn a_word_begins_a_line_that_has_only_digits_and_signs_after_it() {
        for (word, is_known) in [
            ("summer", true),
            ("monkey", true),
            ("password", true),
            ("tartiflette", false),
            ("tartiflett", false),
            ("\u{10FFFF}", false),
        ] {
            assert_eq!(begins_most_used(word), is_known, "{word}");
        }
    }
}
