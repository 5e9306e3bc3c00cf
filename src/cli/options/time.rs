//! Lengths of time, such as `90s` or `14d`.

use std::time::Duration;

/// Reads a time of a second or more.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time >= Duration::from_secs(1) => Ok(time),
        _ => Err("give a time of a second or more, such as 90s, 30m, 12h or 14d".to_owned()),
    }
}
