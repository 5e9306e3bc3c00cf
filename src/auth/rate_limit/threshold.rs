//! What happens too often in the whole service.

use std::sync::{Mutex, PoisonError};

use tracing::warn;

use crate::clock::UnixTime;

/// How often something may happen within an hour before it is told of: as often as ten sources do that
/// use up all the wrong passwords, or 33 that use up all the sign-ups, that they have in public.
const LIMIT: u32 = 1000;

/// It is over when this much is left of it, so that a rate near the limit is not told of again and
/// again.
const CALM: u32 = LIMIT / 2;

const MINUTES: usize = 60;

/// Counts something in all of this process, and tells in the log when it happens too often and when
/// that is over. It refuses nothing: a limit on the whole would let anyone shut everyone out.
pub struct Threshold {
    what: &'static str,
    hour: Mutex<Hour>,
}

impl Threshold {
    /// Counts this, in words for the log.
    pub fn of(what: &'static str) -> Self {
        Self {
            what,
            hour: Mutex::default(),
        }
    }

    /// Notes that it has happened once more.
    pub fn count(&self, now: UnixTime) {
        self.look_after(now, 1);
    }

    /// Looks whether it is over.
    pub fn look(&self, now: UnixTime) {
        self.look_after(now, 0);
    }

    fn look_after(&self, now: UnixTime, more: u32) {
        let what = self.what;
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        match hour.add(now, more) {
            Some(Change::Passed) => warn!("more than {LIMIT} {what} within an hour"),
            Some(Change::Calmed) => warn!("fewer than {CALM} {what} within an hour again"),
            None => {}
        }
    }
}

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Passed,
    Calmed,
}

/// How often something has happened in each minute of the last hour.
struct Hour {
    counts: [u32; MINUTES],
    minute: i64,
    is_passed: bool,
}

impl Default for Hour {
    fn default() -> Self {
        Self {
            counts: [0; MINUTES],
            minute: 0,
            is_passed: false,
        }
    }
}

impl Hour {
    fn add(&mut self, now: UnixTime, more: u32) -> Option<Change> {
        let minute = now.0.div_euclid(60);
        // A clock that was turned back begins anew, or it would count what is long past.
        if minute < self.minute {
            self.counts = [0; MINUTES];
        }
        for begun in (self.minute + 1..=minute).rev().take(MINUTES) {
            self.counts[place(begun)] = 0;
        }
        self.minute = minute;
        let count = &mut self.counts[place(minute)];
        *count = count.saturating_add(more);
        let sum = self
            .counts
            .iter()
            .fold(0, |sum: u32, count| sum.saturating_add(*count));
        let is_passed = if self.is_passed {
            sum >= CALM
        } else {
            sum > LIMIT
        };
        let has_changed = is_passed != self.is_passed;
        self.is_passed = is_passed;
        has_changed.then_some(if is_passed {
            Change::Passed
        } else {
            Change::Calmed
        })
    }
}

/// Where a minute is counted.
fn place(minute: i64) -> usize {
    usize::try_from(minute.rem_euclid(60)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000;

    /// Counts so many in one second, and returns what there was to tell.
    fn add(hour: &mut Hour, second: i64, count: u32) -> Vec<Change> {
        let more = std::iter::repeat_n(1, count.try_into().unwrap());
        let changes = more.filter_map(|one| hour.add(UnixTime(NOON + second), one));
        changes.collect()
    }

    #[test]
    fn it_is_told_once_when_there_are_too_many_and_once_when_it_is_over() {
        let mut hour = Hour::default();
        assert_eq!(add(&mut hour, 0, 600), []);
        assert_eq!(add(&mut hour, 1800, 400), []);
        assert_eq!(add(&mut hour, 1801, 1), [Change::Passed]);
        assert_eq!(add(&mut hour, 1802, 5000), []);
        // Those of the first minute are an hour ago, the others not yet.
        assert_eq!(hour.add(UnixTime(NOON + 3600 + 1799), 0), None);
        assert_eq!(
            hour.add(UnixTime(NOON + 3600 + 1860), 0),
            Some(Change::Calmed)
        );
        assert_eq!(hour.add(UnixTime(NOON + 3600 + 1861), 0), None);
        assert_eq!(add(&mut hour, 9000, 1001), [Change::Passed]);
    }

    #[test]
    fn it_is_over_when_half_is_left() {
        let mut hour = Hour::default();
        add(&mut hour, 0, 501);
        add(&mut hour, 600, 300);
        assert_eq!(add(&mut hour, 1200, 200), [Change::Passed]);
        assert_eq!(add(&mut hour, 3660, 0), []);
        assert_eq!(hour.add(UnixTime(NOON + 3660), 1), None);
        assert_eq!(
            hour.add(UnixTime(NOON + 3600 + 660), 0),
            Some(Change::Calmed)
        );
    }

    #[test]
    fn many_over_many_hours_are_not_too_many() {
        let mut hour = Hour::default();
        for minute in 0..600 {
            assert_eq!(add(&mut hour, minute * 60, 16), []);
        }
        assert_eq!(add(&mut hour, 600 * 60, 100), [Change::Passed]);
    }

    #[test]
    fn a_clock_that_is_turned_back_begins_anew() {
        let mut hour = Hour::default();
        add(&mut hour, 365 * 86400, 1001);
        assert_eq!(hour.add(UnixTime(NOON), 0), Some(Change::Calmed));
        assert_eq!(add(&mut hour, 0, 1000), []);
        assert_eq!(add(&mut hour, 0, 1), [Change::Passed]);
    }
}
