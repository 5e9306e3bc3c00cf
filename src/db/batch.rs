//! Work that waits is done together.

use std::future::Future;
use std::time::Instant;

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

/// A job, who asked for it, and since when.
struct Waiting<Job, Answer> {
    job: Job,
    asker: oneshot::Sender<Result<Answer, Error>>,
    since: Instant,
}

/// A bounded queue whose worker takes whatever waits as one batch. When little waits, a batch is one
/// job, and nobody waits longer than they would alone.
pub(super) struct Batcher<Job, Answer> {
    queue: mpsc::Sender<Waiting<Job, Answer>>,
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

    /// Has a job done. It is begun within the deadline or not at all, and not if nobody waits for it
    /// any more.
    pub(super) async fn ask(&self, job: Job) -> Result<Answer, Error> {
        let (asker, answer) = oneshot::channel();
        let since = Instant::now();
        // A timer for each who waits would cost as much as the work. So the time is up for those
        // whom the worker finds waiting too long, and here only for those who are not even let in.
        let queued = self.queue.send(Waiting { job, asker, since });
        let queued = timeout(DEADLINE, queued).await;
        queued
            .map_err(|_| Error::TimedOut)?
            .map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
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
        for Waiting { job, asker, since } in batch.drain(..) {
            if asker.is_closed() {
                continue;
            }
            if since.elapsed() > DEADLINE {
                // Whoever has gone in the meantime misses nothing.
                let _ = asker.send(Err(Error::TimedOut));
                continue;
            }
            jobs.push(job);
            askers.push(asker);
        }
        if jobs.is_empty() {
            continue;
        }
        for (asker, answer) in askers.into_iter().zip(worker.work(&jobs).await) {
            let _ = asker.send(Ok(answer));
        }
    }
    worker.finish().await;
}
