//! The passwords that everybody tries first.

/// 46,475 passwords in lower case, one a line, in the order of their bytes.
///
/// They are those of eight characters or more among the 100,000 found most often in the leaks that
/// "Have I Been Pwned" collects, as the British National Cyber Security Centre published them
/// (`PwnedPasswordsTop100k`, 2019) and the crate `passwords` 3.1.19 carries them (MIT licence,
/// © 2018 magiclen.org). The ten thousandth of that length is the 23,000th of all, so these hold
/// the 10,000 most used ones whichever way their equals are ordered.
///
/// Text that is searched where it lies, because a table of 46,475 strings costs a process some
/// megabytes of pointers before anybody has signed up.
const LINES: &str = include_str!("most_used.txt");

/// Whether this is one of them; `lower_case` is a whole password in lower case.
pub fn is_most_used(lower_case: &str) -> bool {
    let mut rest = LINES;
    while let Some((before, line, after)) = middle_line(rest) {
        rest = match lower_case.cmp(line) {
            std::cmp::Ordering::Less => before,
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Greater => after,
        };
    }
    false
}

/// The line around the middle of whole lines, with the lines before and after it; `None` where
/// there are no more.
fn middle_line(lines: &str) -> Option<(&str, &str, &str)> {
    let middle = lines.floor_char_boundary(lines.len() / 2);
    let start = lines[..middle].rfind('\n').map_or(0, |end| end + 1);
    let (line, after) = lines[start..].split_once('\n')?;
    Some((&lines[..start], line, after))
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
}
