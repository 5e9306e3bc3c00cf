//! The order to stop, as connections are told of it: first that they end, then that it is time to.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::watch;

/// Gives the order to all connections.
pub(super) struct StopOrders {
    is_ending: Arc<AtomicBool>,
    given: watch::Sender<bool>,
}

/// The order as a connection sees it.
#[derive(Clone)]
pub(super) struct StopOrder {
    is_ending: Arc<AtomicBool>,
    given: watch::Receiver<bool>,
}

impl StopOrders {
    pub(super) fn new() -> Self {
        Self {
            is_ending: Arc::default(),
            given: watch::Sender::new(false),
        }
    }

    pub(super) fn subscribe(&self) -> StopOrder {
        StopOrder {
            is_ending: Arc::clone(&self.is_ending),
            given: self.given.subscribe(),
        }
    }

    /// From now on each answer is the last one of its connection, and says so.
    pub(super) fn announce(&self) {
        self.is_ending.store(true, Relaxed);
    }

    /// Ends the connections that wait for a request, and each other one after its answer.
    pub(super) fn give(&self) {
        self.given.send_replace(true);
    }
}

impl StopOrder {
    /// Whether each answer is the last one of its connection.
    pub(super) fn is_ending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_ending)
    }

    /// Completes when the connection is to end.
    pub(super) async fn given(&mut self) {
        // Without a sender there is no server any more, which is an order to stop too.
        let _ = self.given.wait_for(|is_given| *is_given).await;
    }
}
