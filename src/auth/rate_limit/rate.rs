//! How often something may happen, in a few characters.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The most that may happen in a period: more than any service sees, few enough to count in
/// microseconds.
const MAX_COUNT: u32 = 1_000_000;

/// The longest period. Who is refused should not have to wait longer.
const MAX_PERIOD: Duration = Duration::from_hours(30 * 24);

/// How often something may happen: so many times in a period, or without limit.
///
/// Written `10/m`, `5/15m`, `100/h`, or `off`. It is a bucket of so many tokens: all of them may be
/// used at once, and they come back one by one, evenly over the period. So twice the count may happen
/// within one period, and never more than the count a period in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Option<Quota>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Quota {
    count: u32,
    period: Duration,
}

/// Why a text is not a [`Rate`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    /// It is not a count, a slash and a time.
    #[error("give how often and in what time, such as 10/m, 5/15m or 100/h; or off")]
    Malformed,
    /// The count is out of bounds.
    #[error("give a count from 1 to {MAX_COUNT}, such as 10/m; or off")]
    Count,
    /// The time is out of bounds.
    #[error("give a time from 1s to 30d, such as 10/m or 5/15m")]
    Period,
}

impl Rate {
    /// Without limit.
    pub const OFF: Self = Self(None);

    /// So many times an hour.
    pub const fn per_hour(count: u32) -> Self {
        let period = Duration::from_hours(1);
        Self(Some(Quota { count, period }))
    }

    /// So many times as often.
    pub fn times(self, multiple: u32) -> Self {
        Self(self.0.map(|quota| Quota {
            count: quota.count.saturating_mul(multiple),
            ..quota
        }))
    }

    /// How many tokens there are, and how long each takes to come back; `None` without limit.
    ///
    /// In whole microseconds, rounded up: what is written is never exceeded.
    pub fn tokens(self) -> Option<(u32, Duration)> {
        let Quota { count, period } = self.0?;
        let refill = period.as_micros().div_ceil(u128::from(count));
        let refill = u64::try_from(refill).unwrap_or(u64::MAX);
        Some((count, Duration::from_micros(refill)))
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let (count, period) = text.split_once('/').ok_or(InvalidRate::Malformed)?;
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidRate::Malformed);
        }
        let one = if period.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
            "1"
        } else {
            ""
        };
        let period = humantime::parse_duration(&format!("{one}{period}"))
            .map_err(|_| InvalidRate::Malformed)?;
        // Digits that do not fit are a number that is too large.
        let count = count.parse().unwrap_or(u32::MAX);
        if !(1..=MAX_COUNT).contains(&count) {
            Err(InvalidRate::Count)
        } else if !(Duration::from_secs(1)..=MAX_PERIOD).contains(&period) {
            Err(InvalidRate::Period)
        } else {
            Ok(Self(Some(Quota { count, period })))
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Quota { count, period }) = self.0 else {
            return formatter.write_str("off");
        };
        let period = humantime::format_duration(period)
            .to_string()
            .replace(' ', "");
        let period = match period.strip_prefix('1') {
            Some(unit) if unit.bytes().all(|byte| byte.is_ascii_alphabetic()) => unit,
            _ => &period,
        };
        write!(formatter, "{count}/{period}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_is_a_count_and_a_time() {
        for (text, count, seconds, refill) in [
            ("10/m", 10, 60, 6_000_000),
            ("5/15m", 5, 900, 180_000_000),
            ("100/h", 100, 3600, 36_000_000),
            ("1/s", 1, 1, 1_000_000),
            ("3/1d", 3, 86400, 28_800_000_000),
            ("7/1m30s", 7, 90, 12_857_143),
            ("1000000/s", 1_000_000, 1, 1),
        ] {
            let period = Duration::from_secs(seconds);
            assert_eq!(rate(text), Rate(Some(Quota { count, period })), "{text}");
            let refill = Duration::from_micros(refill);
            assert_eq!(rate(text).tokens(), Some((count, refill)), "{text}");
        }
        assert_eq!(rate("off").tokens(), None);
        assert_eq!(Rate::per_hour(7), rate("7/h"));
        assert_eq!(rate("7/15m").times(4), rate("28/15m"));
        assert_eq!(Rate::OFF.times(4), Rate::OFF);
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for (text, reason) in [
            ("", InvalidRate::Malformed),
            ("10", InvalidRate::Malformed),
            ("/m", InvalidRate::Malformed),
            ("10/", InvalidRate::Malformed),
            ("10/x", InvalidRate::Malformed),
            ("10/15", InvalidRate::Malformed),
            ("10/m/h", InvalidRate::Malformed),
            ("10 / m", InvalidRate::Malformed),
            ("+10/m", InvalidRate::Malformed),
            ("-1/m", InvalidRate::Malformed),
            ("1.5/m", InvalidRate::Malformed),
            ("10/-1m", InvalidRate::Malformed),
            ("OFF", InvalidRate::Malformed),
            ("0/m", InvalidRate::Count),
            ("1000001/m", InvalidRate::Count),
            ("99999999999999999999/m", InvalidRate::Count),
            ("10/0m", InvalidRate::Period),
            ("10/500ms", InvalidRate::Period),
            ("10/31d", InvalidRate::Period),
        ] {
            assert_eq!(text.parse::<Rate>(), Err(reason), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_is_shown_as_it_is_read(count in 1..=MAX_COUNT, seconds in 1..=MAX_PERIOD.as_secs()) {
            let period = Duration::from_secs(seconds);
            let rate = Rate(Some(Quota { count, period }));
            prop_assert_eq!(rate.to_string().parse(), Ok(rate));
        }

        #[test]
        fn no_rate_gives_more_than_it_says(count in 1..=MAX_COUNT, seconds in 1..=MAX_PERIOD.as_secs()) {
            let period = Duration::from_secs(seconds);
            let (tokens, refill) = Rate(Some(Quota { count, period })).tokens().unwrap();
            prop_assert_eq!(tokens, count);
            prop_assert!(refill * count >= period);
        }

        #[test]
        fn any_text_is_a_rate_or_refused(text in "\\PC{0,12}|[0-9]{0,12}/[0-9]{0,22}[smhdwMy]{0,2}") {
            let _ = text.parse::<Rate>();
        }
    }
}
