//! What a request must pass before its handler sees it.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::header::{CONNECTION, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::{cross_site, method_override};
use crate::app::error::Error;
use crate::app::pages::View;
use crate::app::request::body;
use crate::app::request::host::{self, Authority};
use crate::app::state::AppState;

/// Lets a request through that is for one host, comes from no other site, and whose body has arrived
/// whole. A form of a page goes on as the method that it stands for.
pub async fn check(state: &AppState, request: Request) -> Result<Request, Response> {
    let has_body = !request.body().is_end_stream();
    let checked = check_head(&request)
        .and_then(|host| cross_site::check(&request, host, state.settings.public_url.as_ref()));
    let passed = match checked {
        Ok(()) if !has_body => Ok(request),
        // Boxed, so that the futures of requests without a body have no room for it.
        Ok(()) => Box::pin(receive(request, state)).await,
        Err(error) => Err(error),
    };
    passed.map_err(|error| refuse(error, has_body))
}

/// The refusal of a request for a file, which is the same for every site; `None` if it passes.
pub fn refuse_for_file(request: &Request) -> Option<Response> {
    let has_body = !request.body().is_end_stream();
    let error = check_head(request).err()?;
    Some(refuse(error, has_body))
}

async fn receive(request: Request, state: &AppState) -> Result<Request, Error> {
    let request = body::read_whole(request, state.settings.body_timeout).await?;
    if View::of(request.extensions()).is_some() {
        method_override::apply(request).await
    } else {
        Ok(request)
    }
}

/// The host that a request is for, if its head can be read in one way only.
fn check_head(request: &Request) -> Result<Option<Authority<'_>>, Error> {
    check_transfer_encoding(request.headers())?;
    host::of(request)
}

/// Refuses all transfer codings but `chunked`, alone and once. hyper only looks whether the last one
/// is `chunked` (RFC 9112, 6.1: it must not be applied twice; 6.3: what cannot be read is refused),
/// and would pass on a body that is still encoded in the others.
fn check_transfer_encoding(headers: &HeaderMap) -> Result<(), Error> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_readable = match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    };
    if is_readable {
        Ok(())
    } else {
        Err(Error::BadTransferEncoding)
    }
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
