//! What a request must get past before a handler sees it.

use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::header::{CONNECTION, TRANSFER_ENCODING};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::host::Authority;
use super::{Edge, body, cross_site, host};

/// Lets a request in if it is for one host, comes from no other site, and its body is there whole.
/// The error is the answer to one that is not.
pub(super) async fn admit(edge: &Edge, request: Request) -> Result<Request, Response> {
    let settings = &edge.settings;
    let has_body = !request.body().is_end_stream();
    let checked = check_head(&request)
        .and_then(|host| cross_site::refuse(&request, host, settings.public_url.as_ref()));
    let admitted = match checked {
        Ok(()) if !has_body => Ok(request),
        // In a box, so that what most requests have no need of takes no room in the others' futures.
        Ok(()) => Box::pin(body::read_whole(request, settings.body_timeout)).await,
        Err(error) => Err(error),
    };
    admitted.map_err(|error| refuse(error, has_body))
}

/// The answer to a request for a file, which is the same for every site, if it is not let in.
pub(super) fn refuse_file(request: &Request) -> Option<Response> {
    let has_body = !request.body().is_end_stream();
    let error = check_head(request).err()?;
    Some(refuse(error, has_body))
}

/// What holds for every request, whatever it asks for. Returns the host that it is for.
fn check_head(request: &Request) -> Result<Option<Authority<'_>>, Error> {
    check_transfer_encoding(request.headers())?;
    host::of(request)
}

/// Refuses all transfer codings but `chunked`, alone and once. hyper only looks whether the last one
/// is `chunked` (RFC 9112, 6.1: it must not be applied twice; 6.3: what cannot be read is refused),
/// and would hand over a body that is still packed in the others.
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
