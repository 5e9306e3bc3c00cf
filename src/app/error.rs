//! Every refusal: its status, its text for programs, its header fields.
//!
//! A response made of an [`Error`] has no body yet. [`represent`](super::refusal::represent) gives it
//! one: JSON for programs, a page for people.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::ext::ReasonPhrase;

use crate::auth;
use crate::email::InvalidEmail;
use crate::error_chain::ErrorChain;
use crate::password::{InvalidPassword, WeakPassword};

/// The longest body that is read, in bytes. The longest that a client has reason to send is a tenth
/// of it.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// The most fields that a body may have. No request has more than five.
pub const MAX_FIELDS: usize = 32;

/// `Retry-After` of a service whose database does not answer, in seconds.
const RETRY_AFTER_OUTAGE: HeaderValue = HeaderValue::from_static("1");

/// How to authenticate (RFC 9110, 11.6.1, requires it with 401). Browsers do not know the scheme, so
/// they show no password prompt of their own.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Cookie realm=\"bienvenue\"");

/// Why a request is refused. The texts are what programs read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such path.
    #[error("not found")]
    NotFound,
    /// The path does not have the method.
    #[error("method not allowed")]
    MethodNotAllowed,
    /// Not exactly one `Host`, or a malformed one.
    #[error("host is missing, malformed or given more than once")]
    BadHost,
    /// A transfer coding that is not supported, or a body length that can be read in two ways.
    #[error("transfer-encoding must be chunked, given once and alone")]
    BadTransferEncoding,
    /// A page of another site may have sent it.
    #[error("cross-site requests are refused")]
    CrossSite,
    /// A check of an app that comes from elsewhere than a trusted proxy.
    #[error("only a trusted proxy may ask this")]
    NoTrustedProxy,
    /// A check of an app that does not say, in one way only, what was asked for.
    #[error("{0} is missing, malformed or given more than once")]
    BadProxyHeader(&'static str),
    /// Nobody is logged in at the app that is checked.
    #[error("not logged in")]
    NotLoggedIn {
        /// Where a person logs in; `None` for who is no person in a browser.
        login: Option<String>,
    },
    /// The content type is not supported.
    #[error(
        "content type must be application/x-www-form-urlencoded, application/json \
         or multipart/form-data"
    )]
    UnsupportedMediaType,
    /// The body is too long.
    #[error("body is larger than {MAX_BODY_BYTES} bytes")]
    BodyTooLarge,
    /// The body did not arrive in time.
    #[error("body took too long to arrive")]
    BodyTooSlow,
    /// The body broke off.
    #[error("body is incomplete")]
    BrokenBody(#[source] axum::Error),
    /// The body is not what its content type says.
    #[error("body is not valid {expected}")]
    MalformedBody {
        /// What it should have been.
        expected: &'static str,
    },
    /// The body has too many fields.
    #[error("body has more than {MAX_FIELDS} fields")]
    TooManyFields,
    /// Fields are missing or unusable. Programs are told of the first, people of all of them.
    #[error("{0}")]
    BadFields(FieldErrors),
    /// `Auth` refuses, or cannot answer.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// A handler panicked. The panic hook has logged it.
    #[error("internal error")]
    Panicked,
}

/// What is wrong with one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {problem}")]
pub struct FieldError {
    /// The name of the field.
    pub name: &'static str,
    /// Reads on after the name.
    pub problem: FieldProblem,
}

/// What is wrong with a field; reads on after its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldProblem {
    /// No field has the name.
    #[error("is missing")]
    Missing,
    /// Its text is empty.
    #[error("is empty")]
    Empty,
    /// Several fields have the name.
    #[error("is given more than once")]
    Repeated,
    /// It is a number, a list, … in JSON.
    #[error("is not a text")]
    NotText,
    /// It does not name a method that a form can stand for.
    #[error("is neither PUT nor DELETE")]
    NotMethod,
    /// It is not an address.
    #[error(transparent)]
    Email(#[from] InvalidEmail),
    /// It cannot be a password.
    #[error(transparent)]
    Password(#[from] InvalidPassword),
    /// It is too weak to be chosen as a password.
    #[error(transparent)]
    Weak(#[from] WeakPassword),
}

/// What is wrong with at least one field.
#[derive(Debug, thiserror::Error)]
#[error("{first}")]
pub struct FieldErrors {
    first: FieldError,
    others: Vec<FieldError>,
}

impl FieldErrors {
    /// In the order in which the fields were read.
    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        [&self.first].into_iter().chain(&self.others)
    }
}

impl From<FieldError> for FieldErrors {
    fn from(first: FieldError) -> Self {
        let others = Vec::new();
        Self { first, others }
    }
}

/// Both values, or what is wrong with either or both.
pub fn both<A, B, E, F>(a: Result<A, E>, b: Result<B, F>) -> Result<(A, B), FieldErrors>
where
    E: Into<FieldErrors>,
    F: Into<FieldErrors>,
{
    match (a, b) {
        (Ok(a), Ok(b)) => Ok((a, b)),
        (Err(error), Ok(_)) => Err(error.into()),
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(a), Err(b)) => {
            let mut errors: FieldErrors = a.into();
            errors.others.extend(b.into().iter());
            Err(errors)
        }
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        FieldErrors::from(error).into()
    }
}

