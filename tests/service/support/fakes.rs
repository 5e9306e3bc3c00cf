//! Time and randomness for tests.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bienvenue::clock::{Clock, UnixTime};
use bienvenue::token::TokenSource;
use uuid::{Builder, Uuid};

/// A source of tokens that has failed: it repeats itself.
pub struct StuckTokens;

impl TokenSource for StuckTokens {
    fn uuid(&self) -> Uuid {
        Builder::from_random_bytes([7; 16]).into_uuid()
    }
}

/// Stands still until it is turned.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn turn(&self, duration: Duration) {
        let seconds = i64::try_from(duration.as_secs()).unwrap();
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn turn_back(&self, duration: Duration) {
        let seconds = i64::try_from(duration.as_secs()).unwrap();
        self.0.fetch_sub(seconds, Ordering::Relaxed);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self(AtomicI64::new(1_800_000_000))
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.0.load(Ordering::Relaxed))
    }
}
