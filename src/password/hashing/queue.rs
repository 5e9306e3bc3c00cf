//! How much may wait to be hashed, and the threads that do it.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{error, warn};

use super::cost::Cost;
use super::interleaved::{self, Input, MAX_LANES, Output};
use super::job::{Asker, Displaced, Job};
use super::schedule::Schedule;

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

    /// Whether a job of this cost by this asker would be let in now.
    pub fn ensure_room(&self, asker: impl Into<Asker>, cost: Cost) -> Result<(), NotHashed> {
        let shared = &self.shared;
        let mut state = shared.state();
        if shared.has_room(&mut state, cost) || state.waiting.would_make_room(asker, cost) {
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
        let (answer, output) = oneshot::channel();
        let job = Job {
            cost,
            input,
            since: Instant::now(),
            answer,
        };
        self.shared.admit(asker.into(), job)?;
        match output.await {
            Ok(Ok(output)) => Ok(output),
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
        let gone = if self.has_room(&mut state, job.cost) {
            Vec::new()
        } else {
            let gone = state.waiting.make_room(asker, job.cost);
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

    /// Whether there is room for a job of this cost without others giving way.
    fn has_room(&self, state: &mut State, cost: Cost) -> bool {
        let speed = self.speed.load(Ordering::Relaxed);
        let longest_wait = u64::try_from(self.longest_wait.as_millis()).unwrap_or(u64::MAX);
        let per_millisecond = (speed * self.threads as u64).div_ceil(1000);
        let most_rounds = longest_wait.saturating_mul(per_millisecond);
        if !state.has_room(cost, most_rounds) {
            state.waiting.take_if(Job::is_abandoned);
        }
        state.has_room(cost, most_rounds)
    }

    /// What a hashing thread does until the queue is dropped.
    fn work(&self) {
        run_at_lowest_priority();
        let lanes = *self.lanes.get_or_init(|| self.count_lanes());
        while let Some((cost, inputs, answers)) = self.next_batch(lanes) {
            let started = Instant::now();
            let outputs = if lanes > 1 {
                interleaved::hash_together(cost, &inputs)
            } else {
                interleaved::hash_by_crate(cost, &inputs)
            };
            if inputs.len() == lanes {
                self.measured(speed(cost, lanes, started.elapsed()));
            }
            for (answer, output) in answers.into_iter().zip(outputs) {
                // If the asker has gone in the meantime, the hash is of no use.
                let _ = answer.send(Ok(output));
            }
        }
    }

    /// Takes what to hash next: jobs of one cost, as many as there are lanes, but no more than a
    /// fair share if other threads are idle. `None` when there will be no more.
    fn next_batch(&self, lanes: usize) -> Option<(Cost, Vec<Input>, Vec<Answer>)> {
        let mut state = self.state();
        loop {
            let share = state.waiting.len().div_ceil(state.idle_threads + 1);
            if let Some((cost, batch)) = state.waiting.take(share.min(lanes)) {
                // After the turns: what can be done now is not refused, however late it is.
                self.sweep(&mut state, Instant::now());
                if batch.is_empty() {
                    continue;
                }
                let (inputs, answers) =
                    batch.into_iter().map(|job| (job.input, job.answer)).unzip();
                return Some((cost, inputs, answers));
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
    fn has_room(&self, cost: Cost, most_rounds: u64) -> bool {
        let rounds = self.waiting.rounds().saturating_add(cost.rounds());
        let jobs = self.waiting.len();
        jobs == 0 || (jobs < MAX_WAITING && rounds <= most_rounds)
    }
}

type Answer = oneshot::Sender<Result<Output, Displaced>>;

/// Tells the askers that there will be no hash.
fn give_way(jobs: Vec<Job>) {
    for job in jobs {
        // An asker that has gone needs no answer.
        let _ = job.answer.send(Err(Displaced));
    }
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
mod tests {
    use crate::source::Source;
    use std::net::IpAddr;
    use std::pin::pin;

    use tokio::task::JoinSet;

    use super::*;

    const LONG: Duration = Duration::from_mins(1);

    fn cost(number: u32) -> Cost {
        Cost::new(number).unwrap()
    }

    fn input(number: u8, cost: Cost) -> Input {
        Input::new(&[number], [number; 16], cost)
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    fn home() -> Source {
        source("127.0.0.1")
    }

    /// A queue that no thread serves, in which so many jobs of the lowest cost may wait: as many as one
    /// thread with a round a millisecond does in the longest wait.
    fn unserved(jobs: u64) -> Arc<Shared> {
        let shared = Shared::new(1, Duration::from_millis(jobs * Cost::MIN.rounds()));
        shared.speed.store(1000, Ordering::Relaxed);
        Arc::new(shared)
    }

    type Asked = oneshot::Receiver<Result<Output, Displaced>>;

    /// Asks for a hash; says whether it was let in.
    fn ask(shared: &Shared, source: Source, since: Instant) -> Option<Asked> {
        let (answer, asked) = oneshot::channel();
        let job = Job {
            cost: Cost::MIN,
            input: input(1, Cost::MIN),
            since,
            answer,
        };
        shared.admit(source.into(), job).is_ok().then_some(asked)
    }

    /// Asks for a hash and does not wait for it. Says whether it was let in.
    async fn ask_and_leave(queue: &Queue, cost: Cost) -> bool {
        let mut asked = pin!(queue.hash(home(), cost, input(0, cost)));
        tokio::select! {
            biased;
            refused = &mut asked => refused.is_ok(),
            () = std::future::ready(()) => true,
        }
    }

    #[tokio::test]
    async fn every_asker_gets_its_own_hash_whatever_the_costs_and_sources_around_it() {
        let queue = Arc::new(Queue::start(LONG));
        let mut hashes = JoinSet::new();
        for number in 0..60 {
            let queue = Arc::clone(&queue);
            let all = cost(5 + u32::from(number) % 3);
            let own = cost(4 + u32::from(number) % 2);
            let source = source(&format!("192.0.{}.{}", number % 4, number % 7));
            hashes.spawn(async move {
                let output = queue.hash(source, all, input(number, own)).await;
                (all, number, own, output)
            });
        }
        for (all, number, own, output) in hashes.join_all().await {
            let by_crate = interleaved::hash_by_crate(all, &[input(number, own)]);
            assert_eq!(output.unwrap(), by_crate[0], "{number}");
        }
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_refused_at_once() {
        let wait = Duration::from_millis(1);
        let queue = Queue::start(wait);
        let mut let_in = 0;
        for _ in 0..100 {
            let_in += u32::from(ask_and_leave(&queue, cost(16)).await);
        }
        // Each takes its place over from the one before, which has left it: none is refused.
        assert_eq!(let_in, 100);

        let shared = unserved(3);
        let now = Instant::now();
        let asked: Vec<_> = (0..10).map(|_| ask(&shared, home(), now)).collect();
        assert_eq!(asked.iter().flatten().count(), 3);
        let queue = Queue { shared };
        let refused = queue.hash(home(), Cost::MIN, input(1, Cost::MIN)).await;
        let Err(NotHashed::Busy { retry_after }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(retry_after, Duration::from_millis(48));
        assert!(queue.ensure_room(home(), Cost::MIN).is_err());
    }

    #[tokio::test]
    async fn a_full_queue_has_a_share_for_each_source() {
        let queue = Queue {
            shared: unserved(100),
        };
        let now = Instant::now();
        let flood: Vec<_> = (0..1000)
            .filter_map(|_| ask(&queue.shared, home(), now))
            .collect();
        assert_eq!(flood.len(), 100);

        let owner = source("198.51.100.1");
        let mut asked = Vec::new();
        for _ in 0..50 {
            queue.ensure_room(owner, Cost::MIN).unwrap();
            asked.push(ask(&queue.shared, owner, now).unwrap());
            assert!(queue.ensure_room(home(), Cost::MIN).is_err());
            assert!(ask(&queue.shared, home(), now).is_none());
        }
        // Each has half of it now.
        assert!(queue.ensure_room(owner, Cost::MIN).is_err());
        assert!(ask(&queue.shared, owner, now).is_none());
        assert_eq!(queue.shared.state().waiting.len(), 100);
        let told: Vec<_> = flood
            .into_iter()
            .filter_map(|mut asked| asked.try_recv().ok())
            .collect();
        assert_eq!(told.len(), 50);
        assert!(told.iter().all(Result::is_err));
        assert!(asked.iter_mut().all(|asked| asked.try_recv().is_err()));
    }

    #[tokio::test]
    async fn one_source_cannot_keep_another_from_being_hashed() {
        let queue = Arc::new(Queue::start(LONG));
        let mut flood = JoinSet::new();
        for _ in 0..2 * MAX_WAITING {
            let queue = Arc::clone(&queue);
            let input = input(1, Cost::MIN);
            flood.spawn(async move { queue.hash(home(), Cost::MIN, input).await });
        }
        tokio::task::yield_now().await;
        for _ in 0..10 {
            let owner = source("198.51.100.1");
            let input = input(2, Cost::MIN);
            queue.ensure_room(owner, Cost::MIN).unwrap();
            queue.hash(owner, Cost::MIN, input).await.unwrap();
        }
        let first_of_flood = std::iter::from_fn(|| flood.try_join_next());
        assert!(first_of_flood.flatten().any(|outcome| outcome.is_err()));
    }

    #[test]
    fn what_has_waited_too_long_in_spite_of_all_is_refused() {
        let shared = unserved(10);
        let (start, wait) = (Instant::now(), shared.longest_wait);
        let mut early = ask(&shared, home(), start).unwrap();
        let mut late = ask(&shared, home(), start + wait).unwrap();
        shared.sweep(&mut shared.state(), start + 2 * wait);
        assert!(early.try_recv().unwrap().is_err());
        assert!(late.try_recv().is_err());
        assert_eq!(shared.state().waiting.len(), 1);
    }

    #[test]
    fn the_queue_is_bounded_however_cheap_its_jobs() {
        let shared = unserved(1 << 20);
        let asked: Vec<_> = (0..2 * MAX_WAITING)
            .map(|_| ask(&shared, home(), Instant::now()))
            .collect();
        assert_eq!(asked.iter().flatten().count(), MAX_WAITING);
        assert_eq!(shared.state().waiting.len(), MAX_WAITING);
    }

    #[tokio::test]
    async fn a_dropped_queue_ends_its_threads() {
        let queue = Queue::start(LONG);
        let shared = Arc::clone(&queue.shared);
        let input = input(1, Cost::MIN);
        queue.hash(home(), Cost::MIN, input).await.unwrap();
        drop(queue);
        while Arc::strong_count(&shared) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
