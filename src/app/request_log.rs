//! One line in the log for every request.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use tracing::{Instrument, error, info, info_span};

use super::error::Refused;

/// Under this name the client learns what to ask us about.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// An id for a request: 16 hexadecimal digits that count requests without showing the count. It is a
/// name, not a secret, so it need not cost a call for random numbers.
fn new_request_id() -> String {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{:016x}", KEY.hash_one(number))
}

/// Logs how a request ended, and gives it an id that everything logged meanwhile carries too.
///
/// The route is the pattern that matched, never the path as sent, which is whatever a client likes
/// to write into our logs. An id that the client sends is not taken over for the same reason.
pub(super) async fn log(
    matched: Option<MatchedPath>,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let request_id = new_request_id();
    let span = info_span!("request", id = %request_id);
    let mut response = next(request).instrument(span.clone()).await;
    let microseconds = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);

    let _in_span = span.enter();
    let refused = response.extensions().get::<Refused>();
    if let Some(cause) = refused.and_then(Refused::cause) {
        error!(%cause, "request failed");
    }
    info!(
        %method,
        route = matched.as_ref().map_or("none", MatchedPath::as_str),
        status = response.status().as_u16(),
        microseconds,
        "answered"
    );
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
