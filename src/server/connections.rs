//! The connections that are open, and which of them is closed when there are too many or when unfinished
//! requests hold too much memory.
//!
//! Only a connection that waits for its client is closed, never one whose request is being answered.
//! First one of the source that takes most; among those the one that has waited longest, where an idle
//! connection is [given some seconds](IDLE_ALLOWANCE) before it counts as waiting: a client that has
//! begun a request has the rest of it ready, one that is between two requests need not.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::select;
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep_until};
use tracing::warn;

use super::wait::{Pause, Unfinished, Wait, Waiting};
use crate::metrics::ConnectionMetrics;
use crate::source::{Peer, Source};

/// How long a connection must have waited within a request before it can be closed. A client that
/// connects sends its request at once; with less than this, a flood of others would push it out before
/// it is read. More would slow down how fast newcomers are let in: as many as there may be connections
/// in this time.
const GRACE: Duration = Duration::from_millis(25);

/// How much longer an idle connection may wait than one within a request before it is closed.
const IDLE_ALLOWANCE: Duration = Duration::from_secs(5);

/// When to look again for a connection to close if there was none.
pub(super) const RETRY: Duration = Duration::from_millis(5);

/// How often the log tells of connections that were closed.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

/// All connections.
pub(super) struct Connections {
    /// How many may be open.
    most: usize,
    epoch: Instant,
    tasks: JoinSet<()>,
    /// Those that are not being closed.
    open: HashMap<Id, Connection>,
    /// How many were within a request for less than [`GRACE`] when the candidates were listed, or have
    /// been accepted since.
    newcomers: usize,
    /// What can be closed, the next one last.
    candidates: Vec<Candidate>,
    listed_at: Instant,
    /// How long it took to list the candidates.
    listing_time: Duration,
    unfinished: Arc<Unfinished>,
    unfinished_closed_at: Option<Instant>,
    warned_at: Option<Instant>,
    metrics: Arc<ConnectionMetrics>,
}

struct Connection {
    source: Source,
    wait: Arc<Wait>,
    task: AbortHandle,
}

#[derive(Clone, Copy)]
struct Candidate {
    id: Id,
    waiting: Waiting,
    weight: usize,
}

impl Candidate {
    /// The one that comes first is closed first. Counted from the epoch.
    fn due(&self) -> Duration {
        match self.waiting.pause {
            Pause::WithinRequest => self.waiting.since,
            Pause::BetweenRequests => self.waiting.since + IDLE_ALLOWANCE,
        }
    }
}

/// What one source has of what there is too much of.
#[derive(Default)]
struct Share {
    weight: usize,
    /// The next one to be closed is the last.
    candidates: Vec<Candidate>,
}

impl Connections {
    pub(super) fn new(most: usize, metrics: Arc<ConnectionMetrics>) -> Self {
        let now = Instant::now();
        Self {
            most,
            epoch: now,
            tasks: JoinSet::new(),
            open: HashMap::new(),
            newcomers: 0,
            candidates: Vec::new(),
            listed_at: now,
            listing_time: Duration::ZERO,
            unfinished: Arc::default(),
            unfinished_closed_at: None,
            warned_at: None,
            metrics,
        }
    }

    /// Serves a connection by the task that is made for it.
    pub(super) fn spawn<T>(&mut self, peer: Peer, serve: impl FnOnce(Arc<Wait>) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let wait = Arc::new(Wait::new(self.epoch, Arc::clone(&self.unfinished)));
        let task = self.tasks.spawn(serve(Arc::clone(&wait)));
        let source = peer.address().into();
        self.newcomers += 1;
        self.open
            .insert(task.id(), Connection { source, wait, task });
        self.count();
    }

    /// Says how many are open.
    fn count(&self) {
        self.metrics.open.set(self.open.len() as u64);
    }