impl From<FieldErrors> for Error {
    fn from(errors: FieldErrors) -> Self {
        Self::BadFields(errors)
    }
}

impl Error {
    /// Names the field that a weak new password came in.
    pub fn of_new_password(name: &'static str) -> impl Fn(auth::Error) -> Self {
        move |error| match error {
            auth::Error::WeakPassword(weakness) => FieldError {
                name,
                problem: weakness.into(),
            }
            .into(),
            error => error.into(),
        }
    }

    /// Whether the service failed, not the client.
    pub fn is_internal(&self) -> bool {
        matches!(self, Self::Panicked | Self::Auth(auth::Error::Internal(_)))
    }

    /// The status of the response.
    pub fn status_code(&self) -> StatusCode {
        match self {
            Self::BadHost
            | Self::BadTransferEncoding
            | Self::BrokenBody(_)
            | Self::MalformedBody { .. }
            | Self::TooManyFields
            | Self::BadFields(_) => StatusCode::BAD_REQUEST,
            Self::CrossSite | Self::NoTrustedProxy | Self::BadProxyHeader(_) => {
                StatusCode::FORBIDDEN
            }
            Self::NotLoggedIn { .. } => StatusCode::UNAUTHORIZED,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Auth(error) => match error {
                auth::Error::EmailTaken
                | auth::Error::OwnAddress
                | auth::Error::WeakPassword(_) => StatusCode::BAD_REQUEST,
                auth::Error::BadCredentials | auth::Error::WrongPassword => {
                    StatusCode::UNAUTHORIZED
                }
                auth::Error::UnknownSession => StatusCode::NOT_FOUND,
                auth::Error::SignUpClosed
                | auth::Error::BadSignUpToken
                | auth::Error::Locked
                | auth::Error::NoSession
                | auth::Error::NotFresh
                | auth::Error::UnknownApp
                | auth::Error::NotAllowed
                | auth::Error::BadTicket
                | auth::Error::UnknownEmail
                | auth::Error::BadResetToken
                | auth::Error::BadEmailToken
                | auth::Error::BadUndoToken
                | auth::Error::AddressChangedLately => StatusCode::FORBIDDEN,
                auth::Error::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
                auth::Error::Unavailable(_) | auth::Error::Busy { .. } => {
                    StatusCode::SERVICE_UNAVAILABLE
                }
                auth::Error::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let error = match self {
            Self::Auth(error) => error,
            Self::NotLoggedIn { login } => {
                headers.insert(WWW_AUTHENTICATE, CHALLENGE);
                let login = login.as_ref().and_then(|login| login.try_into().ok());
                headers.extend(login.map(|login: HeaderValue| (LOCATION, login)));
                return;
            }
            _ => return,
        };
        match error {
            auth::Error::BadCredentials | auth::Error::WrongPassword => {
                headers.insert(WWW_AUTHENTICATE, CHALLENGE);
            }
            auth::Error::Busy { retry_after } | auth::Error::Throttled { retry_after } => {
                headers.insert(RETRY_AFTER, seconds_to_wait(*retry_after).into());
            }
            auth::Error::Unavailable(_) => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_OUTAGE);
            }
            _ => {}
        }
    }
}

/// The error of a response that is a refusal, for what represents it and what logs it.
#[derive(Clone)]
pub struct Refused(pub Arc<Error>);

impl Refused {
    /// Why the service failed, which clients are not told; `None` if it did not fail.
    pub fn cause(&self) -> Option<ErrorChain<'_>> {
        match &*self.0 {
            Error::Auth(error @ (auth::Error::Unavailable(_) | auth::Error::Internal(_))) => {
                Some(ErrorChain(error))
            }
            _ => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let mut response = status.into_response();
        self.add_headers(response.headers_mut());
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

/// A wait as clients are told it: in whole seconds, rounded up, at least one.
pub fn seconds_to_wait(time: Duration) -> u64 {
    let begun = u64::from(time.subsec_nanos() > 0);
    (time.as_secs() + begun).max(1)
}

/// The refusal of a request whose handler panicked.
pub fn panicked(_payload: Box<dyn Any + Send>) -> Response {
    Error::Panicked.into_response()
}
