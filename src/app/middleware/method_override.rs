//! HTML forms can send `GET` and `POST` alone, so the field `_method` of a form stands for the others.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::Method;

use crate::app::error::{Error, FieldError, FieldProblem, MAX_BODY_BYTES};
use crate::app::request::fields::{FORM, Fields, content_type};

const NAME: &str = "_method";

/// Gives a form that was posted the method that it stands for. The fields go along with the request,
/// so that the handler does not read them again.
pub async fn apply(request: Request) -> Result<Request, Error> {
    let is_form = request.method() == Method::POST
        && content_type(request.headers()).as_deref() == Some(FORM);
    if !is_form {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(Error::BrokenBody)?;
    let fields = Fields::of_form(&body)?;
    parts.method = method_of(&fields)?;
    parts.extensions.insert(fields);
    Ok(Request::from_parts(parts, Body::empty()))
}

fn method_of(fields: &Fields) -> Result<Method, FieldError> {
    match fields.text(NAME) {
        Ok("PUT") => Ok(Method::PUT),
        Ok("DELETE") => Ok(Method::DELETE),
        Ok(_) => Err(FieldError {
            name: NAME,
            problem: FieldProblem::NotMethod,
        }),
        Err(FieldError {
            problem: FieldProblem::Missing,
            ..
        }) => Ok(Method::POST),
        Err(error) => Err(error),
    }
}
