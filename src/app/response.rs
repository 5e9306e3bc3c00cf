//! Parts of responses: a JSON body, a redirect after a form, the session cookie.

use std::time::Duration;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, IntoResponseParts, Response};
use serde_json::Value;
use url::form_urlencoded;

use super::settings::Settings;
use crate::token::SessionId;

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

/// Gives a client its session. A browser keeps it for this long, `None` for as long as it runs; when
/// the session itself ends is decided by `Auth`.
pub fn set_session(
    settings: &Settings,
    session_id: &SessionId,
    kept_for: Option<Duration>,
) -> impl IntoResponseParts + use<> {
    [(
        SET_COOKIE,
        settings.session_cookie.set(session_id, kept_for),
    )]
}

/// Browsers obey it over TLS only.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What has been stored for this origin goes with the session (OWASP ASVS 14.3.1). The pages store
/// nothing, but what else is served under the same name may. Not `"cookies"`: that deletes those of
/// every host of the registered domain. Not `"cache"`: all that is about a user is `no-store`, and
/// clearing the cache has taken Chrome seconds.
const STORAGE: HeaderValue = HeaderValue::from_static("\"storage\"");

/// Makes a client forget a session that has ended.
pub fn clear_session(settings: &Settings) -> impl IntoResponseParts + use<> {
    (
        [(SET_COOKIE, settings.session_cookie.clear())],
        settings
            .is_over_tls()
            .then_some([(CLEAR_SITE_DATA, STORAGE)]),
    )
}
