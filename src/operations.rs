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

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
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
use readiness::{NotReady, Readiness};
use samples::Samples;

/// What operators are told about.
pub struct Operations {
    /// The service itself.
    pub auth: Auth,
    /// How long its requests take.
    pub requests: Arc<RequestMetrics>,
    /// Its connections.
    pub connections: Arc<ConnectionMetrics>,
    /// Whether it was told to stop.
    pub stopped: watch::Receiver<bool>,
    /// When it was started.
    pub started_at: UnixTime,
}

/// What answers about the service.
struct Service {
    readiness: Readiness,
    exposition: Exposition,
}

/// The paths for operators. They are answered from the start of the process on: until there is a service to
/// tell of, the process lives and is not ready.
#[derive(Clone, Default)]
pub struct OperatorPaths(Arc<OnceLock<Service>>);

impl OperatorPaths {
    /// The paths as a router, with the document that describes the paths of the service, in JSON.
    pub fn router(&self, openapi: &'static str) -> Router {
        let json = [(CONTENT_TYPE, "application/json")];
        Router::new()
            .route("/livez", get(async || "alive\n"))
            .route("/readyz", get(tell_readiness))
            .route("/metrics", get(tell_metrics))
            .route("/openapi.json", get(async move || (json, openapi)))
            .with_state(self.clone())
    }

    /// Tells of this service from now on. Returns what samples the numbers that are told, which runs until
    /// it is dropped.
    pub fn tell_of(&self, operations: Operations) -> impl Future<Output = ()> + Send + 'static {
        let samples = Arc::new(Samples::default());
        let sampling = samples::sample_regularly(operations.auth.clone(), Arc::clone(&samples));
        // There is one service in a process.
        let _ = self.0.set(Service {
            readiness: Readiness::new(operations.auth.clone(), operations.stopped),
            exposition: Exposition::new(Sources {
                auth: operations.auth,
                requests: operations.requests,
                connections: operations.connections,
                samples,
                started_at: operations.started_at,
            }),
        });
        sampling
    }

    fn service(&self) -> Result<&Service, NotReady> {
        self.0.get().ok_or(NotReady::Starting)
    }
}

impl IntoResponse for NotReady {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, format!("{self}\n")).into_response()
    }
}

async fn tell_readiness(State(paths): State<OperatorPaths>) -> Result<&'static str, NotReady> {
    paths.service()?.readiness.check().await?;
    Ok("ready\n")
}

async fn tell_metrics(State(paths): State<OperatorPaths>) -> Result<impl IntoResponse, NotReady> {
    let content_type = [(CONTENT_TYPE, exposition::CONTENT_TYPE)];
    Ok((content_type, paths.service()?.exposition.text()))
}