    /// Completes when connections have ended, or were closed because unfinished requests held too much.
    pub(super) async fn changed(&mut self) {
        let closed_at = self.unfinished_closed_at;
        let too_much_unfinished = async {
            if let Some(closed_at) = closed_at {
                sleep_until(closed_at + GRACE).await;
            }
            self.unfinished.exceeded().await;
        };
        select! {
            Some(ended) = self.tasks.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                self.open.remove(&id);
                self.count();
            }
            () = too_much_unfinished => self.close_unfinished(),
        }
    }

    /// Completes when no connection is left.
    pub(super) async fn all_ended(&mut self) {
        while !self.tasks.is_empty() {
            self.changed().await;
        }
    }

    /// Ends all that are left.
    pub(super) async fn shutdown(mut self) {
        self.tasks.shutdown().await;
    }

    /// Whether there is room for another connection; makes some if need be and if possible.
    pub(super) fn make_room(&mut self) -> bool {
        if self.open.len() >= self.most && !self.close_one() {
            return false;
        }
        // Those that are being closed need not have ended, so that one does not wait for another.
        let ending = (self.most / 16).clamp(1, 32);
        self.tasks.len() < self.most + ending
    }

    fn close_one(&mut self) -> bool {
        let now = Instant::now();
        let age = now - self.listed_at;
        let is_overdue = |candidate: &Candidate| candidate.due() <= now - self.epoch;
        // Waits that have not ended keep their order, so the list is good for a while.
        let is_old = age >= GRACE.max(self.listing_time * 16);
        let is_used_up = !self.candidates.last().is_some_and(is_overdue);
        if is_old || (is_used_up && age >= RETRY.max(self.listing_time * 4)) {
            (self.candidates, self.newcomers) = self.list(now, |_| 1);
            self.listed_at = now;
            self.listing_time = now.elapsed();
        }
        while let Some(candidate) = self.candidates.last() {
            // Most are newcomers, of whom some can be closed soon: a burst of them does not push out
            // clients that send one request after another. If such clients hold most of the
            // connections, they make room, or they could keep all other clients out.
            if candidate.due() > now - self.epoch && self.newcomers > self.most / 2 {
                return false;
            }
            let candidate = *candidate;
            self.candidates.pop();
            if self.close(&candidate) {
                self.warn(now, "as many connections as there may be are open");
                return true;
            }
        }
        false
    }

    /// Closes connections within a request until their requests hold as much as they may.
    fn close_unfinished(&mut self) {
        let now = Instant::now();
        self.unfinished_closed_at = Some(now);
        let (mut candidates, _) = self.list(now, |connection| connection.wait.held());
        while self.unfinished.excess() > 0
            && let Some(candidate) = candidates.pop()
        {
            if self.close(&candidate) {
                self.warn(now, "unfinished requests hold too much memory");
            }
        }
    }

    /// False if it no longer waits for its client.
    fn close(&mut self, candidate: &Candidate) -> bool {
        let Some(connection) = self.open.get(&candidate.id) else {
            return false;
        };
        if !connection.wait.close(candidate.waiting) {
            return false;
        }
        connection.task.abort();
        self.open.remove(&candidate.id);
        self.metrics.refused.add();
        self.count();
        true
    }

    /// Those that can be closed, the next one last: one of the source with the most weight that is
    /// left. With it, how many have not been within a request for long enough.
    fn list(&self, now: Instant, weight: impl Fn(&Connection) -> usize) -> (Vec<Candidate>, usize) {
        let latest = (now - self.epoch).saturating_sub(GRACE);
        let mut newcomers = 0;
        let mut shares: HashMap<Source, Share> = HashMap::new();
        for (&id, connection) in &self.open {
            let weight = weight(connection);
            if weight == 0 {
                continue;
            }
            let share = shares.entry(connection.source).or_default();
            share.weight += weight;
            let Some(waiting) = connection.wait.waiting() else {
                continue;
            };
            if waiting.pause == Pause::WithinRequest && waiting.since > latest {
                newcomers += 1;
            } else {
                share.candidates.push(Candidate {
                    id,
                    waiting,
                    weight,
                });
            }
        }
        (in_order(shares.into_values().collect()), newcomers)
    }

    fn warn(&mut self, now: Instant, reason: &str) {
        if self
            .warned_at
            .is_none_or(|warned_at| now - warned_at >= WARNING_INTERVAL)
        {
            self.warned_at = Some(now);
            warn!("{reason}: closing those that have waited longest for their clients");
        }
    }
}

/// The candidates of all shares, the next one to be closed last.
fn in_order(mut shares: Vec<Share>) -> Vec<Candidate> {
    for share in &mut shares {
        share
            .candidates
            .sort_by_key(|candidate| Reverse(candidate.due()));
    }
    let key = |index: usize, share: &Share| {
        let next = share.candidates.last()?;
        Some((share.weight, Reverse(next.due()), index))
    };
    let mut largest: BinaryHeap<_> = shares
        .iter()
        .enumerate()
        .filter_map(|(index, share)| key(index, share))
        .collect();
    let mut order = Vec::new();
    while let Some((.., index)) = largest.pop() {
        let share = &mut shares[index];
        if let Some(candidate) = share.candidates.pop() {
            share.weight -= candidate.weight;
            order.push(candidate);
        }
        largest.extend(key(index, share));
    }
    order.reverse();
    order
}
