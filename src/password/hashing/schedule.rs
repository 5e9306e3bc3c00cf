//! What waits to be hashed, in the order in which it is served: networks take turns, in each network
//! its sources take turns, and each source is served first come, first served.
//!
//! So who sends much waits for itself, and a source that sends little is served soon, however long
//! the whole queue is. What is full is shared out in the same way (see [`Schedule::make_room`]).

use std::collections::VecDeque;

use super::cost::Cost;
use super::job::Job;
use crate::source::{Network, Source};

/// All that wait.
#[derive(Default)]
pub struct Schedule {
    networks: Rotation<Network, Rotation<Source, Fifo>>,
    jobs: usize,
    rounds: u64,
}

/// What waits under one key.
trait Line: Default {
    fn rounds(&self) -> u64;
    fn is_empty(&self) -> bool;
    fn front(&self) -> Option<&Job>;
    /// Takes the first job in turn that has this cost.
    fn take(&mut self, cost: Cost) -> Option<Job>;
    /// Takes the job that came last to the largest line.
    fn take_newest(&mut self) -> Option<Job>;
    /// Takes all jobs of which this is true.
    fn take_if(&mut self, is_taken: &dyn Fn(&Job) -> bool, taken: &mut Vec<Job>);
}

/// The jobs of one source, in the order in which they came.
#[derive(Default)]
struct Fifo {
    jobs: VecDeque<Job>,
    rounds: u64,
}

/// Lines that take turns. The first is served next; then it is the last. None is empty.
struct Rotation<Key, L>(VecDeque<(Key, L)>);

impl Schedule {
    pub fn len(&self) -> usize {
        self.jobs
    }

    /// The rounds of all jobs.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    pub fn push(&mut self, source: Source, job: Job) {
        self.jobs += 1;
        self.rounds += job.cost.rounds();
        let sources = self.networks.line(source.network());
        sources.line(source).push(job);
    }

    /// Takes at most so many jobs, all of the cost of the one whose turn it is, in turns. Others keep
    /// their turns. Abandoned jobs on the way are dropped; so there may be none though some wait.
    pub fn take(&mut self, most: usize) -> Option<(Cost, Vec<Job>)> {
        let cost = self.networks.front()?.cost;
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most
            && let Some(job) = self.networks.take(cost)
        {
            self.forget(&job);
            if !job.is_abandoned() {
                batch.push(job);
            }
        }
        Some((cost, batch))
    }

    /// Whether a job of this cost from this source has a right to the place of others.
    pub fn would_make_room(&self, source: Source, cost: Cost) -> bool {
        self.over_its_share(source, cost).is_some()
    }

    /// Makes room for a job of this cost from this source, if it has a right to it; returns what gave
    /// way, of as many rounds or more.
    ///
    /// A network gives way to one for which less waits, and in a network a source to one for which less
    /// waits; what came last goes first. So of what may wait at most, each network has an equal share
    /// that none can take from it, and each source an equal share of that.
    pub fn make_room(&mut self, source: Source, cost: Cost) -> Vec<Job> {
        let mut gone = Vec::new();
        let Some(network) = self.over_its_share(source, cost) else {
            return gone;
        };
        let mut rounds = 0;
        while rounds < cost.rounds()
            && let Some(job) = self.networks.line(network).take_newest()
        {
            self.forget(&job);
            rounds += job.cost.rounds();
            gone.push(job);
        }
        self.networks.drop_empty();
        gone
    }

    /// Takes all jobs of which this is true.
    pub fn take_if(&mut self, is_taken: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        self.networks.take_if(&is_taken, &mut taken);
        for job in &taken {
            self.forget(job);
        }
        taken
    }

    /// The network that has to give way to a job of this cost from this source: the largest one or, if
    /// that is not large enough, the source's own if another source has most of that.
    fn over_its_share(&self, source: Source, cost: Cost) -> Option<Network> {
        let own = self.networks.get(&source.network());
        let own_rounds = own.map_or(0, Line::rounds);
        let (largest, sources) = self.networks.largest()?;
        if is_larger(sources.rounds(), own_rounds, cost) {
            return Some(*largest);
        }
        let (_, fifo) = own?.largest()?;
        let source_rounds = own?.get(&source).map_or(0, Line::rounds);
        is_larger(fifo.rounds(), source_rounds, cost).then_some(source.network())
    }

    fn forget(&mut self, job: &Job) {
        self.jobs -= 1;
        self.rounds -= job.cost.rounds();
    }
}

/// Whether a line is still as large as another after one job went from it and one came to the other:
/// if not, they would take each other's place again and again.
fn is_larger(rounds: u64, other: u64, job: Cost) -> bool {
    rounds >= other + 2 * job.rounds()
}

impl Fifo {
    fn push(&mut self, job: Job) {
        self.rounds += job.cost.rounds();
        self.jobs.push_back(job);
    }
}

