//! What the operator's machines ask: whether the process lives, whether it is ready, what it has counted.
//!
//! A router for a listener of its own, which the operator's network alone should reach. It knows no user's
//! route, as [`app`](crate::app) knows none of these.
//!
//! - `readiness`: `/readyz`.
//! - `samples`: numbers that are counted now and then, since counting them takes a query.
//! - `exposition`: `/metrics`, in the format of Prometheus.
//! - `process`: what the system tells of the process.
//!
//! `/openapi.json` is the document that describes the service.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::sync::watch;

use crate::auth::Auth;
use crate::clock::UnixTime;
use crate::metrics::{ConnectionMetrics, RequestMetrics};

mod exposition;
mod process;
mod readiness;
mod samples;

use exposition::{Exposition, Sources};
use readiness::Readiness;
use samples::Samples;

/// What operators are told about.
pub struct Operations {
    /// The service itself.
    pub auth: Auth,
    /// How long its requests take.
    pub requests: Arc<RequestMetrics>,
    /// Its connections.
    pub connections: Arc<ConnectionMetrics>,
    /// The document that describes its paths, in JSON.
    pub openapi: &'static str,
    /// Whether it was told to stop.
    pub stopped: watch::Receiver<bool>,
    /// When it was started.
    pub started_at: UnixTime,
}

struct OperationsState {
    readiness: Readiness,
    exposition: Exposition,
}

impl Operations {
    /// The paths for operators as a router, and what samples the numbers that it tells, which runs until
    /// it is dropped.
    pub fn start(self) -> (Router, impl Future<Output = ()> + Send + 'static) {
        let samples = Arc::new(Samples::default());
        let sampling = samples::sample_regularly(self.auth.clone(), Arc::clone(&samples));
        let state = Arc::new(OperationsState {
            readiness: Readiness::new(self.auth.clone(), self.stopped),
            exposition: Exposition::new(Sources {
                auth: self.auth,
                requests: self.requests,
                connections: self.connections,
                samples,
                started_at: self.started_at,
            }),
        });
        let json = [(CONTENT_TYPE, "application/json")];
        let router = Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(tell_readiness))
            .route("/metrics", get(tell_metrics))
            .route("/openapi.json", get(async move || (json, self.openapi)))
            .with_state(state);
        (router, sampling)
    }
}

async fn tell_readiness(State(state): State<Arc<OperationsState>>) -> impl IntoResponse {
    match state.readiness.check().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn tell_metrics(State(state): State<Arc<OperationsState>>) -> impl IntoResponse {
    let content_type = [(CONTENT_TYPE, exposition::CONTENT_TYPE)];
    (content_type, state.exposition.text())
}
