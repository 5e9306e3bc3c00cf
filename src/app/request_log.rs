//! One line in the log for every request.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::{Instrument, error, info, info_span};
use uuid::Uuid;

use super::error::Cause;

/// Under this name the client learns what to ask us about.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Logs how a request ended, and gives it an id that everything logged meanwhile carries too.
///
/// The route is the pattern that matched, never the path as sent, which is whatever a client likes
/// to write into our logs. An id that the client sends is not taken over for the same reason.
pub(super) async fn log(matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let request_id = Uuid::new_v4();
    let span = info_span!("request", id = %request_id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let microseconds = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);

    let _in_span = span.enter();
    if let Some(cause) = response.extensions().get::<Cause>() {
        error!(%cause, "request failed");
    }
    info!(
        %method,
        route = matched.as_ref().map_or("none", MatchedPath::as_str),
        status = response.status().as_u16(),
        microseconds,
        "answered"
    );
    if let Ok(id) = HeaderValue::try_from(request_id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}