impl Line for Fifo {
    fn rounds(&self) -> u64 {
        self.rounds
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    fn front(&self) -> Option<&Job> {
        self.jobs.front()
    }

    fn take(&mut self, cost: Cost) -> Option<Job> {
        let index = self.jobs.iter().position(|job| job.cost == cost)?;
        self.rounds -= cost.rounds();
        self.jobs.remove(index)
    }

    fn take_newest(&mut self) -> Option<Job> {
        let job = self.jobs.pop_back()?;
        self.rounds -= job.cost.rounds();
        Some(job)
    }

    fn take_if(&mut self, is_taken: &dyn Fn(&Job) -> bool, taken: &mut Vec<Job>) {
        if self.jobs.iter().any(is_taken) {
            let (gone, kept) = self.jobs.drain(..).partition::<VecDeque<_>, _>(is_taken);
            self.rounds = kept.iter().map(|job| job.cost.rounds()).sum();
            self.jobs = kept;
            taken.extend(gone);
        }
    }
}

impl<Key, L> Default for Rotation<Key, L> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<Key: PartialEq, L: Line> Rotation<Key, L> {
    fn get(&self, key: &Key) -> Option<&L> {
        let (_, line) = self.0.iter().find(|(other, _)| other == key)?;
        Some(line)
    }

    /// The line of this key; a new one is served last.
    fn line(&mut self, key: Key) -> &mut L {
        let known = self.0.iter().position(|(other, _)| *other == key);
        let index = known.unwrap_or_else(|| {
            self.0.push_back((key, L::default()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    fn largest(&self) -> Option<&(Key, L)> {
        self.0.iter().max_by_key(|(_, line)| line.rounds())
    }

    fn drop_empty(&mut self) {
        self.0.retain(|(_, line)| !line.is_empty());
    }
}

impl<Key: PartialEq, L: Line> Line for Rotation<Key, L> {
    fn rounds(&self) -> u64 {
        self.0.iter().map(|(_, line)| line.rounds()).sum()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn front(&self) -> Option<&Job> {
        self.0.front().and_then(|(_, line)| line.front())
    }

    fn take(&mut self, cost: Cost) -> Option<Job> {
        let mut lines = self.0.iter_mut().enumerate();
        let (index, job) = lines.find_map(|(index, (_, line))| Some((index, line.take(cost)?)))?;
        let (key, line) = self.0.remove(index)?;
        if !line.is_empty() {
            self.0.push_back((key, line));
        }
        Some(job)
    }

    fn take_newest(&mut self) -> Option<Job> {
        let lines = self.0.iter_mut().map(|(_, line)| line);
        let job = lines.max_by_key(|line| line.rounds())?.take_newest();
        self.drop_empty();
        job
    }

    fn take_if(&mut self, is_taken: &dyn Fn(&Job) -> bool, taken: &mut Vec<Job>) {
        for (_, line) in &mut self.0 {
            line.take_if(is_taken, taken);
        }
        self.drop_empty();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Instant;

    use tokio::sync::oneshot;

    use super::super::interleaved::{Input, Output};
    use super::super::job::Displaced;
    use super::*;

    type Answers = Vec<oneshot::Receiver<Result<Output, Displaced>>>;

    /// Jobs that can be told apart by their source and a number.
    #[derive(Default)]
    struct Asked {
        turns: Schedule,
        since: Vec<(Instant, String)>,
        answers: Answers,
    }

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    impl Asked {
        fn job(&mut self, name: &str, cost: u32) -> Job {
            let (answer, receiver) = oneshot::channel();
            self.answers.push(receiver);
            let since = self.since.last().map_or_else(Instant::now, |(last, _)| {
                *last + std::time::Duration::from_nanos(1)
            });
            self.since.push((since, name.to_owned()));
            Job {
                cost: Cost(cost),
                input: Input::new(b"b4l0u", [1; 16], Cost(cost)),
                since,
                answer,
            }
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

        fn names(&self, jobs: &[Job]) -> Vec<String> {
            let name = |job: &Job| {
                let known = self.since.iter().find(|(since, _)| *since == job.since);
                known.unwrap().1.clone()
            };
            jobs.iter().map(name).collect()
        }

        fn take(&mut self, most: usize) -> Vec<String> {
            let (_, jobs) = self.turns.take(most).unwrap();
            self.names(&jobs)
        }

        fn make_room(&mut self, address: &str, cost: u32) -> Vec<String> {
            let rounds = self.turns.rounds();
            let would = self.turns.would_make_room(source(address), Cost(cost));
            let gone = self.turns.make_room(source(address), Cost(cost));
            assert_eq!(would, !gone.is_empty());
            let gone_rounds: u64 = gone.iter().map(|job| job.cost.rounds()).sum();
            assert_eq!(self.turns.rounds(), rounds - gone_rounds);
            self.names(&gone)
        }

        /// How many jobs of this source wait.
        fn waiting(&self, address: &str) -> usize {
            let sources = self.turns.networks.get(&source(address).network());
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
}
