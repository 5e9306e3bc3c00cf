//! Who is served next, and who is displaced.

use std::net::IpAddr;
use std::time::Instant;

use tokio::sync::oneshot;

use super::super::foreign::{Digest, ForeignHash};
use super::super::interleaved::{Input, Output};
use super::super::job::{Displaced, Work};
use super::*;

type Answers = Vec<oneshot::Receiver<Result<Output, Displaced>>>;

/// Jobs that can be told apart by their source and a number.
#[derive(Default)]
struct Asked {
    turns: Schedule,
    since: Vec<(Instant, String)>,
    answers: Answers,
    checks: Vec<oneshot::Receiver<Result<bool, Displaced>>>,
}

fn source(text: &str) -> Source {
    text.parse::<IpAddr>().unwrap().into()
}

impl Asked {
    fn job(&mut self, name: &str, cost: u32) -> Job {
        let (answer, receiver) = oneshot::channel();
        self.answers.push(receiver);
        let work = Work::Bcrypt {
            cost: Cost(cost),
            input: Input::new(b"b4l0u", [1; 16], Cost(cost)),
            answer,
        };
        self.named(name, work)
    }

    /// A check against a foreign hash that takes so many rounds.
    fn check(&mut self, name: &str, rounds: u64) -> Job {
        let (answer, receiver) = oneshot::channel();
        self.checks.push(receiver);
        let salt = b"salt".to_vec();
        let hash = ForeignHash::pbkdf2(Digest::Sha256, 100 * rounds, salt, vec![0; 32]).unwrap();
        assert_eq!(hash.rounds(), rounds);
        let work = Work::Foreign {
            hash,
            password: "b4l0u".parse().unwrap(),
            answer,
        };
        self.named(name, work)
    }

    fn named(&mut self, name: &str, work: Work) -> Job {
        let since = self.since.last().map_or_else(Instant::now, |(last, _)| {
            *last + std::time::Duration::from_nanos(1)
        });
        self.since.push((since, name.to_owned()));
        Job { work, since }
    }

    /// Lets jobs of this cost wait; each is `source#number`.
    fn push_at(&mut self, cost: u32, address: &str, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            let job = self.job(&format!("{address}#{number}"), cost);
            self.turns.push(source(address), job);
        }
    }

    fn push(&mut self, address: &str, jobs: u32) {
        self.push_at(4, address, 1..=jobs);
    }

    /// Lets checks of so many rounds wait; each is `source#number`.
    fn push_checks(&mut self, rounds: u64, address: &str, numbers: impl Iterator<Item = u32>) {
        for number in numbers {
            let job = self.check(&format!("{address}#{number}"), rounds);
            self.turns.push(source(address), job);
        }
    }

    fn names(&self, jobs: &[Job]) -> Vec<String> {
        let name = |job: &Job| {
            let known = self.since.iter().find(|(since, _)| *since == job.since);
            known.unwrap().1.clone()
        };
        jobs.iter().map(name).collect()
    }

    fn take(&mut self, most: usize) -> Vec<String> {
        let jobs = self.turns.take(most).unwrap();
        self.names(&jobs)
    }

    fn make_room(&mut self, address: &str, cost: u32) -> Vec<String> {
        let rounds = self.turns.rounds();
        let would = self
            .turns
            .would_make_room(source(address), Cost(cost).rounds());
        let gone = self.turns.make_room(source(address), Cost(cost).rounds());
        assert_eq!(would, !gone.is_empty());
        let gone_rounds: u64 = gone.iter().map(Job::rounds).sum();
        assert_eq!(self.turns.rounds(), rounds - gone_rounds);
        self.names(&gone)
    }

    /// How many jobs of this source wait.
    fn waiting(&self, address: &str) -> usize {
        let networks = self.turns.classes.get(&false);
        let sources = networks.and_then(|networks| networks.get(&source(address).network()));
        let fifo = sources.and_then(|sources| sources.get(&source(address)));
        fifo.map_or(0, |fifo| fifo.jobs.len())
    }
}

const HOME: &str = "192.0.2.1";
const NEXT_DOOR: &str = "192.0.2.2";
const ELSEWHERE: &str = "198.51.100.1";
const FAR_AWAY: &str = "2001:db8::1";

