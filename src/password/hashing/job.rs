//! One password that waits to be hashed or checked, and for whom.

use std::time::Instant;

use tokio::sync::oneshot;

use super::cost::Cost;
use super::foreign::ForeignHash;
use super::interleaved::{Input, Output};
use crate::password::received::Password;
use crate::source::Source;

/// Who asks for a password to be hashed or checked.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Where the request comes from.
    pub source: Source,
    /// Whether the owner of the account has proved from there that it is theirs, or proves it with this
    /// request.
    pub is_familiar: bool,
}

impl Asker {
    /// One who is familiar to the account.
    pub fn familiar(source: Source) -> Self {
        Self {
            source,
            is_familiar: true,
        }
    }
}

/// A stranger.
impl From<Source> for Asker {
    fn from(source: Source) -> Self {
        Self {
            source,
            is_familiar: false,
        }
    }
}

/// Why a job was not done: another took its place, or it waited too long.
#[derive(Debug)]
pub struct Displaced;

/// Where the outcome of a job goes.
pub type Answer<T> = oneshot::Sender<Result<T, Displaced>>;

/// One password that waits.
pub struct Job {
    pub work: Work,
    pub since: Instant,
}

/// What is to be done with it.
pub enum Work {
    /// To hash it by bcrypt, with others at the same cost.
    Bcrypt {
        /// The rounds that it takes.
        cost: Cost,
        input: Input,
        answer: Answer<Output>,
    },
    /// To check it against a hash of another function, by itself.
    Foreign {
        hash: ForeignHash,
        password: Password,
        answer: Answer<bool>,
    },
}

impl Job {
    /// The rounds of bcrypt that it takes, or that take as long.
    pub fn rounds(&self) -> u64 {
        match &self.work {
            Work::Bcrypt { cost, .. } => cost.rounds(),
            Work::Foreign { hash, .. } => hash.rounds(),
        }
    }

    /// The cost that jobs must share to be done at once; `None` if it is done by itself.
    pub fn shared_cost(&self) -> Option<Cost> {
        match &self.work {
            Work::Bcrypt { cost, .. } => Some(*cost),
            Work::Foreign { .. } => None,
        }
    }

    /// Whether the asker has gone.
    pub fn is_abandoned(&self) -> bool {
        match &self.work {
            Work::Bcrypt { answer, .. } => answer.is_closed(),
            Work::Foreign { answer, .. } => answer.is_closed(),
        }
    }

    /// Tells the asker that it will not be done. One that has gone needs no answer.
    pub fn displace(self) {
        match self.work {
            Work::Bcrypt { answer, .. } => drop(answer.send(Err(Displaced))),
            Work::Foreign { answer, .. } => drop(answer.send(Err(Displaced))),
        }
    }
}
