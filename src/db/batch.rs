//! Work that waits is done together.

use std::future::Future;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::error::{DEADLINE, Error};

/// The most jobs that are done together.
pub(super) const MAX_BATCH: usize = 64;

/// How many jobs may wait; whoever comes then waits to be let in, up to the deadline.
const MAX_WAITING: usize = 4096;

/// Does jobs in batches.
pub(super) trait Worker<Job, Answer>: Send + 'static {
    /// Does at least one and at most [`MAX_BATCH`] jobs, and returns an answer to each, in their
    /// order.
    fn work(&mut self, jobs: &[Job]) -> impl Future<Output = Vec<Answer>> + Send;

    /// Gives back what it holds, when there will be no more jobs.
    fn finish(self) -> impl Future<Output = ()> + Send;
}

/// A bounded queue whose worker takes whatever waits as one batch. When little waits, a batch is one
/// job, and nobody waits longer than they would alone.
pub(super) struct Batcher<Job, Answer> {
    queue: mpsc::Sender<(Job, oneshot::Sender<Answer>)>,
    stop: watch::Sender<bool>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

impl<Job: Send + 'static, Answer: Send + 'static> Batcher<Job, Answer> {
    /// Starts the worker.
    pub(super) fn start(worker: impl Worker<Job, Answer>) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let (stop, stopped) = watch::channel(false);
        Self {
            queue,
            stop,
            worker: Mutex::new(Some(tokio::spawn(run(worker, waiting, stopped)))),
        }
    }

    /// Has a job done, within the deadline. A job that nobody waits for any more is not begun.
    pub(super) async fn ask(&self, job: Job) -> Result<Answer, Error> {
        let (sender, answer) = oneshot::channel();
        let done = async {
            let queued = self.queue.send((job, sender)).await;
            queued.map_err(|_| Error::Closed)?;
            answer.await.map_err(|_| Error::Closed)
        };
        timeout(DEADLINE, done).await.map_err(|_| Error::TimedOut)?
    }

    /// Waits for the batch under way and ends the worker.
    pub(super) async fn close(&self) {
        self.stop.send_replace(true);
        if let Some(worker) = self.worker.lock().await.take() {
            // If it has panicked, it has ended too.
            let _ = worker.await;
        }
    }
}

async fn run<Job: Send + 'static, Answer: Send + 'static>(
    mut worker: impl Worker<Job, Answer>,
    mut waiting: mpsc::Receiver<(Job, oneshot::Sender<Answer>)>,
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
        let (jobs, askers): (Vec<Job>, Vec<_>) = batch
            .drain(..)
            .filter(|(_, asker)| !asker.is_closed())
            .unzip();
        if jobs.is_empty() {
            continue;
        }
        for (asker, answer) in askers.into_iter().zip(worker.work(&jobs).await) {
            // Whoever has gone in the meantime misses nothing.
            let _ = asker.send(answer);
        }
    }
    worker.finish().await;
}
