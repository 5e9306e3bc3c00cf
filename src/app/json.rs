//! JSON bodies: made here alone.

use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A JSON body. It ends with a newline, so that the prompt of a shell stands on a line of its own.
pub(super) struct Json(pub(super) Value);

impl IntoResponse for Json {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, JSON)], format!("{}\n", self.0)).into_response()
    }
}
