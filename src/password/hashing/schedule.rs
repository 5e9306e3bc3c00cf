//! What waits to be hashed, in the order in which it is served: familiar askers and strangers take turns,
//! among each their networks, in each network its sources, and each source is served first come, first
//! served.
//!
//! So who sends much waits for itself, and a source that sends little is served soon, however long
//! the whole queue is; and however many networks strangers come from, owners at their familiar sources
//! have half of it. What is full is shared out in the same way (see [`Schedule::make_room`]).

use std::collections::VecDeque;

use super::cost::Cost;
use super::job::{Asker, Job};
use crate::source::{Network, Source};

/// All that wait.
#[derive(Default)]
pub struct Schedule {
    /// Those of familiar askers, and those of strangers.
    classes: Rotation<bool, Networks>,
    jobs: usize,
    rounds: u64,
}

type Networks = Rotation<Network, Rotation<Source, Fifo>>;

/// What waits under one key.
trait Line: Default {
    fn rounds(&self) -> u64;
    fn is_empty(&self) -> bool;
    fn front(&self) -> Option<&Job>;
    /// Takes the first job in turn that has this shared cost.
    fn take(&mut self, cost: Option<Cost>) -> Option<Job>;
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

    pub fn push(&mut self, asker: impl Into<Asker>, job: Job) {
        self.jobs += 1;
        self.rounds += job.rounds();
        let Asker {
            source,
            is_familiar,
        } = asker.into();
        let networks = self.classes.line(is_familiar);
        networks.line(source.network()).line(source).push(job);
    }

    /// Takes at most so many jobs, all of the cost of the one whose turn it is, in turns; only this one if
    /// it is done by itself. Others keep their turns. Abandoned jobs on the way are dropped; so there may
    /// be none though some wait.
    pub fn take(&mut self, most: usize) -> Option<Vec<Job>> {
        let cost = self.classes.front()?.shared_cost();
        let most = if cost.is_some() { most } else { 1 };
        let mut batch = Vec::with_capacity(most);
        while batch.len() < most
            && let Some(job) = self.classes.take(cost)
        {
            self.forget(&job);
            if !job.is_abandoned() {
                batch.push(job);
            }
        }
        Some(batch)
    }

    /// Whether a job of so many rounds by this asker has a right to the place of others.
    pub fn would_make_room(&self, asker: impl Into<Asker>, rounds: u64) -> bool {
        self.over_its_share(asker.into(), rounds).is_some()
    }

    /// Makes room for a job of so many rounds by this asker, if it has a right to it; returns what was
    /// displaced, of as many rounds or more.
    ///
    /// Strangers are displaced by familiar askers if less waits for these, and the other way round; among
    /// each a network by one for which less waits, and in a network a source by one for which less waits;
    /// what came last goes first. So of what may wait at most, each class has half, each network an equal
    /// share of that, and each source an equal share of its network's.
    pub fn make_room(&mut self, asker: impl Into<Asker>, rounds: u64) -> Vec<Job> {
        let mut gone = Vec::new();
        let Some((class, network)) = self.over_its_share(asker.into(), rounds) else {
            return gone;
        };
        let mut made = 0;
        while made < rounds
            && let Some(job) = self.classes.line(class).line(network).take_newest()
        {
            self.forget(&job);
            made += job.rounds();
            gone.push(job);
        }
        self.classes.line(class).drop_empty();
        self.classes.drop_empty();
        gone
    }

    /// Takes all jobs of which this is true.
    pub fn take_if(&mut self, is_taken: impl Fn(&Job) -> bool) -> Vec<Job> {
        let mut taken = Vec::new();
        self.classes.take_if(&is_taken, &mut taken);
        for job in &taken {
            self.forget(job);
        }
        taken
    }

    /// The network whose jobs are displaced by a job of so many rounds by this asker: the largest one of the
    /// other class or, if that is not large enough, of its own, or its own network if another source has
    /// most of that.
    fn over_its_share(&self, asker: Asker, job: u64) -> Option<(bool, Network)> {
        let class = self.classes.get(&asker.is_familiar);
        let class_rounds = class.map_or(0, Line::rounds);
        let (largest_class, networks) = self.classes.largest()?;
        if is_larger(networks.rounds(), class_rounds, job) {
            let (network, _) = networks.largest()?;
            return Some((*largest_class, *network));
        }
        let own_network = asker.source.network();
        let own = class?.get(&own_network);
        let own_rounds = own.map_or(0, Line::rounds);
        let (largest, sources) = class?.largest()?;
        if is_larger(sources.rounds(), own_rounds, job) {
            return Some((asker.is_familiar, *largest));
        }
        let (_, fifo) = own?.largest()?;
        let source_rounds = own?.get(&asker.source).map_or(0, Line::rounds);
        let is_over = is_larger(fifo.rounds(), source_rounds, job);
        is_over.then_some((asker.is_familiar, own_network))
    }

    fn forget(&mut self, job: &Job) {
        self.jobs -= 1;
        self.rounds -= job.rounds();
    }
}

/// Whether a line is still as large as another after one job went from it and one came to the other:
/// if not, they would take each other's place again and again.
fn is_larger(rounds: u64, other: u64, job: u64) -> bool {
    rounds >= other + 2 * job
}

impl Fifo {
    fn push(&mut self, job: Job) {
        self.rounds += job.rounds();
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

    fn take(&mut self, cost: Option<Cost>) -> Option<Job> {
        let index = self.jobs.iter().position(|job| job.shared_cost() == cost)?;
        let job = self.jobs.remove(index)?;
        self.rounds -= job.rounds();
        Some(job)
    }

    fn take_newest(&mut self) -> Option<Job> {
        let job = self.jobs.pop_back()?;
        self.rounds -= job.rounds();
        Some(job)
    }

    fn take_if(&mut self, is_taken: &dyn Fn(&Job) -> bool, taken: &mut Vec<Job>) {
        if self.jobs.iter().any(is_taken) {
            let (gone, kept) = self.jobs.drain(..).partition::<VecDeque<_>, _>(is_taken);
            self.rounds = kept.iter().map(Job::rounds).sum();
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

    fn take(&mut self, cost: Option<Cost>) -> Option<Job> {
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
mod tests;
