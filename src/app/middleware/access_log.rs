//! One line in the log for every request.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::HeaderValue;
use axum::response::Response;
use tracing::field::display;
use tracing::{Instrument, error, info, info_span};

use crate::app::error::Refused;
use crate::app::request::trace_id::trace_id;
use crate::app::response::REQUEST_ID;
use crate::app::state::AppState;
use crate::metrics::RequestMetrics;
use crate::wait_budget;

/// An id for a request: 16 hexadecimal digits that count requests without showing the count. It is not
/// a secret, so it needs no random numbers of the operating system.
fn new_request_id() -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", KEY.hash_one(number))
}

/// Gives a request an id that everything logged about it carries, and a budget for waiting for the
/// database; logs how it was answered, and tells the client the id.
///
/// An id that the client sends is not taken over, and the route is the pattern that matched, not the
/// path: clients choose nothing that is logged. Where a trusted proxy tells to which trace the request
/// belongs, the lines have that too. Measures the request, where there are metrics.
pub async fn log(
    state: &AppState,
    route: Option<MatchedPath>,
    request: Request,
    handle: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let started = Instant::now();
    let active = state.metrics.as_deref().map(RequestMetrics::begin);
    let method = request.method().clone();
    let request_id = new_request_id();
    let trace_id = trace_id(&request, &state.settings.trusted_proxies).map(display);
    let span = info_span!("request", id = %request_id, trace_id);
    let handled = wait_budget::of_request(handle(request));
    let mut response = handled.instrument(span.clone()).await;

    let took = started.elapsed();
    let route = route.as_ref().map(MatchedPath::as_str);
    if let Some(active) = active {
        let route = route.map(without_last_slash);
        active.end(route, method.as_str(), response.status().as_str(), took);
    }
    let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    let _in_span = span.enter();
    let refused = response.extensions().get::<Refused>();
    if let Some(cause) = refused.and_then(Refused::cause) {
        error!(%cause, "request failed");
    }
    info!(
        %method,
        route = route.unwrap_or("none"),
        status = response.status().as_u16(),
        microseconds,
        "answered"
    );
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// The path as it is in the route table, which every path is served with and without.
fn without_last_slash(path: &str) -> &str {
    match path.strip_suffix('/') {
        Some("") | None => path,
        Some(path) => path,
    }
}
