//! How much may wait to be hashed, and the threads that do it.
//!
//! A thread hashes several passwords at once by bcrypt, or checks one against a foreign hash. So the
//! memory of foreign hashes is at most 128 MiB for each thread ([`bounds`](super::bounds)), however many
//! wait.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{error, warn};

use super::cost::Cost;
use super::foreign::ForeignHash;
use super::interleaved::{self, Input, MAX_LANES, Output};
use super::job::{Answer, Asker, Displaced, Job, Work};
use super::schedule::Schedule;
use crate::password::received::Password;

/// The most that may wait, however cheap they are: the queue is bounded in memory too.
const MAX_WAITING: usize = 4096;

/// The rounds that a thread does in a second, until it is known: a third of a core of 2026.
const ASSUMED_SPEED: u64 = 20_000;

/// Why something was not hashed.
#[derive(Debug)]
pub enum NotHashed {
    /// The queue is longer than one may wait.
    Busy {
        /// When what waits now will be done.
        retry_after: Duration,
    },
    /// There is no thread to do it.
    Gone,
}

/// The queue. Its threads end when it is dropped.
pub struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    threads: usize,
    /// The time in which all that waits is to be done.
    longest_wait: Duration,
    /// The rounds that a thread does in a second with all lanes in use.
    speed: AtomicU64,
    /// How many lanes to use: all, or one if they were found not to agree with the crate.
    lanes: OnceLock<usize>,
}

struct State {
    waiting: Schedule,
    idle_threads: usize,
    is_open: bool,
    swept_at: Instant,
}

