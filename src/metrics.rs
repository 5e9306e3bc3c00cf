//! What is counted while the service runs.
//!
//! Plain numbers, changed without a lock by the room that they are about and read by
//! [`operations`](crate::operations). All that they are told apart by is known from the start: nothing
//! that clients choose, such as a path, a method or an address, adds a number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod app_checks;
mod requests;

pub use app_checks::AppCheck;
pub use requests::{Request, RequestMetrics};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    pub fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were since the start.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Adds one.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes one away that was added.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// Says how many there are.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counters told apart by labels that are all given at the start.
#[derive(Debug)]
pub struct Counters<L>(Vec<(L, Counter)>);

impl<L: Copy + PartialEq> Counters<L> {
    /// A counter for each of these labels.
    pub fn new(labels: impl IntoIterator<Item = L>) -> Self {
        let counters = labels.into_iter().map(|label| (label, Counter::default()));
        Self(counters.collect())
    }

    /// Adds one to the counter of this label. Does nothing if it was not given at the start.
    pub fn add(&self, label: L) {
        if let Some((_, counter)) = self.0.iter().find(|(given, _)| *given == label) {
            counter.add();
        }
    }

    /// Each label with its count.
    pub fn iter(&self) -> impl Iterator<Item = (L, u64)> {
        self.0
            .iter()
            .map(|(label, counter)| (*label, counter.get()))
    }
}

/// The upper bounds of the buckets of every [`Histogram`], in seconds: those of OpenTelemetry's
/// `http.server.request.duration`, and three below them, since a session check takes less than the
/// lowest of those.
pub const BOUNDS: [f64; 17] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0,
    7.5, 10.0,
];

/// How long something took, each time.
///
/// Two atomic additions a time. The histogram of `prometheus-client` takes a lock.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many times fall into each bucket and into none of the lower ones.
    buckets: [Counter; BOUNDS.len() + 1],
    /// Enough for 584 years.
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// Notes that it took so long.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].add();
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.get() == 0)
    }

    /// Each upper bound, in seconds, with how many times fall into its bucket and into none of the lower
    /// ones. The last bound is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let counts = self.buckets.iter().map(Counter::get);
        bounds.zip(counts).collect()
    }

    /// The sum of all times.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }
}

/// The connections of a listener.
#[derive(Debug, Default)]
pub struct ConnectionMetrics {
    /// How many are open.
    pub open: Gauge,
    /// How many were closed because there were too many, or because unfinished requests held too much
    /// memory.
    pub refused: Counter,
}

/// The hashing of passwords.
#[derive(Debug, Default)]
pub struct HashMetrics {
    /// How long it took to check a password, with the wait for its turn.
    pub verify: Histogram,
    /// How long it took to hash a new password, with the wait for its turn.
    pub hash: Histogram,
    /// How many requests were refused because too many waited.
    pub refusals: Counter,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for microseconds in [0, 500, 501, 10_000_000, 10_000_001, u64::MAX / 1000] {
            histogram.observe(Duration::from_micros(microseconds));
        }
        let buckets = histogram.buckets();
        let filled: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).collect();
        let [(first, 2), (second, 1), (tenth, 1), (last, 2)] = filled[..] else {
            panic!("{filled:?}");
        };
        let bounds = [first, second, tenth].map(ToString::to_string);
        assert_eq!(bounds, ["0.0005", "0.001", "10"]);
        assert!(last.is_infinite());
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn times_are_summed() {
        let histogram = Histogram::default();
        histogram.observe(Duration::from_millis(3));
        histogram.observe(Duration::from_millis(4));
        assert_eq!(histogram.sum(), Duration::from_millis(7));
    }

    #[test]
    fn a_label_that_was_not_given_at_the_start_is_not_counted() {
        let counters = Counters::new(["sent", "refused"]);
        counters.add("sent");
        counters.add("lost");
        let counts: Vec<_> = counters.iter().collect();
        assert_eq!(counts, [("sent", 1), ("refused", 0)]);
    }
}
