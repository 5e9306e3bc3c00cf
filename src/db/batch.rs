//! Work that waits is done together.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::error::Error;
use crate::wait_budget;

/// The most jobs that are done together.
pub const MAX_BATCH: usize = 64;

/// How many jobs may wait; what comes then waits to be let in.
const MAX_WAITING: usize = 4096;

/// Does jobs in batches.
pub trait Worker<Job, Answer>: Send + 'static {
    /// Does at least one and at most [`MAX_BATCH`] jobs, and returns an answer to each, in their
    /// order.
    ///
    /// If this panics, the worker is used again, so a connection that it keeps must not be in it while
    /// it is used.
    fn work(&mut self, jobs: &[Job]) -> impl Future<Output = Vec<Answer>> + Send;

    /// Gives back what it holds, when there will be no more jobs.
    fn finish(self) -> impl Future<Output = ()> + Send;
}

/// A job, who asked for it, and until when they wait.
struct Waiting<Job, Answer> {
    job: Job,
    asker: oneshot::Sender<Result<Answer, Error>>,
    until: Instant,
}

/// A bounded queue whose worker takes whatever waits as one batch. When little waits, a batch is one
/// job, which waits no longer than it would alone.
pub struct Batcher<Job, Answer> {
    queue: mpsc::Sender<Waiting<Job, Answer>>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl<Job: Send + 'static, Answer: Send + 'static> Batcher<Job, Answer> {
    /// Starts the worker.
    pub fn start(worker: impl Worker<Job, Answer>) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let (stop, stopped) = watch::channel(false);
        Self {
            queue,
            stop,
            worker: Mutex::new(Some(tokio::spawn(run(worker, waiting, stopped)))),
        }
    }

    /// Has a job done. It is not begun if its request has ended, or waited too long, by then.
    pub async fn ask(&self, job: Job) -> Result<Answer, Error> {
        let (asker, answer) = oneshot::channel();
        let until = Instant::now() + wait_budget::left();
        let answered = wait_budget::spend(async {
            let queued = self.queue.send(Waiting { job, asker, until });
            queued.await.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)?
        });
        answered.await.map_err(|_| Error::TimedOut)?
    }

    /// Waits for the batch under way and ends the worker.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        if let Some(worker) = self.worker.lock().await.take() {
            // If it has panicked, it has ended too.
            let _ = worker.await;
        }
    }
}

async fn run<Job: Send + 'static, Answer: Send + 'static>(
    mut worker: impl Worker<Job, Answer>,
    mut waiting: mpsc::Receiver<Waiting<Job, Answer>>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        let taken = tokio::select! {
            biased;
            taken = waiting.recv_many(&mut batch, MAX_BATCH) => taken,
            _ = stopped.wait_for(|is_stopped| *is_stopped) => 0,
        };
        if taken == 0 {
            break;
        }
        let (mut jobs, mut askers) = (Vec::with_capacity(taken), Vec::with_capacity(taken));
        let mut budget = Duration::ZERO;
        let now = Instant::now();
        for Waiting { job, asker, until } in batch.drain(..) {
            if asker.is_closed() {
                continue;
            }
            // As long as one of them still waits; the others stop by themselves.
            budget = budget.max(until.saturating_duration_since(now));
            jobs.push(job);
            askers.push(asker);
        }
        if jobs.is_empty() {
            continue;
        }
        let answers = wait_budget::with(budget, worker.work(&jobs));
        // The queue outlives a panic, and only this batch fails by it.
        let Ok(answers) = AssertUnwindSafe(answers).catch_unwind().await else {
            for asker in askers {
                let _ = asker.send(Err(Error::Panicked));
            }
            continue;
        };
        for (asker, answer) in askers.into_iter().zip(answers) {
            // Who has gone in the meantime misses nothing.
            let _ = asker.send(Ok(answer));
        }
    }
    worker.finish().await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Notify;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Answers with the job itself, but panics over 0, and is held up by 1 until it is told to go on.
    struct Echo(Arc<Notify>);

    impl Worker<u32, u32> for Echo {
        async fn work(&mut self, jobs: &[u32]) -> Vec<u32> {
            assert!(!jobs.contains(&0), "on purpose");
            if jobs.contains(&1) {
                self.0.notified().await;
            }
            jobs.to_vec()
        }

        async fn finish(self) {}
    }

    fn batcher() -> (Arc<Batcher<u32, u32>>, Arc<Notify>) {
        let go_on = Arc::new(Notify::new());
        let batcher = Batcher::start(Echo(Arc::clone(&go_on)));
        (Arc::new(batcher), go_on)
    }

    #[tokio::test]
    async fn a_panic_fails_its_batch_alone() {
        let (batcher, _) = batcher();
        for round in 2..5 {
            assert!(matches!(batcher.ask(0).await, Err(Error::Panicked)));
            assert_eq!(batcher.ask(round).await.unwrap(), round);
        }
        batcher.close().await;
    }

    #[tokio::test]
    async fn a_job_that_waits_behind_a_batch_gives_up_in_its_own_time() {
        let (batcher, go_on) = batcher();
        let mut jobs = JoinSet::new();
        for job in 1..4 {
            let batcher = Arc::clone(&batcher);
            jobs.spawn(async move {
                // Those behind have less time than the batch under way.
                let budget = wait_budget::LIMIT / if job == 1 { 1 } else { 50 };
                (job, wait_budget::with(budget, batcher.ask(job)).await)
            });
            yield_now().await;
        }
        for _ in 2..4 {
            let (job, answer) = jobs.join_next().await.unwrap().unwrap();
            assert!(job > 1 && matches!(answer, Err(Error::TimedOut)), "{job}");
        }
        go_on.notify_one();
        let (job, answer) = jobs.join_next().await.unwrap().unwrap();
        assert_eq!((job, answer.unwrap()), (1, 1));
        batcher.close().await;
    }
}
