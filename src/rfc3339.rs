//! Moments as RFC 3339 writes them: what is printed, and what is imported.

use std::time::{Duration, UNIX_EPOCH};

use crate::clock::UnixTime;

/// The last second whose year has four digits, as RFC 3339 asks for.
const LAST_SECOND: i64 = 253_402_300_799;

/// A moment in UTC. One that cannot be written is the nearest that can.
pub fn write(time: UnixTime) -> String {
    let seconds = u64::try_from(time.0.clamp(0, LAST_SECOND)).unwrap_or(0);
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

/// Reads a moment as RFC 3339 writes it, or in Unix seconds.
pub fn read(text: &str) -> Option<UnixTime> {
    if let Ok(seconds) = text.parse() {
        return of_seconds(seconds);
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
    of_seconds(i64::try_from(local).ok()? - seconds)
}

/// A moment in Unix seconds. `None` for one that RFC 3339 does not write, such as one in milliseconds.
pub fn of_seconds(seconds: i64) -> Option<UnixTime> {
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
            assert_eq!(read(text), seconds.map(UnixTime), "{text}");
        }
    }

    #[test]
    fn times_are_in_rfc_3339_whatever_is_stored() {
        for (seconds, text) in [
            (1_800_000_000, "2027-01-15T08:00:00Z"),
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1970-01-01T00:00:00Z"),
            (i64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(write(UnixTime(seconds)), text);
        }
    }
}
