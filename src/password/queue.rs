//! Who waits to be hashed, how long at the most, and the threads that do it.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{error, warn};

use super::cost::Cost;
use super::lanes::{self, Hash, Input, MAX_LANES};

/// The most that may wait, however cheap they are: the queue is bounded in memory too.
const MAX_WAITING: usize = 4096;

/// The rounds that a thread does in a second, until it is known: a third of a core of 2026.
const ASSUMED_SPEED: u64 = 20_000;

/// Why something was not hashed.
#[derive(Debug)]
pub(super) enum NotHashed {
    /// The queue is longer than one may wait.
    Busy {
        /// When what waits now will be done.
        retry_after: Duration,
    },
    /// There is nobody to do it.
    Gone,
}

/// The queue. Its threads end when it is dropped.
pub(super) struct Queue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    arrived: Condvar,
    threads: usize,
    /// The longest that the last in the queue may wait.
    longest_wait: Duration,
    /// The rounds that a thread does in a second with all lanes in use.
    speed: AtomicU64,
    /// How many lanes to use: all, or one if they were found not to agree with the crate.
    lanes: OnceLock<usize>,
}

struct State {
    waiting: VecDeque<Job>,
    /// The rounds of all that wait.
    rounds: u64,
    idle_threads: usize,
    is_open: bool,
}

struct Job {
    cost: Cost,
    input: Input,
    answer: oneshot::Sender<Hash>,
}

