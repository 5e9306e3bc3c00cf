//! Whether a connection waits for its client, since when, and how much of a request it holds meanwhile.
//!
//! The connection's task writes it, and [`super::connections`] reads it to choose which connection to
//! close when there are too many. Nothing here is locked: a request costs two changes of one number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// How many bytes the requests that have not arrived whole may hold together. Most are below
/// 1 KiB, so that this is room for 4,096 of them; of the largest, for 128.
const MAX_UNFINISHED_BYTES: usize = 4 * 1024 * 1024;

const BUSY: u64 = 0;
const CLOSED: u64 = 1;
const BETWEEN_REQUESTS: u64 = 2;
const WITHIN_REQUEST: u64 = 3;
/// The bits below the time, which is in microseconds.
const KIND_BITS: u32 = 2;

/// Where a connection is when it waits for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// At least one request is answered, and the next has not begun.
    BetweenRequests,
    /// A request or its answer is on its way, or the first request is awaited.
    WithinRequest,
}

/// What the unfinished requests of all connections hold together.
#[derive(Default)]
pub(super) struct Unfinished {
    bytes: AtomicUsize,
    grown: Notify,
}

impl Unfinished {
    /// How many bytes they hold beyond what they may.
    pub(super) fn excess(&self) -> usize {
        let bytes = self.bytes.load(Ordering::Relaxed);
        bytes.saturating_sub(MAX_UNFINISHED_BYTES)
    }

    /// Completes when they hold more than they may.
    pub(super) async fn exceeded(&self) {
        while self.excess() == 0 {
            self.grown.notified().await;
        }
    }
}

/// The wait of one connection.
pub(super) struct Wait {
    /// What times are counted from.
    epoch: Instant,
    state: AtomicU64,
    held: AtomicUsize,
    unfinished: Arc<Unfinished>,
}

/// A wait as it was when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    state: u64,
    pub(super) pause: Pause,
    /// When it began, counted from the epoch.
    pub(super) since: Duration,
}

impl Wait {
    /// The wait for the first request of a new connection.
    pub(super) fn new(epoch: Instant, unfinished: Arc<Unfinished>) -> Self {
        let state = state(Pause::WithinRequest, Instant::now(), epoch);
        Self {
            epoch,
            state: AtomicU64::new(state),
            held: AtomicUsize::new(0),
            unfinished,
        }
    }

    /// Notes that the connection waits for its client. False if it was chosen to be closed: then it
    /// must do nothing more.
    #[must_use = "a connection that was chosen must do nothing more"]
    pub(super) fn begin(&self, pause: Pause, now: Instant) -> bool {
        self.change(state(pause, now, self.epoch))
    }

    /// Notes that a request is being answered, so that the connection is not closed. False if it was
    /// chosen to be closed before: then the request must not be looked at.
    #[must_use = "a connection that was chosen must do nothing more"]
    pub(super) fn end(&self) -> bool {
        self.change(BUSY)
    }

    fn change(&self, to: u64) -> bool {
        let unless_closed = |state| (state != CLOSED).then_some(to);
        self.state
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, unless_closed)
            .is_ok()
    }

    /// Notes how many bytes of an unfinished request the connection holds.
    pub(super) fn hold(&self, bytes: usize) {
        if bytes == self.held() {
            return;
        }
        let before = self.held.swap(bytes, Ordering::Relaxed);
        let all = &self.unfinished.bytes;
        if bytes < before {
            all.fetch_sub(before - bytes, Ordering::Relaxed);
        } else {
            all.fetch_add(bytes - before, Ordering::Relaxed);
            if self.unfinished.excess() > 0 {
                self.unfinished.grown.notify_one();
            }
        }
    }

    /// How many bytes of an unfinished request it holds.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// `None` if it does not wait.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        let state = self.state.load(Ordering::Acquire);
        let pause = match state & ((1 << KIND_BITS) - 1) {
            BETWEEN_REQUESTS => Pause::BetweenRequests,
            WITHIN_REQUEST => Pause::WithinRequest,
            _ => return None,
        };
        let since = Duration::from_micros(state >> KIND_BITS);
        Some(Waiting {
            state,
            pause,
            since,
        })
    }

    /// Chooses the connection to be closed, if it is still in this wait. What it holds counts no more,
    /// though its task has yet to end: more connections would be closed for it.
    pub(super) fn close(&self, waiting: Waiting) -> bool {
        let is_chosen = self
            .state
            .compare_exchange(waiting.state, CLOSED, Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if is_chosen {
            self.hold(0);
        }
        is_chosen
    }
}

/// A wait as one number.
fn state(pause: Pause, since: Instant, epoch: Instant) -> u64 {
    let kind = match pause {
        Pause::BetweenRequests => BETWEEN_REQUESTS,
        Pause::WithinRequest => WITHIN_REQUEST,
    };
    let since = since.saturating_duration_since(epoch).as_micros();
    // Enough for 146,000 years.
    let since = u64::try_from(since).unwrap_or_default();
    since << KIND_BITS | kind
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new() -> Wait {
        Wait::new(Instant::now(), Arc::default())
    }

    #[test]
    fn what_was_chosen_to_be_closed_begins_no_request() {
        let wait = new();
        let waiting = wait.waiting().unwrap();
        assert!(wait.close(waiting));
        assert!(!wait.end());
        assert!(!wait.begin(Pause::BetweenRequests, Instant::now()));
        assert!(wait.waiting().is_none());
    }

    #[test]
    fn what_has_begun_a_request_or_another_wait_since_is_not_closed() {
        let wait = new();
        let first = wait.waiting().unwrap();
        assert!(wait.end());
        assert!(!wait.close(first));
        let later = Instant::now() + Duration::from_millis(1);
        assert!(wait.begin(Pause::WithinRequest, later));
        assert!(!wait.close(first));
        assert!(wait.close(wait.waiting().unwrap()));
    }

    #[test]
    fn what_connections_hold_counts_until_they_are_closed_or_end() {
        let unfinished = Arc::new(Unfinished::default());
        let wait = Wait::new(Instant::now(), Arc::clone(&unfinished));
        wait.hold(MAX_UNFINISHED_BYTES + 7);
        assert_eq!(unfinished.excess(), 7);
        wait.hold(3);
        assert_eq!(unfinished.bytes.load(Ordering::Relaxed), 3);
        assert!(wait.close(wait.waiting().unwrap()));
        assert_eq!(unfinished.bytes.load(Ordering::Relaxed), 0);
        wait.hold(5);
        drop(wait);
        assert_eq!(unfinished.bytes.load(Ordering::Relaxed), 0);
    }
}
