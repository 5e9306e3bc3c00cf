//! What a request must get past before a handler sees it.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};

use super::{Edge, Result, body, cross_site, host};

/// Lets a request in if it is for one host, comes from no other site, and its body is there whole.
pub(super) async fn admit(
    edge: &Edge,
    request: Request,
    next: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let has_body = !request.body().is_end_stream();
    match check(edge, request).await {
        Ok(request) => next(request).await,
        Err(refusal) => {
            let mut response = refusal.into_response();
            if has_body {
                // What is left of it must not be taken for the next request.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            response
        }
    }
}

async fn check(edge: &Edge, request: Request) -> Result<Request> {
    let settings = &edge.settings;
    let host = host::of(&request)?;
    cross_site::refuse(&request, host, settings.public_url.as_ref())?;
    body::read_whole(request, settings.connection_limits.body).await
}