impl Queue {
    /// Starts a thread for each core.
    pub(super) fn start(longest_wait: Duration) -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                rounds: 0,
                idle_threads: 0,
                is_open: true,
            }),
            arrived: Condvar::new(),
            threads,
            longest_wait,
            speed: AtomicU64::new(ASSUMED_SPEED),
            lanes: OnceLock::new(),
        });
        for number in 0..threads {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name(format!("hash-{number}"));
            if let Err(error) = thread.spawn(move || shared.work()) {
                error!(%error, "cannot start a hashing thread");
            }
        }
        Self { shared }
    }

    /// Whether a job of this cost would be let in now.
    pub(super) fn ensure_room(&self, cost: Cost) -> Result<(), NotHashed> {
        self.shared.room(cost).map(drop)
    }

    /// Waits for its turn and returns the hash. A caller that stops waiting gives its place up.
    pub(super) async fn hash(&self, cost: Cost, input: Input) -> Result<Hash, NotHashed> {
        let (answer, hash) = oneshot::channel();
        let job = Job {
            cost,
            input,
            answer,
        };
        self.shared.admit(job)?;
        hash.await.map_err(|_| NotHashed::Gone)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.shared.state().is_open = false;
        self.shared.arrived.notify_all();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // What a thread leaves behind when it panics is still a queue.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, job: Job) -> Result<(), NotHashed> {
        let mut state = self.room(job.cost)?;
        state.rounds += job.cost.rounds();
        state.waiting.push_back(job);
        drop(state);
        self.arrived.notify_one();
        Ok(())
    }

    /// The queue, if there is room in it for a job of this cost.
    fn room(&self, cost: Cost) -> Result<MutexGuard<'_, State>, NotHashed> {
        let speed = self.speed.load(Ordering::Relaxed);
        let longest_wait = u64::try_from(self.longest_wait.as_millis()).unwrap_or(u64::MAX);
        let per_millisecond = (speed * self.threads as u64).div_ceil(1000);
        let most_rounds = longest_wait.saturating_mul(per_millisecond);

        let mut state = self.state();
        if !state.has_room(cost, most_rounds) {
            state.drop_abandoned();
            if !state.has_room(cost, most_rounds) {
                return Err(NotHashed::Busy {
                    retry_after: self.longest_wait,
                });
            }
        }
        Ok(state)
    }

    /// What a hashing thread does until the queue is dropped.
    fn work(&self) {
        yield_to_everybody();
        let lanes = *self.lanes.get_or_init(|| self.count_lanes());
        while let Some((cost, inputs, answers)) = self.next_batch(lanes) {
            let started = Instant::now();
            let hashes = lanes::hash_together(cost, &inputs);
            if inputs.len() == lanes {
                self.measured(speed(cost, lanes, started.elapsed()));
            }
            for (answer, hash) in answers.into_iter().zip(hashes) {
                // Whoever has gone in the meantime misses nothing.
                let _ = answer.send(hash);
            }
        }
    }

    /// Takes what to hash next: jobs of one cost, as many as there are lanes, but no more than a
    /// fair share if other threads are idle. `None` when there will be no more.
    fn next_batch(&self, lanes: usize) -> Option<(Cost, Vec<Input>, Vec<oneshot::Sender<Hash>>)> {
        let mut state = self.state();
        loop {
            state.drop_abandoned_in_front();
            if let Some(cost) = state.waiting.front().map(|job| job.cost) {
                let share = state.waiting.len().div_ceil(state.idle_threads + 1);
                return Some(state.take(cost, share.min(lanes)));
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

    /// Follows the speed slowly, since any one batch may have been held up.
    fn measured(&self, now: u64) {
        let before = self.speed.load(Ordering::Relaxed);
        let speed = before - before / 8 + now / 8;
        self.speed.store(speed.max(1), Ordering::Relaxed);
    }

    /// Checks the lanes before the first password goes through them, and learns their speed.
    fn count_lanes(&self) -> usize {
        if let Some(time) = lanes::try_out() {
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
    fn has_room(&self, cost: Cost, most_rounds: u64) -> bool {
        self.waiting.is_empty()
            || (self.waiting.len() < MAX_WAITING
                && self.rounds.saturating_add(cost.rounds()) <= most_rounds)
    }

    fn take(&mut self, cost: Cost, most: usize) -> (Cost, Vec<Input>, Vec<oneshot::Sender<Hash>>) {
        let (mut inputs, mut answers) = (Vec::new(), Vec::new());
        let mut others = VecDeque::new();
        while let Some(job) = self.waiting.pop_front() {
            if job.cost != cost {
                others.push_back(job);
                continue;
            }
            self.rounds -= cost.rounds();
            if job.answer.is_closed() {
                continue;
            }
            inputs.push(job.input);
            answers.push(job.answer);
            if inputs.len() == most {
                break;
            }
        }
        // Those of other costs keep their places in front.
        others.append(&mut self.waiting);
        self.waiting = others;
        (cost, inputs, answers)
    }

    fn drop_abandoned_in_front(&mut self) {
        while let Some(job) = self.waiting.pop_front_if(|job| job.answer.is_closed()) {
            self.rounds -= job.cost.rounds();
        }
    }

    fn drop_abandoned(&mut self) {
        self.waiting.retain(|job| !job.answer.is_closed());
        self.rounds = self.waiting.iter().map(|job| job.cost.rounds()).sum();
    }
}

/// The rounds a second of so many lanes that took so long.
fn speed(cost: Cost, lanes: usize, time: Duration) -> u64 {
    let rounds = u128::from(cost.rounds()) * lanes as u128;
    let speed = rounds * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(speed).unwrap_or(u64::MAX).max(1)
}

/// Gives this thread the lowest priority, so that a flood of logins delays nothing but logins.
fn yield_to_everybody() {
    #[cfg(target_os = "linux")]
    {
        const LOWEST: i32 = 19;
        // On Linux priorities are the threads' own, and lowering one needs no right.
        let this_thread = rustix::thread::gettid();
        let _ = rustix::process::setpriority_process(Some(this_thread), LOWEST);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::task::JoinSet;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn cost(number: u32) -> Cost {
        Cost::new(number).unwrap()
    }

    fn input(number: u8) -> Input {
        Input::new(&[number], [number; 16])
    }

    /// Asks for a hash and does not wait for it. Says whether it was let in.
    async fn ask_and_leave(queue: &Queue, cost: Cost) -> bool {
        let mut asked = pin!(queue.hash(cost, input(0)));
        tokio::select! {
            biased;
            refused = &mut asked => refused.is_ok(),
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn everybody_gets_their_own_hash_whatever_the_costs_around_them() {
        let queue = Arc::new(Queue::start(LONG));
        let mut hashes = JoinSet::new();
        for number in 0..60 {
            let queue = Arc::clone(&queue);
            let cost = cost(4 + u32::from(number) % 3);
            hashes.spawn(async move { (cost, number, queue.hash(cost, input(number)).await) });
        }
        for (cost, number, hash) in hashes.join_all().await {
            let alone = lanes::hash_alone(cost, &input(number));
            assert_eq!(hash.unwrap(), alone, "{number}");
        }
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_refused_at_once() {
        let queue = Queue::start(Duration::from_millis(1));
        let mut let_in = 0;
        for _ in 0..100 {
            let_in += u32::from(ask_and_leave(&queue, cost(16)).await);
        }
        // Each takes its place over from the one before, who has left it: nobody is refused.
        assert_eq!(let_in, 100);

        // None of these leaves, so few fit: one for each thread and one that waits.
        let many = 20 * queue.shared.threads;
        let queue = Arc::new(queue);
        let mut waiting = JoinSet::new();
        for _ in 0..many {
            let queue = Arc::clone(&queue);
            waiting.spawn(async move { queue.hash(cost(10), input(1)).await });
        }
        let (mut hashed, mut refused) = (0, 0);
        for outcome in waiting.join_all().await {
            match outcome {
                Ok(_) => hashed += 1,
                Err(NotHashed::Busy { retry_after }) => {
                    assert_eq!(retry_after, Duration::from_millis(1));
                    refused += 1;
                }
                Err(NotHashed::Gone) => panic!("the threads are gone"),
            }
        }
        assert!(
            hashed >= 1 && refused >= many / 2,
            "{refused} of {many} refused"
        );
    }

    #[tokio::test]
    async fn the_queue_is_bounded_however_cheap_its_jobs() {
        let queue = Queue::start(Duration::from_hours(1));
        let jobs: Vec<_> = (0..2 * MAX_WAITING)
            .map(|_| {
                let (answer, hash) = oneshot::channel();
                let job = Job {
                    cost: Cost::MIN,
                    input: input(1),
                    answer,
                };
                (queue.shared.admit(job), hash)
            })
            .collect();
        assert!(jobs.iter().any(|(admitted, _)| admitted.is_err()));
        assert!(queue.shared.state().waiting.len() <= MAX_WAITING);
    }

    #[test]
    fn a_batch_has_one_cost_and_leaves_the_others_in_their_order() {
        let mut answers = Vec::new();
        let mut job = |number: u32| {
            let (answer, hash) = oneshot::channel();
            answers.push(hash);
            Job {
                cost: cost(number),
                input: input(1),
                answer,
            }
        };
        let mut state = State {
            waiting: [5, 6, 5, 7, 5, 6].map(&mut job).into(),
            rounds: 3 * 32 + 2 * 64 + 128,
            idle_threads: 0,
            is_open: true,
        };
        let (_, inputs, _) = state.take(cost(5), 2);
        assert_eq!(inputs.len(), 2);
        let left: Vec<u32> = state.waiting.iter().map(|job| job.cost.0).collect();
        assert_eq!(left, [6, 7, 5, 6]);
        assert_eq!(state.rounds, 32 + 2 * 64 + 128);

        // Whoever holds these has gone.
        answers.clear();
        state.drop_abandoned();
        assert_eq!((state.waiting.len(), state.rounds), (0, 0));
    }

    #[tokio::test]
    async fn a_dropped_queue_ends_its_threads() {
        let queue = Queue::start(LONG);
        let shared = Arc::clone(&queue.shared);
        queue.hash(Cost::MIN, input(1)).await.unwrap();
        drop(queue);
        while Arc::strong_count(&shared) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
