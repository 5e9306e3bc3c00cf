//! What may wait, who is refused, and that hashes come to those who asked.

use std::net::IpAddr;
use std::pin::pin;

use tokio::task::JoinSet;

use super::super::foreign::Digest;
use super::*;
use crate::source::Source;

const LONG: Duration = Duration::from_mins(1);

fn cost(number: u32) -> Cost {
    Cost::new(number).unwrap()
}

fn input(number: u8, cost: Cost) -> Input {
    Input::new(&[number], [number; 16], cost)
}

/// A foreign hash that is not that of any password, and takes so many rounds to be checked.
fn foreign(rounds: u64) -> ForeignHash {
    let salt = b"salt".to_vec();
    ForeignHash::pbkdf2(Digest::Sha256, 100 * rounds, salt, vec![0; 32]).unwrap()
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
    let work = Work::Bcrypt {
        cost: Cost::MIN,
        input: input(1, Cost::MIN),
        answer,
    };
    let job = Job { work, since };
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
async fn every_asker_gets_its_own_outcome_whatever_the_costs_and_sources_around_it() {
    // `b4l0u` as Werkzeug 0.9.6 stores it.
    let stored = "f147c14d9d9387644607f74d196ff66d8f41970b";
    let byte = |at: usize| u8::from_str_radix(&stored[at..at + 2], 16).unwrap();
    let stored: Vec<u8> = (0..stored.len()).step_by(2).map(byte).collect();

    let queue = Arc::new(Queue::start(LONG));
    let mut checks = JoinSet::new();
    for number in 0..60 {
        let queue = Arc::clone(&queue);
        let salt = b"JuwS5c9L".to_vec();
        let hash = ForeignHash::pbkdf2(Digest::Sha1, 1000, salt, stored.clone()).unwrap();
        let password = ["b4l0u", "wrong"][number % 2].parse().unwrap();
        let source = source(&format!("192.0.{}.{}", number % 4, number % 7));
        checks.spawn(async move { (number, queue.check(source, hash, password).await) });
    }
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
    for (number, is_right) in checks.join_all().await {
        assert_eq!(is_right.unwrap(), number % 2 == 0, "{number}");
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

#[tokio::test]
async fn a_flood_of_foreign_hashes_keeps_no_other_source_from_being_hashed() {
    let queue = Arc::new(Queue::start(LONG));
    let mut flood = JoinSet::new();
    for _ in 0..2 * MAX_WAITING {
        let queue = Arc::clone(&queue);
        let password = "b4l0u".parse().unwrap();
        flood.spawn(async move { queue.check(home(), foreign(16), password).await });
    }
    tokio::task::yield_now().await;
    for number in 0..10 {
        let owner = source("198.51.100.1");
        let input = input(2, Cost::MIN);
        queue.ensure_room(owner, Cost::MIN).unwrap();
        queue.hash(owner, Cost::MIN, input).await.unwrap();
        let waiting = queue.shared.state().waiting.len();
        assert!(waiting > MAX_WAITING / 2, "{number}: {waiting}");
    }
    flood.abort_all();
}

#[tokio::test]
async fn a_foreign_hash_gets_no_more_of_the_queue_than_its_work() {
    let queue = Queue {
        shared: unserved(10),
    };
    let now = Instant::now();
    let asked: Vec<_> = (0..5).map(|_| ask(&queue.shared, home(), now)).collect();
    assert_eq!(asked.iter().flatten().count(), 5);
    // Half of the queue is left: 80 rounds.
    let password: Password = "b4l0u".parse().unwrap();
    let refused = queue.check(home(), foreign(81), password.clone()).await;
    assert!(matches!(refused, Err(NotHashed::Busy { .. })));
    let mut waits = pin!(queue.check(home(), foreign(80), password));
    tokio::select! {
        biased;
        refused = &mut waits => panic!("{refused:?}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(queue.shared.state().waiting.rounds(), 160);
    // Another source takes its place.
    let _owner = ask(&queue.shared, source("198.51.100.1"), now).unwrap();
    assert!(matches!(waits.await, Err(NotHashed::Busy { .. })));
    assert_eq!(queue.shared.state().waiting.rounds(), 96);
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
