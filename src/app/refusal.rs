//! A refusal becomes JSON or a page here, and nowhere else.

use axum::body::{Body, HttpBody};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, Method};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::error::{Error, Refused};
use super::pages::messages::Messages;
use super::pages::{Page, View};
use super::response::{Json, REQUEST_ID};

/// A refusal with the page on which a person can put right what was wrong.
pub struct FormRefusal {
    error: Error,
    page: Option<Page>,
}

impl FormRefusal {
    /// The refusal of a form, shown on the page that this makes.
    pub fn new(error: Error, view: &View, page: impl FnOnce(&Messages) -> Page) -> Self {
        let page = Some(page(&Messages::new(&error, view)));
        Self { error, page }
    }
}

impl<E: Into<Error>> From<E> for FormRefusal {
    fn from(error: E) -> Self {
        let error = error.into();
        Self { error, page: None }
    }
}

impl IntoResponse for FormRefusal {
    fn into_response(self) -> Response {
        let mut response = self.error.into_response();
        if let Some(page) = self.page {
            response.extensions_mut().insert(page);
        }
        response
    }
}

/// Gives a response that is a refusal its body: the page of its form or else of the refusal itself, or
/// JSON where there is no view.
pub fn represent(response: Response, view: Option<&View>, method: &Method) -> Response {
    let Some(Refused(error)) = response.extensions().get().cloned() else {
        return response;
    };
    let (mut parts, _) = response.into_parts();
    let body = match view {
        Some(view) => {
            let messages = Messages::new(&error, view);
            let of_form = parts.extensions.remove::<Page>();
            let page = match (error.is_internal(), of_form) {
                (true, _) => messages.page(view, request_id(&parts.headers)),
                (false, None) => messages.page(view, None),
                (false, Some(page)) => page,
            };
            page.into_response()
        }
        None => Json(json!({ "message": error.to_string() })).into_response(),
    };
    let (of_body, body) = body.into_parts();
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.extend(of_body.headers);
    parts.extensions.extend(of_body.extensions);
    let length = body.size_hint().lower();
    parts.headers.insert(CONTENT_LENGTH, length.into());
    if method == Method::HEAD {
        return Response::from_parts(parts, Body::empty());
    }
    Response::from_parts(parts, body)
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get(REQUEST_ID)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;
    use crate::auth;

    #[tokio::test]
    async fn an_internal_error_tells_the_client_nothing_and_the_log_everything() {
        let error = Error::Auth(auth::Error::Internal("the disk is on fire".into()));
        let response = represent(error.into_response(), None, &Method::GET);
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let refused: Refused = response.extensions().get().cloned().unwrap();
        let cause = refused.cause().unwrap().to_string();
        assert_eq!(cause, "internal error: the disk is on fire");
        let body = axum::body::to_bytes(response.into_body(), 1024).await;
        assert_eq!(body.unwrap(), "{\"message\":\"internal error\"}\n");
    }
}
