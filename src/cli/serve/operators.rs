//! The listener for operators.

use std::future::pending;

use tokio::task::JoinSet;
use tracing::info;

use crate::app::openapi;
use crate::operations::{Operations, OperatorPaths};
use crate::server::{ConnectionLimits, Listener, serve};

/// How many connections to the listener for operators are served at once: a few that scrape and probe, and
/// some that are stuck.
const CONNECTIONS: usize = 16;

/// Answers operators, on a listener of their own, until it is dropped.
pub struct Operators {
    paths: OperatorPaths,
    tasks: JoinSet<()>,
}

impl Operators {
    /// Answers at this URL from now on: that the process lives and does not serve yet.
    pub fn answer(listener: Listener, url: &str) -> Self {
        info!("answering /metrics, /livez, /readyz and /openapi.json on {url}");
        let paths = OperatorPaths::default();
        let limits = ConnectionLimits {
            connections: CONNECTIONS,
            ..ConnectionLimits::default()
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, paths.router(openapi()), limits, pending()));
        Self { paths, tasks }
    }

    /// Tells of this service from now on.
    pub fn tell_of(&mut self, service: Operations) {
        self.tasks.spawn(self.paths.tell_of(service));
    }

    /// Answers no more.
    pub async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}
