//! HTTP: which path and method asks for what, and what the answer looks like.
//!
//! Handlers take a request apart, call [`Auth`] and put a reply together. They decide nothing.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use serde_json::json;
use tower::ServiceBuilder;
use tower::util::MapResponseLayer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::auth::{self, Auth, Reset};
use crate::email::Email;
use crate::password::Password;
use crate::public_url::PublicUrl;
use crate::source::Source;
use crate::token::ResetToken;

mod admission;
mod body;
mod client_address;
mod connection;
mod cross_site;
mod error;
mod fields;
mod forwarded;
mod headers;
mod host;
mod limits;
mod open_files;
mod request_log;
mod serve;
mod session;
mod settings;

use error::Error;
use fields::Fields;
use session::{CurrentUser, PresentedSession};

pub use client_address::{InvalidTrustedProxy, TrustedProxy};
pub use limits::ConnectionLimits;
pub use serve::{DRAIN_DEADLINE, listen, serve};
pub use session::SessionCookie;
pub use settings::Settings;

type Result<T> = std::result::Result<T, Error>;

/// What every handler can reach: the rules, and how the service shows itself.
struct Edge {
    auth: Auth,
    settings: Settings,
}

/// The service as a router. Binds nothing: tests call it as it is, [`serve()`] puts it on a socket.
pub fn app(auth: Auth, settings: Settings) -> Router {
    let routes = [
        ("/", get(home)),
        ("/users", post(register_user)),
        ("/sessions", post(log_in).delete(log_out)),
        ("/profile", get(profile)),
        ("/reset_password", post(ask_for_reset).put(update_password)),
    ];
    let over_tls = settings
        .public_url
        .as_ref()
        .is_some_and(PublicUrl::is_https);
    // axum clones the state for every request, so it is one counter to count up.
    let edge = Arc::new(Edge { auth, settings });
    // One layer for axum, which puts each into a box of its own for every request.
    let around_every_handler = ServiceBuilder::new()
        .layer(MapResponseLayer::new(move |response: Response| {
            headers::add(response, over_tls)
        }))
        .layer(from_fn(request_log::log))
        .layer(CatchPanicLayer::custom(error::from_panic))
        .layer(from_fn_with_state(edge.clone(), admission::admit));
    routes
        .into_iter()
        .fold(Router::new(), add_route)
        .fallback(async || Error::NotFound)
        .method_not_allowed_fallback(async || Error::MethodNotAllowed)
        .layer(around_every_handler)
        .with_state(edge)
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
    let email: Email = fields.parse("email")?;
    let password: Password = fields.parse("password")?;
    edge.auth
        .register_user(&email, &password, source)
        .await
        .map_err(Error::of_new_password("password"))?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "user created",
    })))
}

async fn log_in(
    State(edge): State<Arc<Edge>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse> {
    let email: Email = fields.parse("email")?;
    let password: Password = fields.parse("password")?;
    let user = edge.auth.valid_login(&email, &password, source).await?;
    let session_id = edge.auth.create_session(&user, source).await?;
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
        [
            (LOCATION, "/".to_owned()),
            (SET_COOKIE, edge.settings.session_cookie.clear()),
        ],
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
    let email: Email = fields.parse("email")?;
    Ok(Json(
        match edge.auth.ask_for_reset(&email, source).await? {
            Reset::Token(token) => json!({
                "email": email.as_str(),
                "reset_token": token.reveal(),
            }),
            Reset::ByMail => json!({
                "email": email.as_str(),
                "message": "if the address is registered, a reset link is on its way",
            }),
        },
    ))
}

async fn update_password(
    State(edge): State<Arc<Edge>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse> {
    let email: Email = fields.parse("email")?;
    // A text that cannot be a token is one token more that nobody was given.
    let token = ResetToken::parse(fields.text("reset_token")?);
    let new_password: Password = fields.parse("new_password")?;
    let token = token.ok_or(auth::Error::BadResetToken)?;
    edge.auth
        .update_password(&email, &token, &new_password, source)
        .await
        .map_err(Error::of_new_password("new_password"))?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "Password updated",
    })))
}
