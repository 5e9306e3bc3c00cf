//! Work that waits is done together.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::error::Error;

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

/// A bounded queue whose workers take whatever waits as one batch. When little waits, a batch is one
/// job, and nobody waits longer than they would alone.
pub(super) struct Batcher<Job, Answer> {
    queue: mpsc::Sender<(Job, oneshot::Sender<Answer>)>,
    stop: watch::Sender<bool>,
    workers: Mutex<JoinSet<()>>,
}

type Receiver<Job, Answer> = Arc<Mutex<mpsc::Receiver<(Job, oneshot::Sender<Answer>)>>>;

impl<Job: Send + 'static, Answer: Send + 'static> Batcher<Job, Answer> {
    /// Starts workers on one queue.
    pub(super) fn start(workers: impl IntoIterator<Item = impl Worker<Job, Answer>>) -> Self {
        let (queue, receiver) = mpsc::channel(MAX_WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for worker in workers {
            tasks.spawn(run(worker, Arc::clone(&receiver), stopped.clone()));
        }
        Self {
            queue,
            stop,
            workers: Mutex::new(tasks),
        }
    }

    /// Has a job done.
    pub(super) async fn ask(&self, job: Job) -> Result<Answer, Error> {
        let (sender, answer) = oneshot::channel();
        let queued = self.queue.send((job, sender)).await;
        queued.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)
    }

    /// Waits for the batches under way and ends the workers.
    pub(super) async fn close(&self) {
        self.stop.send_replace(true);
        while self.workers.lock().await.join_next().await.is_some() {}
    }
}

async fn run<Job: Send + 'static, Answer: Send + 'static>(
    mut worker: impl Worker<Job, Answer>,
    queue: Receiver<Job, Answer>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        let take = async {
            let mut queue = queue.lock().await;
            queue.recv_many(&mut batch, MAX_BATCH).await
        };
        let taken = tokio::select! {
            biased;
            taken = take => taken,
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
