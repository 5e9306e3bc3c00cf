//! One password that waits to be hashed.

use std::time::Instant;

use tokio::sync::oneshot;

use super::cost::Cost;
use super::interleaved::{Input, Output};

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
