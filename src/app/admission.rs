//! What a request must get past before a handler sees it.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::{Edge, body, cross_site, host};

/// Lets a request in if it is for one host, comes from no other site, and its body is there whole.
/// The error is the answer to one that is not.
pub(super) async fn admit(edge: &Edge, request: Request) -> Result<Request, Response> {
    let settings = &edge.settings;
    let has_body = !request.body().is_end_stream();
    let checked = host::of(&request)
        .and_then(|host| cross_site::refuse(&request, host, settings.public_url.as_ref()));
    let admitted = match checked {
        Ok(()) if !has_body => Ok(request),
        // In a box, so that what most requests have no need of takes no room in the others' futures.
        Ok(()) => Box::pin(body::read_whole(request, settings.connection_limits.body)).await,
        Err(error) => Err(error),
    };
    admitted.map_err(|error| refuse(error, has_body))
}

fn refuse(error: Error, has_body: bool) -> Response {
    let mut response = error.into_response();
    if has_body {
        // What is left of it must not be taken for the next request.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}