#[test]
fn one_source_is_served_first_come_first_served() {
    let mut asked = Asked::default();
    asked.push(HOME, 3);
    assert_eq!(asked.take(2), ["192.0.2.1#1", "192.0.2.1#2"]);
    assert_eq!(asked.take(2), ["192.0.2.1#3"]);
    assert!(asked.turns.take(2).is_none());
    assert_eq!((asked.turns.len(), asked.turns.rounds()), (0, 0));
}

#[test]
fn networks_take_turns_and_in_each_its_sources_do() {
    let mut asked = Asked::default();
    asked.push(HOME, 4);
    asked.push(NEXT_DOOR, 2);
    asked.push(ELSEWHERE, 3);
    asked.push(FAR_AWAY, 1);
    assert_eq!(
        asked.take(5),
        [
            "192.0.2.1#1",
            "198.51.100.1#1",
            "2001:db8::1#1",
            "192.0.2.2#1",
            "198.51.100.1#2",
        ]
    );
    // Who comes now waits for one of each network that waits, however much that is.
    asked.push("203.0.113.1", 1);
    assert_eq!(
        asked.take(5),
        [
            "192.0.2.1#2",
            "198.51.100.1#3",
            "203.0.113.1#1",
            "192.0.2.2#2",
            "192.0.2.1#3",
        ]
    );
}

#[test]
fn a_batch_has_one_cost_and_the_others_keep_their_turns() {
    let mut asked = Asked::default();
    asked.push_at(4, HOME, 1..=1);
    asked.push_at(5, HOME, 2..=2);
    asked.push_at(4, HOME, 3..=3);
    asked.push_at(5, ELSEWHERE, 1..=2);
    asked.push_at(4, ELSEWHERE, 3..=3);
    assert_eq!(asked.take(2), ["192.0.2.1#1", "198.51.100.1#3"]);
    assert_eq!(
        asked.take(5),
        ["192.0.2.1#2", "198.51.100.1#1", "198.51.100.1#2"]
    );
    assert_eq!(asked.take(5), ["192.0.2.1#3"]);
}

#[test]
fn a_cost_of_its_own_does_not_keep_a_source_waiting_for_ever() {
    let mut asked = Asked::default();
    asked.push(HOME, 8);
    asked.push_at(9, ELSEWHERE, 1..=1);
    assert_eq!(asked.take(5).len(), 5);
    assert_eq!(asked.take(5), ["198.51.100.1#1"]);
}

#[test]
fn a_foreign_hash_is_checked_by_itself_in_its_turn() {
    let mut asked = Asked::default();
    asked.push_checks(16, HOME, 1..=2);
    asked.push_checks(16, NEXT_DOOR, 1..=1);
    asked.push_at(4, ELSEWHERE, 1..=2);
    asked.push_at(4, HOME, 3..=3);
    assert_eq!(asked.take(5), ["192.0.2.1#1"]);
    assert_eq!(
        asked.take(5),
        ["198.51.100.1#1", "192.0.2.1#3", "198.51.100.1#2"]
    );
    assert_eq!(asked.take(5), ["192.0.2.2#1"]);
    assert_eq!(asked.turns.rounds(), 16);
    assert_eq!(asked.take(5), ["192.0.2.1#2"]);
    assert_eq!((asked.turns.len(), asked.turns.rounds()), (0, 0));
}

#[test]
fn a_hundred_foreign_hashes_of_a_source_take_the_turns_of_one() {
    let mut asked = Asked::default();
    asked.push_checks(16, HOME, 1..=100);
    for network in 0..10 {
        asked.push(&format!("10.0.{network}.1"), 2);
    }
    let foreign = |taken: &[String]| taken.iter().any(|name| name.starts_with(HOME));
    let turns: Vec<_> = (0..6).map(|_| foreign(&asked.take(5))).collect();
    assert_eq!(turns, [true, false, false, true, false, false]);
    assert_eq!(asked.turns.len(), 98, "all of bcrypt's are done");
}

#[test]
fn foreign_hashes_give_way_by_the_work_that_they_are() {
    let mut asked = Asked::default();
    asked.push_checks(3_000, HOME, 1..=2);
    // 1,024 rounds: one check is more than enough.
    assert_eq!(asked.make_room(ELSEWHERE, 10), ["192.0.2.1#2"]);
    asked.push_at(10, ELSEWHERE, 1..=1);
    // The other is less than what would wait of the second source then.
    assert!(asked.make_room(ELSEWHERE, 10).is_empty());
    assert_eq!((asked.turns.len(), asked.turns.rounds()), (2, 4_024));
}

