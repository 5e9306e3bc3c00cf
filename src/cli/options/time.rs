//! Lengths of time, such as `90s` or `14d`.

use std::time::Duration;

/// Reads a time of a second or more.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time >= Duration::from_secs(1) => Ok(time),
        _ => Err("give a time of a second or more, such as 90s, 30m, 12h or 14d".to_owned()),
    }
}

/// Writes a time as people do: in the largest unit of which it is a whole number.
pub fn format_time(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", 24 * 60 * 60), ("h", 60 * 60), ("m", 60), ("s", 1)];
    let whole = |(_, unit): &(&str, u64)| time.subsec_nanos() == 0 && seconds.is_multiple_of(*unit);
    match units.into_iter().find(whole) {
        Some((letter, unit)) => format!("{}{letter}", seconds / unit),
        None => format!("{}ms", time.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_it_is_read() {
        for text in ["14d", "36h", "90m", "61s", "1500ms"] {
            assert_eq!(format_time(parse_time(text).unwrap()), text);
        }
    }
}
