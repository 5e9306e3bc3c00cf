//! `/_bienvenue/forward_auth` and `/_bienvenue/auth_request`: a proxy asks, for each request for an app,
//! whether that may pass.
//!
//! The query and the path of the check say nothing, nor does `Authorization`, which is the app's. What is not
//! understood is refused.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::app_login;
use crate::app::error::{Error, Refused};
use crate::app::request::app_check::{
    AppRequest, ForwardedRequest, OriginalRequest, is_navigation,
};
use crate::app::state::AppState;
use crate::auth::{self, AppUser};
use crate::metrics::AppCheck;

/// By which an app is told who the user is.
static REMOTE_USER: HeaderName = HeaderName::from_static("remote-user");
static REMOTE_EMAIL: HeaderName = HeaderName::from_static("remote-email");
static REMOTE_NAME: HeaderName = HeaderName::from_static("remote-name");
static REMOTE_GROUPS: HeaderName = HeaderName::from_static("remote-groups");
static REMOTE_SUB: HeaderName = HeaderName::from_static("remote-sub");

pub const FORWARD_AUTH: &str = "/_bienvenue/forward_auth";
pub const AUTH_REQUEST: &str = "/_bienvenue/auth_request";

/// For proxies that pass the answer to the client if it is not a success, such as Caddy and Traefik: who can
/// log in is sent there.
pub async fn forward_auth(
    State(state): State<Arc<AppState>>,
    ForwardedRequest(request): ForwardedRequest,
    headers: HeaderMap,
) -> Result<Response, Error> {
    match check(&state, &request, &headers).await {
        Err(Error::NotLoggedIn { login: Some(login) }) => {
            let status = if request.is_reading {
                StatusCode::FOUND
            } else {
                StatusCode::SEE_OTHER
            };
            let headers = [(LOCATION, login), (CACHE_CONTROL, "no-store".to_owned())];
            Ok((status, headers).into_response())
        }
        checked => Ok(pass(&checked?)?),
    }
}

/// For nginx, which knows 2xx, 401 and 403 only: where to log in stands beside the 401.
pub async fn auth_request(
    State(state): State<Arc<AppState>>,
    OriginalRequest(request): OriginalRequest,
    headers: HeaderMap,
) -> Result<Response, Error> {
    Ok(pass(&check(&state, &request, &headers).await?)?)
}

/// The user by whose session a request may pass.
async fn check(
    state: &AppState,
    request: &AppRequest,
    headers: &HeaderMap,
) -> Result<AppUser, Error> {
    let host = &request.host;
    let (auth, cookie) = (&state.auth, state.settings.session_cookie);
    let app = auth.find_app(host)?;
    let is_own_host = auth.apps().is_own_host(host);
    let user = if is_own_host {
        match cookie.presented(headers) {
            Some(session_id) => auth.get_app_user(app, &session_id).await,
            None => Err(auth::Error::NoSession),
        }
    } else {
        match cookie.presented(headers) {
            Some(session_id) => auth.get_user_at_app(app, host, &session_id).await,
            None => Err(auth::Error::NoSession),
        }
    };
    user.map_err(|error| match error {
        auth::Error::NoSession => {
            let path = if is_own_host {
                "/sessions"
            } else {
                app_login::LOG_IN
            };
            let login = || auth.apps().origin(host) + &request.next().after(path);
            Error::NotLoggedIn {
                login: is_navigation(headers).then(login),
            }
        }
        error => error.into(),
    })
}

/// What a proxy was told by this response to a request for one of these paths, whatever has made it; `None`
/// if it did not ask that.
pub fn outcome(response: &Response) -> Option<AppCheck> {
    let Some(Refused(error)) = response.extensions().get() else {
        return if response.headers().contains_key(&REMOTE_USER) {
            Some(AppCheck::Allowed)
        } else {
            // Is sent to log in, or asks which other origins may ask.
            let is_redirect = response.status().is_redirection();
            is_redirect.then_some(AppCheck::NotLoggedIn)
        };
    };
    Some(match &**error {
        Error::NotLoggedIn { .. } => AppCheck::NotLoggedIn,
        Error::Auth(auth::Error::NotAllowed) => AppCheck::Forbidden,
        Error::Auth(auth::Error::UnknownApp) => AppCheck::UnknownApp,
        Error::NoTrustedProxy => AppCheck::Untrusted,
        _ if response.status().is_server_error() => AppCheck::Unavailable,
        _ => AppCheck::Malformed,
    })
}

/// Lets a request pass, with who it is from. The only answer here that is a success, and always with all of
/// these fields: where one is missing, proxies let the client's own through.
fn pass(user: &AppUser) -> Result<Response, auth::Error> {
    let (email, id) = (user.email.as_str(), user.id.0.to_string());
    let fields = [
        (&REMOTE_USER, email),
        (&REMOTE_EMAIL, email),
        (&REMOTE_NAME, email),
        (&REMOTE_GROUPS, user.groups.as_str()),
        (&REMOTE_SUB, &id),
    ];
    let mut response = (StatusCode::OK, [(CACHE_CONTROL, "no-store")]).into_response();
    for (name, text) in fields {
        let value = HeaderValue::try_from(text).ok();
        let value = value.filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| auth::Error::Internal(format!("no {name}").into()))?;
        response.headers_mut().insert(name, value);
    }
    Ok(response)
}
