//! Lets scripts of other origins read answers (Fetch, "HTTP-CORS protocol").

use std::convert::Infallible;

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::Method;
use axum::http::header::ACCESS_CONTROL_REQUEST_METHOD;
use axum::response::Response;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::CorsLayer;

/// Handles the request of a script of an allowed origin, so that it can read the answer, whatever its status.
///
/// A browser that asks what the script may send is answered without further work, whatever the path.
pub async fn share<S>(cors: &CorsLayer, request: Request, handler: S) -> Response
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    let response = if request.method() == Method::OPTIONS && !is_preflight(&request) {
        handler.oneshot(request).await
    } else {
        cors.layer(handler).oneshot(request).await
    };
    match response {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The layer takes every `OPTIONS` for a preflight, so others must not get to it; nor those with a body,
/// which no browser sends and nobody would read.
fn is_preflight(request: &Request) -> bool {
    request
        .headers()
        .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        && request.body().is_end_stream()
}
