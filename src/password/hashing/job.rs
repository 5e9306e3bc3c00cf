//! One password that waits to be hashed, and for whom.

use std::time::Instant;

use tokio::sync::oneshot;

use super::cost::Cost;
use super::interleaved::{Input, Output};
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

/// One password that waits to be hashed.
pub struct Job {
    /// The rounds that it takes.
    pub cost: Cost,
    pub input: Input,
    pub since: Instant,
    pub answer: oneshot::Sender<Result<Output, Displaced>>,
}

impl Job {
    /// Whether the asker has gone.
    pub fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }
}
