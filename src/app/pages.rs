//! The pages: the same paths as in JSON, for people in browsers.
//!
//! Written with maud: a page is a function whose arguments are all that it can show, parts of pages
//! are functions too, and whatever they are given is escaped unless it is a page itself. There is no
//! script on any page.
//!
//! - `handlers` says which path has which page.
//! - `forms` has the pages that people fill in or read, `errors` those that say no and why.
//! - `layout` is around every page: the frame and the headers.
//! - `texts` has every word, once in each language.
//! - `look` has the style sheet (`style.css`) and the logo; `palette` makes any brand colour readable.
//! - `next` says where one may go on to after logging in.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::{IntoResponse, Response};
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

mod errors;
mod forms;
mod handlers;
mod layout;
mod look;
mod next;
mod palette;
mod texts;

use super::body::MAX_BODY_BYTES;
use super::error::{self, Error, Refused};
use super::fields::{FORM, Fields, Problem, content_type};
use super::{Edge, Result, admission};
use layout::View;
use next::Next;

pub(super) use look::Look;

/// What answers people.
pub(super) struct Pages {
    edge: Arc<Edge>,
    router: Router,
}

impl Pages {
    pub(super) fn new(edge: Arc<Edge>) -> Self {
        let router = handlers::router().with_state(Arc::clone(&edge));
        // Around all of it, since the method that a form stands for decides on the handler.
        let router = Router::new().fallback(route).with_state(router);
        Self {
            router: router.layer(CatchPanicLayer::custom(error::from_panic)),
            edge,
        }
    }

    pub(super) fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Answers with a page or a redirect, whatever happens.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let view = View::new(Arc::clone(&self.edge), request.headers());
        // To come back to after logging in.
        let asked_for = match (request.method(), request.uri().path_and_query()) {
            // By both, since they must be answered alike.
            (&Method::GET | &Method::HEAD, Some(path)) => Next::parse(path.as_str()),
            _ => Next::home(),
        };
        let response = match admission::admit(&self.edge, request).await {
            Ok(request) => self.router.clone().oneshot(request).await.into_response(),
            Err(refusal) => refusal,
        };
        if layout::is_page(&response) {
            return response;
        }
        match response.extensions().get::<Refused>().cloned() {
            Some(Refused(error)) => errors::page(&view, &error, &asked_for).in_place_of(response),
            None => response,
        }
    }
}

/// Lets the handler answer whose method the request means: a form can send `GET` and `POST` alone,
/// so its field `_method` stands for the others.
async fn route(State(router): State<Router>, request: Request) -> Result<Response> {
    let is_form = request.method() == Method::POST
        && content_type(request.headers()).as_deref() == Some(FORM);
    if !is_form {
        return Ok(router.oneshot(request).await.into_response());
    }
    let (mut parts, body) = request.into_parts();
    let form = to_bytes(body, MAX_BODY_BYTES)
        .await
        .map_err(Error::BrokenBody)?;
    parts.method = method_meant_by(&form)?;
    let request = Request::from_parts(parts, Body::from(form));
    Ok(router.oneshot(request).await.into_response())
}

fn method_meant_by(form: &Bytes) -> Result<Method> {
    let name = "_method";
    let refuse = |problem| Err(Error::BadField { name, problem });
    match Fields::from_form(form)?.text(name) {
        Ok("PUT") => Ok(Method::PUT),
        Ok("DELETE") => Ok(Method::DELETE),
        Ok(_) => refuse(Problem::NotMethod),
        Err(Error::BadField {
            problem: Problem::Missing,
            ..
        }) => Ok(Method::POST),
        Err(error) => Err(error),
    }
}
