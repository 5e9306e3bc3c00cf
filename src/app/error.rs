//! Every refusal, in one place: its status, its words, its headers.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;
use serde_json::json;

use super::body;
use super::fields::{self, Problem};
use super::json::Json;
use crate::auth;
use crate::error_chain::ErrorChain;

/// When to come back to a service whose database is away, in seconds.
const SOON: HeaderValue = HeaderValue::from_static("1");

/// How to log in (RFC 9110, 11.6.1, asks for it). No browser knows the scheme, so none asks its
/// user for a password in a window of its own.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Cookie realm=\"bienvenue\"");

/// Why a request gets no success.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// No such path.
    #[error("not found")]
    NotFound,
    /// The path does not know the method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// Not exactly one `Host`, or not a well-formed one.
    #[error("host is missing, malformed or given more than once")]
    BadHost,
    /// The body is in a transfer coding that we do not read, or its length can be read in two ways.
    #[error("transfer-encoding must be chunked, given once and alone")]
    BadTransferEncoding,
    /// A page of another site may have sent it.
    #[error("cross-site requests are refused")]
    CrossSite,
    /// The body is in a form that we do not read.
    #[error(
        "content type must be application/x-www-form-urlencoded, application/json \
         or multipart/form-data"
    )]
    UnsupportedMediaType,
    /// The body is too long.
    #[error("body is larger than {} bytes", body::MAX_BODY_BYTES)]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("body took too long to arrive")]
    BodyTooSlow,
    /// The body broke off.
    #[error("body is incomplete")]
    BrokenBody(#[source] axum::Error),
    /// The body is not in the form that its content type says.
    #[error("body is not valid {form}")]
    MalformedBody {
        /// What it should have been.
        form: &'static str,
    },
    /// The body has more fields than any form of ours.
    #[error("body has more than {} fields", fields::MAX_FIELDS)]
    TooManyFields,
    /// A field is missing, or what is in it cannot be used.
    #[error("{name} {problem}")]
    BadField {
        /// The name of the field.
        name: &'static str,
        /// What is wrong with it; reads on after the name.
        problem: Problem,
    },
    /// The rules say no, or cannot be asked.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// A handler panicked, which the panic hook has logged.
    #[error("internal error")]
    Panicked,
}

/// Carried by every refusal, for those who write it down or put it in other words.
#[derive(Clone)]
pub(super) struct Refused(pub(super) Arc<Error>);

impl Refused {
    /// Why the service failed, which the client is not told; `None` if it did not fail.
    pub(super) fn cause(&self) -> Option<ErrorChain<'_>> {
        match &*self.0 {
            Error::Auth(error @ (auth::Error::Unavailable(_) | auth::Error::Internal(_))) => {
                Some(ErrorChain(error))
            }
            _ => None,
        }
    }
}

impl Error {
    /// The refusal of what was asked with a new password in this field: a weak one is named after it.
    pub(super) fn of_new_password(name: &'static str) -> impl Fn(auth::Error) -> Self {
        move |error| match error {
            auth::Error::WeakPassword(weakness) => Self::BadField {
                name,
                problem: weakness.into(),
            },
            error => error.into(),
        }
    }

    fn status_code(&self) -> StatusCode {
        match self {
            Self::BadHost
            | Self::BadTransferEncoding
            | Self::BrokenBody(_)
            | Self::MalformedBody { .. }
            | Self::TooManyFields
            | Self::BadField { .. } => StatusCode::BAD_REQUEST,
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Auth(error) => match error {
                auth::Error::EmailTaken | auth::Error::WeakPassword(_) => StatusCode::BAD_REQUEST,
                auth::Error::BadCredentials => StatusCode::UNAUTHORIZED,
                auth::Error::NoSession | auth::Error::UnknownEmail | auth::Error::BadResetToken => {
                    StatusCode::FORBIDDEN
                }
                auth::Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
                auth::Error::Unavailable(_) | auth::Error::Busy { .. } => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                auth::Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let body = Json(json!({ "message": self.to_string() }));
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        match &self {
            Self::Auth(auth::Error::BadCredentials) => {
                headers.insert(WWW_AUTHENTICATE, CHALLENGE);
            }
            Self::Auth(
                auth::Error::Busy { retry_after } | auth::Error::Throttled { retry_after },
            ) => {
                headers.insert(RETRY_AFTER, seconds_to_wait(*retry_after).into());
            }
            Self::Auth(auth::Error::Unavailable(_)) => {
                headers.insert(RETRY_AFTER, SOON);
            }
            _ => {}
        }
        let extensions = response.extensions_mut();
        extensions.insert(Refused(Arc::new(self)));
        if let Some(reason) = reason_phrase(status) {
            extensions.insert(reason);
        }
        response
    }
}

/// The reason phrase of a refusal: in capitals, as Flask writes it and some clients compare it.
fn reason_phrase(status: StatusCode) -> Option<ReasonPhrase> {
    let reason = status.canonical_reason()?.to_ascii_uppercase();
    reason.into_bytes().try_into().ok()
}

/// A wait as clients are told it: in whole seconds, at least one, and never too few.
pub(super) fn seconds_to_wait(time: Duration) -> u64 {
    let begun = u64::from(time.subsec_nanos() > 0);
    (time.as_secs() + begun).max(1)
}

/// Makes of a panic what it is for the client: an internal error, and for this request alone.
pub(super) fn from_panic(_payload: Box<dyn Any + Send>) -> Response {
    Error::Panicked.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_internal_error_tells_the_client_nothing_and_the_log_everything() {
        let error = Error::Auth(auth::Error::Internal("the disk is on fire".into()));
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let refused: Refused = response.extensions().get().cloned().unwrap();
        let cause = refused.cause().unwrap().to_string();
        assert_eq!(cause, "internal error: the disk is on fire");
        let body = axum::body::to_bytes(response.into_body(), 1024).await;
        assert_eq!(body.unwrap(), "{\"message\":\"internal error\"}\n");
    }
}
