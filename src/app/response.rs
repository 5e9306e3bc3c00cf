//! Parts of responses: a JSON body, a redirect after a form, the id of the request.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use url::form_urlencoded;

/// Tells a client the id of its request, by which the request is found in the log.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON body. It ends with a newline, so that the prompt of a shell stands on a line of its own.
pub struct Json(pub Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, JSON)], format!("{}\n", self.0)).into_response()
    }
}

/// Sends a browser on after a form, so that reloading the page does not send the form again.
pub fn see_other(path: &str) -> impl IntoResponse + use<> {
    let headers = [
        (LOCATION, path.to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (StatusCode::SEE_OTHER, headers)
}

/// The same, to a path with this query.
pub fn see_other_with<const N: usize>(
    path: &str,
    query: [(&str, &str); N],
) -> impl IntoResponse + use<N> {
    let mut encoded = form_urlencoded::Serializer::new(String::new());
    encoded.extend_pairs(query);
    see_other(&format!("{path}?{}", encoded.finish()))
}
