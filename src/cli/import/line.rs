//! What a line of a file comes to, whatever the format.

use std::time::UNIX_EPOCH;

use crate::auth::administration::{ImportedUser, Unusable};
use crate::clock::UnixTime;

/// The longest line, in bytes: far beyond any user, and little to hold.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most groups of a user, so that the users of a batch are little to hold.
pub const MAX_GROUPS: usize = 128;

/// The last second of the year 9999, after which RFC 3339 has no times.
const LAST_SECOND: i64 = 253_402_300_799;

/// A user of a file, or why it is none.
pub struct Line {
    /// The number of the line, or of the row of a table.
    pub position: i64,
    /// What stands there.
    pub user: Result<ImportedUser, Problem>,
}

/// Why a line is not taken over. Shows nothing of it but a valid address: a field may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("is not closed by a quote, or longer than {MAX_BYTES} bytes")]
    TooLongOrOpen,
    #[error("an address or a hash is longer than any that is usable")]
    ValueTooLong,
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("has {0} fields, where the header has {1}")]
    Fields(usize, usize),
    #[error("is not a JSON object: see column {0}")]
    NotJson(usize),
    #[error("has no {0}")]
    Missing(&'static str),
    #[error("{0} is not {1}")]
    WrongType(&'static str, &'static str),
    #[error("has more than {MAX_GROUPS} groups")]
    TooManyGroups,
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// What a moment is written as.
pub const MOMENT: &str = "a time of RFC 3339, such as 2026-11-28T09:30:00Z, or in Unix seconds";

/// Reads a moment as RFC 3339 writes it, or in Unix seconds.
pub fn moment(text: &str) -> Option<UnixTime> {
    if let Ok(seconds) = text.parse() {
        return moment_of_seconds(seconds);
    }
    let time = text.get(10..)?;
    let offset_at = time.find(['Z', 'z', '+', '-'])? + 10;
    let (local, offset) = text.split_at(offset_at);
    let seconds = match offset {
        "Z" | "z" => 0,
        _ => offset_seconds(offset)?,
    };
    // In UTC this is what it would be there.
    let local = humantime::parse_rfc3339(&format!("{}Z", local.to_ascii_uppercase())).ok()?;
    let local = local.duration_since(UNIX_EPOCH).ok()?.as_secs();
    moment_of_seconds(i64::try_from(local).ok()? - seconds)
}

/// A moment in Unix seconds. `None` for one that RFC 3339 does not write, such as one in milliseconds.
pub fn moment_of_seconds(seconds: i64) -> Option<UnixTime> {
    (0..=LAST_SECOND)
        .contains(&seconds)
        .then_some(UnixTime(seconds))
}

/// `+hh:mm` or `-hh:mm`.
fn offset_seconds(offset: &str) -> Option<i64> {
    let digits = offset.get(1..)?;
    let (hours, minutes) = digits.split_once(':')?;
    let number = |text: &str, most: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number: Option<i64> = text.parse().ok().filter(|_| is_number);
        number.filter(|number| *number <= most)
    };
    let seconds = number(hours, 23)? * 3600 + number(minutes, 59)? * 60;
    Some(if offset.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_rfc_3339_or_unix_seconds() {
        for (text, seconds) in [
            ("1800000000", Some(1_800_000_000)),
            ("0", Some(0)),
            ("2027-01-15T08:00:00Z", Some(1_800_000_000)),
            ("2027-01-15t08:00:00.999z", Some(1_800_000_000)),
            ("2027-01-15T10:30:00+02:30", Some(1_800_000_000)),
            ("2027-01-14T23:00:00.5-09:00", Some(1_800_000_000)),
            ("-1", None),
            ("1800000000000", None),
            ("", None),
            ("2027-01-15", None),
            ("2027-01-15T08:00:00", None),
            ("2027-01-15T08:00:00+24:00", None),
            ("2027-01-15T08:00:00+0200", None),
            ("2027-13-15T08:00:00Z", None),
            ("1969-12-31T23:59:59Z", None),
            ("\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}\u{E9}", None),
        ] {
            assert_eq!(moment(text), seconds.map(UnixTime), "{text}");
        }
    }
}
