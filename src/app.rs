//! HTTP: which path and method asks for what, and what the answer looks like.
//!
//! Handlers take a request apart, have it done (`actions`) and put a reply together. They decide
//! nothing. Those here answer programs, in JSON; those in `pages` answer people in browsers, who
//! are told apart in `negotiation`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::json;
use tower::ServiceBuilder;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::auth::{Auth, Reset};
use crate::source::Source;
use crate::wait_budget;

mod actions;
mod admission;
mod body;
mod brand;
mod client_address;
mod cross_site;
mod error;
mod fields;
mod forwarded;
mod headers;
mod host;
mod json;
mod negotiation;
mod pages;
mod request_log;
mod session;
mod settings;

use error::Error;
use fields::{Fields, Malformed};
use json::Json;
use pages::{Look, Pages};
use request_log::Entry;
use session::{CurrentUser, PresentedSession, forget_session};

pub use body::MAX_BODY_BYTES;
pub use brand::{BrandColor, InvalidBrandColor, InvalidLogo, InvalidSiteName, Logo, SiteName};
pub use client_address::{InvalidTrustedProxy, TrustedProxy};
pub use session::SessionCookie;
pub use settings::{Brand, Settings};

type Result<T> = std::result::Result<T, Error>;

/// What every handler can reach: the rules, how the service shows itself, and what its pages look
/// like.
struct Edge {
    auth: Auth,
    settings: Settings,
    look: Look,
}

/// The service as a router. Binds nothing: tests call it as it is, and
/// [`serve`](crate::server::serve) puts it on a socket.
pub fn app(auth: Auth, settings: Settings) -> Router {
    let look = Look::new(&settings.brand);
    let edge = Arc::new(Edge {
        auth,
        settings,
        look,
    });
    let routes = [
        ("/", get(home)),
        ("/users", post(register_user)),
        ("/sessions", post(log_in).delete(log_out)),
        ("/profile", get(profile)),
        ("/reset_password", post(ask_for_reset).put(update_password)),
    ];
    let pages = Pages::new(Arc::clone(&edge));
    let over_tls = edge.settings.is_over_tls();
    let headers = MapResponseLayer::new(move |response| headers::add(response, over_tls));
    // One layer for axum, which puts each into boxes of its own for every request.
    let around_routes = ServiceBuilder::new()
        .layer(headers.clone())
        .layer(from_fn_with_state(Arc::new(pages), attend))
        .layer(CatchPanicLayer::custom(error::from_panic));
    let around_files = ServiceBuilder::new()
        .layer(headers)
        .layer(from_fn(attend_to_file));
    with_routes(routes)
        .layer(around_routes)
        .merge(edge.look.files().layer(around_files))
        // axum clones the state for every request, so it is one counter to count up.
        .with_state(edge)
}

/// What stands between every request and its handler.
async fn attend(
    State(pages): State<Arc<Pages>>,
    matched: Option<MatchedPath>,
    request: Request,
    next: Next,
) -> Response {
    let entry = Entry::begin(request.method(), matched);
    let answer = wait_budget::of_request(answer(&pages, request, next));
    let mut response = answer.instrument(entry.span()).await;
    entry.end(&mut response);
    response
}

/// Lets the pages answer those who would rather read HTML, and the contract's JSON everybody else.
async fn answer(pages: &Pages, request: Request, next: Next) -> Response {
    if negotiation::prefers_html(request.headers()) {
        return Box::pin(pages.answer(request)).await;
    }
    let mut response = match admission::admit(pages.edge(), request).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => refusal,
    };
    negotiation::mark(&mut response);
    response
}

/// What stands before a file, which is the same for everybody.
async fn attend_to_file(matched: Option<MatchedPath>, request: Request, next: Next) -> Response {
    let entry = Entry::begin(request.method(), matched);
    let answer = async {
        match admission::refuse_file(&request) {
            None => next.run(request).await,
            Some(refusal) => refusal,
        }
    };
    let mut response = answer.instrument(entry.span()).await;
    entry.end(&mut response);
    response
}

/// A router with these routes that refuses everything else.
fn with_routes<const N: usize>(
    routes: [(&'static str, MethodRouter<Arc<Edge>>); N],
) -> Router<Arc<Edge>> {
    routes
        .into_iter()
        .fold(Router::new(), add_route)
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
}

/// Serves a path with and without a slash at its end, as most of the original services do.
fn add_route(
    router: Router<Arc<Edge>>,
    (path, methods): (&'static str, MethodRouter<Arc<Edge>>),
) -> Router<Arc<Edge>> {
    let router = router.route(path, methods.clone());
    if path.ends_with('/') {
        router
    } else {
        router.route(&format!("{path}/"), methods)
    }
}

async fn home() -> impl IntoResponse {
    Json(json!({ "message": "Bienvenue" }))
}

async fn register_user(
    State(edge): State<Arc<Edge>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse> {
    let email = actions::register(&edge, source, &fields).await?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "user created",
    })))
}

async fn log_in(
    State(edge): State<Arc<Edge>>,
    source: Source,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Result<impl IntoResponse> {
    let logged_in = actions::log_in(&edge, source, replaced, &fields, Malformed::IsUnknown);
    let (user, session_id) = logged_in.await?;
    Ok((
        [(SET_COOKIE, edge.settings.session_cookie.set(&session_id))],
        Json(json!({
            "email": user.email.as_str(),
            "message": "logged in",
        })),
    ))
}

/// One reply for two kinds of client: those that follow the redirect to the home page, and those
/// that read the body.
async fn log_out(
    State(edge): State<Arc<Edge>>,
    source: Source,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse> {
    edge.auth.destroy_session(&session_id, source).await?;
    Ok((
        StatusCode::FOUND,
        [(LOCATION, "/")],
        forget_session(&edge),
        Json(json!({ "message": "logged out" })),
    ))
}

async fn profile(CurrentUser(user): CurrentUser) -> impl IntoResponse {
    Json(json!({ "email": user.email.as_str() }))
}

async fn ask_for_reset(
    State(edge): State<Arc<Edge>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse> {
    let asked = actions::ask_for_reset(&edge, source, &fields, Malformed::IsUnknown);
    let (email, reset) = asked.await?;
    Ok(Json(match reset {
        Reset::Token(token) => json!({
            "email": email,
            "reset_token": token.reveal(),
        }),
        Reset::ByMail => json!({
            "email": email,
            "message": "if the address is registered, a reset link is on its way",
        }),
    }))
}

async fn update_password(
    State(edge): State<Arc<Edge>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse> {
    let updated = actions::update_password(&edge, source, &fields, Malformed::IsUnknown);
    let email = updated.await?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "Password updated",
    })))
}