impl Queue {
    /// Starts a thread for each core.
    pub fn start(longest_wait: Duration) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let shared = Arc::new(Shared::new(threads, longest_wait));
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("hash-{number}"));
            if let Err(error) = thread.spawn(move || shared.work()) {
                error!(%error, "cannot start a hashing thread");
            }
        }
        Self { shared }
    }

    /// How many jobs wait for their turn.
    pub fn waiting(&self) -> usize {
        self.shared.state().waiting.len()
    }

    /// Whether a job of this cost by this asker would be let in now.
    pub fn ensure_room(&self, asker: impl Into<Asker>, cost: Cost) -> Result<(), NotHashed> {
        let (shared, rounds) = (&self.shared, cost.rounds());
        let mut state = shared.state();
        if shared.has_room(&mut state, rounds) || state.waiting.would_make_room(asker, rounds) {
            Ok(())
        } else {
            Err(shared.busy())
        }
    }

    /// Waits for its turn and returns the hashes. Takes the rounds of `cost`, which is at least that of
    /// the input. A caller that stops waiting gives its place up.
    pub async fn hash(
        &self,
        asker: impl Into<Asker>,
        cost: Cost,
        input: Input,
    ) -> Result<Output, NotHashed> {
        let work = |answer| Work::Bcrypt {
            cost,
            input,
            answer,
        };
        self.ask(asker.into(), work).await
    }

    /// Waits for its turn and says whether the hash is that of the password. A caller that stops waiting
    /// gives its place up.
    pub async fn check(
        &self,
        asker: impl Into<Asker>,
        hash: ForeignHash,
        password: Password,
    ) -> Result<bool, NotHashed> {
        let work = |answer| Work::Foreign {
            hash,
            password,
            answer,
        };
        self.ask(asker.into(), work).await
    }

    async fn ask<T>(
        &self,
        asker: Asker,
        work: impl FnOnce(Answer<T>) -> Work,
    ) -> Result<T, NotHashed> {
        let (answer, outcome) = oneshot::channel();
        let job = Job {
            work: work(answer),
            since: Instant::now(),
        };
        self.shared.admit(asker, job)?;
        match outcome.await {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(Displaced)) => Err(self.shared.busy()),
            Err(_) => Err(NotHashed::Gone),
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.state().is_open = false;
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn new(threads: usize, longest_wait: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                waiting: Schedule::default(),
                idle_threads: 0,
                is_open: true,
                swept_at: Instant::now(),
            }),
            arrived: Condvar::new(),
            threads,
            longest_wait,
            speed: AtomicU64::new(ASSUMED_SPEED),
            lanes: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What a thread leaves behind when it panics is still a queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self) -> NotHashed {
        NotHashed::Busy {
            retry_after: self.longest_wait,
        }
    }

    /// Lets a job wait for its turn, in the place of others if it has a right to that.
    fn admit(&self, asker: Asker, job: Job) -> Result<(), NotHashed> {
        let mut state = self.state();
        let gone = if self.has_room(&mut state, job.rounds()) {
            Vec::new()
        } else {
            let gone = state.waiting.make_room(asker, job.rounds());
            if gone.is_empty() {
                return Err(self.busy());
            }
            gone
        };
        state.waiting.push(asker, job);
        drop(state);
        self.arrived.notify_one();
        give_way(gone);
        Ok(())
    }

    /// Whether there is room for a job of so many rounds without others giving way.
    fn has_room(&self, state: &mut State, rounds: u64) -> bool {
        let speed = self.speed.load(Ordering::Relaxed);
        let longest_wait = u64::try_from(self.longest_wait.as_millis()).unwrap_or(u64::MAX);
        let per_millisecond = (speed * self.threads as u64).div_ceil(1000);
        let most_rounds = longest_wait.saturating_mul(per_millisecond);
        if !state.has_room(rounds, most_rounds) {
            state.waiting.take_if(Job::is_abandoned);
        }
        state.has_room(rounds, most_rounds)
    }

    /// What a hashing thread does until the queue is dropped.
    fn work(&self) {
        run_at_lowest_priority();
        let lanes = *self.lanes.get_or_init(|| self.count_lanes());
        while let Some(batch) = self.next_batch(lanes) {
            let (mut inputs, mut answers) = (Vec::new(), Vec::new());
            let mut all = None;
            for job in batch {
                // If the asker has gone in the meantime, the outcome is of no use.
                match job.work {
                    Work::Bcrypt {
                        cost,
                        input,
                        answer,
                    } => {
                        all = Some(cost);
                        inputs.push(input);
                        answers.push(answer);
                    }
                    Work::Foreign {
                        hash,
                        password,
                        answer,
                    } => drop(answer.send(Ok(hash.is_of(password.as_str().as_bytes())))),
                }
            }
            let outputs = all.map(|cost| self.bcrypt(cost, &inputs, lanes));
            for (answer, output) in answers.into_iter().zip(outputs.unwrap_or_default()) {
                let _ = answer.send(Ok(output));
            }
        }
    }

    /// The hashes of inputs of one cost, in as many lanes at most.
    fn bcrypt(&self, cost: Cost, inputs: &[Input], lanes: usize) -> Vec<Output> {
        let started = Instant::now();
        let outputs = if lanes > 1 {
            interleaved::hash_together(cost, inputs)
        } else {
            interleaved::hash_by_crate(cost, inputs)
        };
        if inputs.len() == lanes {
            self.measured(speed(cost, lanes, started.elapsed()));
        }
        outputs
    }

    /// Takes what to do next: jobs of one cost, as many as there are lanes, but no more than a fair share
    /// if other threads are idle; or one that is done by itself. `None` when there will be no more.
    fn next_batch(&self, lanes: usize) -> Option<Vec<Job>> {
        let mut state = self.state();
        loop {
            let share = state.waiting.len().div_ceil(state.idle_threads + 1);
            if let Some(batch) = state.waiting.take(share.min(lanes)) {
                // After the turns: what can be done now is not refused, however late it is.
                self.sweep(&mut state, Instant::now());
                if batch.is_empty() {
                    continue;
                }
                return Some(batch);
            }
            if !state.is_open {
                return None;
            }
            state.idle_threads += 1;
            let woken = self.arrived.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
            state.idle_threads -= 1;
        }
    }

    /// Refuses, now and then, what waits on and has waited for twice the longest wait: sources that came later
    /// had their turns before it, or the machine has become slow.
    fn sweep(&self, state: &mut State, now: Instant) {
        if now.duration_since(state.swept_at) >= self.longest_wait / 8 {
            state.swept_at = now;
            let limit = 2 * self.longest_wait;
            let late = |job: &Job| now.duration_since(job.since) >= limit;
            give_way(state.waiting.take_if(late));
        }
    }

    /// Follows the speed slowly, since any one batch may have been held up.
    fn measured(&self, now: u64) {
        let before = self.speed.load(Ordering::Relaxed);
        let speed = before - before / 8 + now / 8;
        self.speed.store(speed.max(1), Ordering::Relaxed);
    }

    /// Checks the lanes before the first password goes through them, and learns their speed.
    fn count_lanes(&self) -> usize {
        if let Some(time) = interleaved::try_out() {
            self.speed
                .store(speed(Cost::MIN, MAX_LANES, time), Ordering::Relaxed);
            MAX_LANES
        } else {
            warn!("hashing lanes disagree with bcrypt on this machine: hashing one at a time");
            1
        }
    }
}

impl State {
    fn has_room(&self, rounds: u64, most_rounds: u64) -> bool {
        let rounds = self.waiting.rounds().saturating_add(rounds);
        let jobs = self.waiting.len();
        jobs == 0 || (jobs < MAX_WAITING && rounds <= most_rounds)
    }
}

/// Tells the askers that nothing will come of their jobs.
fn give_way(jobs: Vec<Job>) {
    jobs.into_iter().for_each(Job::displace);
}

/// The rounds a second of so many lanes that took so long.
fn speed(cost: Cost, lanes: usize, time: Duration) -> u64 {
    let rounds = u128::from(cost.rounds()) * lanes as u128;
    let speed = rounds * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(speed).unwrap_or(u64::MAX).max(1)
}

/// Gives this thread the lowest priority, so that a flood of logins delays nothing but logins.
fn run_at_lowest_priority() {
    #[cfg(target_os = "linux")]
    {
        const LOWEST: i32 = 19;
        // On Linux priorities are the threads' own, and lowering one needs no right.
        let this_thread = rustix::thread::gettid();
        let _ = rustix::process::setpriority_process(Some(this_thread), LOWEST);
    }
}

#[cfg(test)]
mod tests;
