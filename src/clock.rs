//! Time, which comes in from outside so that tests can turn it.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far a stored moment may lie ahead of the present and still count: clocks of several machines
/// differ a little. What lies further ahead was stored while a clock was wrong.
pub const CLOCK_TOLERANCE: Duration = Duration::from_mins(5);

/// By how much the clock of another machine may differ before it is told. Less is what machines without NTP
/// drift apart by in a day or so, and what a busy machine takes to answer.
const TOLD_DIFFERENCE: Duration = Duration::from_secs(2);

/// A moment, in whole seconds since 1970-01-01 UTC: what both databases store and compare alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub i64);

impl UnixTime {
    /// The moment `duration` earlier.
    pub fn before(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(seconds))
    }

    /// The moment `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(seconds))
    }
}

/// Tells what time it is.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> UnixTime;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The time since 1970-01-01 UTC, with the part of a second; zero before that.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks the machine"
    )]
    pub fn since_epoch(self) -> Duration {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        UnixTime(i64::try_from(self.since_epoch().as_secs()).unwrap_or(i64::MAX))
    }
}

/// By how much the clock of another machine differs from this one's: as much as one answer proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockDifference {
    /// The other clock is ahead by so much, or not at all.
    Ahead(Duration),
    /// The other clock is behind by so much.
    Behind(Duration),
}

impl ClockDifference {
    /// By what the other clock said between two looks at this one, all since 1970. The other one looked at
    /// some moment between the two: half of the time that the answer took, to either side of the middle,
    /// proves nothing.
    pub fn between(before: Duration, other: Duration, after: Duration) -> Self {
        match before.checked_sub(other) {
            Some(behind) if !behind.is_zero() => Self::Behind(behind),
            _ => Self::Ahead(other.saturating_sub(after)),
        }
    }

    /// Whether it is more than two seconds.
    pub fn is_large(self) -> bool {
        let (Self::Ahead(difference) | Self::Behind(difference)) = self;
        difference > TOLD_DIFFERENCE
    }
}

impl fmt::Display for ClockDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (difference, word) = match self {
            Self::Ahead(difference) => (difference, "ahead of"),
            Self::Behind(difference) => (difference, "behind"),
        };
        let seconds = difference.as_secs_f64();
        write!(
            formatter,
            "the clock of the database is {seconds:.1} s {word} this machine's"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_differs_by_what_the_time_of_the_answer_does_not_explain() {
        let second = Duration::from_secs;
        for (before, other, after, difference) in [
            (10, 10, 10, ClockDifference::Ahead(second(0))),
            (10, 12, 14, ClockDifference::Ahead(second(0))),
            (10, 17, 14, ClockDifference::Ahead(second(3))),
            (10, 7, 14, ClockDifference::Behind(second(3))),
            (10, 16, 14, ClockDifference::Ahead(second(2))),
        ] {
            let found = ClockDifference::between(second(before), second(other), second(after));
            assert_eq!(found, difference);
            assert_eq!(found.is_large(), other == 17 || other == 7);
        }
    }
}
