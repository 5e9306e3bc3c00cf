//! One line in the log for every request.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::extract::MatchedPath;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;
use tracing::{Span, error, info, info_span};

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

/// A request that is being answered, as the log will tell of it.
pub(super) struct Entry {
    started: Instant,
    method: Method,
    route: Option<MatchedPath>,
    request_id: String,
    span: Span,
}

impl Entry {
    /// Gives a request an id that everything logged within the [span](Self::span) carries too. An id
    /// that the client sends is not taken over: it is whatever a client likes to write into our logs.
    pub(super) fn begin(method: &Method, route: Option<MatchedPath>) -> Self {
        let request_id = new_request_id();
        Self {
            started: Instant::now(),
            method: method.clone(),
            route,
            span: info_span!("request", id = %request_id),
            request_id,
        }
    }

    /// What the request is answered in.
    pub(super) fn span(&self) -> Span {
        self.span.clone()
    }

    /// Logs how the request ended, and tells the client its id.
    ///
    /// The route is the pattern that matched, never the path as sent, for the same reason.
    pub(super) fn end(self, response: &mut Response) {
        let microseconds = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let _in_span = self.span.enter();
        let refused = response.extensions().get::<Refused>();
        if let Some(cause) = refused.and_then(Refused::cause) {
            error!(%cause, "request failed");
        }
        info!(
            method = %self.method,
            route = self.route.as_ref().map_or("none", MatchedPath::as_str),
            status = response.status().as_u16(),
            microseconds,
            "answered"
        );
        if let Ok(id) = HeaderValue::try_from(self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}