#[test]
fn jobs_that_were_given_up_are_passed_over() {
    let mut asked = Asked::default();
    asked.push(HOME, 3);
    asked.answers.remove(0);
    assert_eq!(asked.take(1), ["192.0.2.1#2"]);
    asked.answers.clear();
    assert!(asked.take(1).is_empty());
    assert_eq!(asked.turns.len(), 0);
}

#[test]
fn the_largest_network_gives_way_until_all_have_equal_shares() {
    let mut asked = Asked::default();
    asked.push(HOME, 10);
    for number in 1..=20 {
        let gone = asked.make_room(ELSEWHERE, 4);
        let expected = (number <= 5).then(|| format!("192.0.2.1#{}", 11 - number));
        assert_eq!(gone, Vec::from_iter(expected));
        if !gone.is_empty() {
            asked.push(ELSEWHERE, 1);
        }
    }
    assert_eq!((asked.waiting(HOME), asked.waiting(ELSEWHERE)), (5, 5));
    assert!(asked.make_room(HOME, 4).is_empty());
}

#[test]
fn a_network_has_one_share_however_many_sources_are_in_it() {
    let mut asked = Asked::default();
    for host in 1..=8 {
        asked.push(&format!("192.0.2.{host}"), 1);
    }
    asked.push(ELSEWHERE, 2);
    for _ in 0..3 {
        assert_eq!(asked.make_room(FAR_AWAY, 4).len(), 1);
        asked.push(FAR_AWAY, 1);
    }
    // One more source of the crowd takes nothing from the other networks.
    assert!(asked.make_room("192.0.2.9", 4).is_empty());
    assert_eq!((asked.waiting(ELSEWHERE), asked.waiting(FAR_AWAY)), (2, 3));
}

#[test]
fn in_a_network_the_largest_source_gives_way() {
    let mut asked = Asked::default();
    asked.push(HOME, 4);
    asked.push(ELSEWHERE, 4);
    assert_eq!(asked.make_room(NEXT_DOOR, 4), ["192.0.2.1#4"]);
    asked.push(NEXT_DOOR, 1);
    assert_eq!(asked.make_room(NEXT_DOOR, 4), ["192.0.2.1#3"]);
    asked.push(NEXT_DOOR, 1);
    assert!(asked.make_room(NEXT_DOOR, 4).is_empty());
}

#[test]
fn a_dear_job_takes_the_place_of_as_many_cheap_ones_as_it_is_worth() {
    let mut asked = Asked::default();
    asked.push(HOME, 7);
    assert!(asked.make_room(ELSEWHERE, 6).is_empty());
    asked.push(HOME, 1);
    assert_eq!(asked.make_room(ELSEWHERE, 6).len(), 4);
    assert_eq!(asked.turns.rounds(), 4 * 16);
}

#[test]
fn what_is_taken_out_is_counted_no_longer() {
    let mut asked = Asked::default();
    asked.push(HOME, 3);
    asked.push(ELSEWHERE, 1);
    asked.answers.truncate(3);
    asked.answers.remove(1);
    let gone = asked.turns.take_if(Job::is_abandoned);
    assert_eq!(asked.names(&gone), ["192.0.2.1#2", "198.51.100.1#1"]);
    assert_eq!((asked.turns.len(), asked.turns.rounds()), (2, 32));
    assert_eq!(asked.take(5), ["192.0.2.1#1", "192.0.2.1#3"]);
}

#[test]
fn familiar_askers_have_half_however_many_networks_strangers_come_from() {
    let mut asked = Asked::default();
    for network in 0..40 {
        asked.push(&format!("10.0.{network}.1"), 1);
    }
    let owner = Asker::familiar(source("198.51.100.1"));
    // A stranger from one more network displaces no one: each has no more than its share.
    assert!(
        !asked
            .turns
            .would_make_room(source("10.1.0.1"), Cost(4).rounds())
    );
    assert!(asked.turns.would_make_room(owner, Cost(4).rounds()));
    for _ in 0..2 {
        let gone = asked.turns.make_room(owner, Cost(4).rounds());
        assert_eq!(gone.len(), 1);
        let job = asked.job("owner", 4);
        asked.turns.push(owner, job);
    }
    // And takes turns with all of them.
    let taken = asked.take(4);
    let owners = taken.iter().filter(|name| *name == "owner").count();
    assert_eq!(owners, 2, "{taken:?}");
}
