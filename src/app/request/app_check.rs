//! What a proxy tells of a request for an app, when it asks whether that may pass.
//!
//! Each way of asking has one family of header fields, since a proxy that writes the one lets those of the
//! other pass as the client wrote them. A field that is missing, given twice or not understood is no answer.
//!
//! Also which host a request itself is for, where the service answers on the host of an app.

use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method};

use super::accept;
use super::other_origin::SEC_FETCH_MODE;
use crate::app::error::Error;
use crate::app::pages::ReturnPath;
use crate::app::settings::is_proxy;
use crate::app::state::AppState;
use crate::auth;
use crate::protected_app::AppHost;
use crate::source::Peer;

/// A longer path with query is not gone back to after logging in: it stands in addresses on the way, once
/// more encoded in each.
const MAX_NEXT_BYTES: usize = 2048;

/// What the paths of the service on the hosts of apps begin with.
const OWN_PATHS: &str = "/_bienvenue/";

/// Set by browsers beside it: what the answer is for.
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Set by scripts that load data.
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// A request for an app.
#[derive(Debug)]
pub struct AppRequest {
    /// The host that it is for.
    pub host: AppHost,
    /// Whether it changes nothing, so that the browser may repeat it.
    pub is_reading: bool,
    path: String,
}

/// A request for an app as `X-Forwarded-Method`, `-Proto`, `-Host` and `-Uri` tell it.
pub struct ForwardedRequest(pub AppRequest);

/// A request for an app as `X-Original-Method` and `-URL` tell it.
pub struct OriginalRequest(pub AppRequest);

impl FromRequestParts<Arc<AppState>> for ForwardedRequest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        ensure_trusted(parts, state)?;
        let headers = &parts.headers;
        let method = one(headers, "x-forwarded-method", method)?;
        let is_https = one(headers, "x-forwarded-proto", is_https)?;
        let host_of = |text: &str| AppHost::of_request(text, is_https);
        let host = one(headers, "x-forwarded-host", host_of)?;
        let path = one(headers, "x-forwarded-uri", Some)?;
        Ok(Self(AppRequest::new(&method, host, path)))
    }
}

impl FromRequestParts<Arc<AppState>> for OriginalRequest {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        ensure_trusted(parts, state)?;
        let headers = &parts.headers;
        let method = one(headers, "x-original-method", method)?;
        let (host, path) = one(headers, "x-original-url", host_and_path)?;
        Ok(Self(AppRequest::new(&method, host, path)))
    }
}

impl AppRequest {
    fn new(method: &Method, host: AppHost, path: &str) -> Self {
        Self {
            host,
            is_reading: matches!(*method, Method::GET | Method::HEAD),
            path: path.to_owned(),
        }
    }

    /// Where a person goes on to after logging in.
    pub fn next(&self) -> ReturnPath {
        if self.is_reading {
            next_of(&self.path)
        } else {
            ReturnPath::home()
        }
    }
}

/// The host that a request itself is for, which is that of an app and not the service's own. Everywhere else
/// the path is not there.
pub struct AtApp(pub AppHost);

impl FromRequestParts<Arc<AppState>> for AtApp {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        let host = requested_host(parts, state).filter(|host| is_other_app(host, state));
        host.map(Self).ok_or(Error::NotFound)
    }
}

/// That a request is not for the host of an app that is another than the service's own. There the path is not
/// there.
pub struct AtService;

impl FromRequestParts<Arc<AppState>> for AtService {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        match requested_host(parts, state) {
            Some(host) if is_other_app(&host, state) => Err(Error::NotFound),
            _ => Ok(Self),
        }
    }
}

fn is_other_app(host: &AppHost, state: &AppState) -> bool {
    let apps = state.auth.apps();
    apps.find(host).is_some() && !apps.is_own_host(host)
}

/// Of `Host` there is one, or none in HTTP/1.0, as has been checked.
fn requested_host(parts: &Parts, state: &AppState) -> Option<AppHost> {
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    AppHost::of_request(host, state.auth.apps().are_https())
}

/// Where a person goes on to who has asked for this path. Not to a step of the way itself.
pub fn next_of(path: &str) -> ReturnPath {
    let next = ReturnPath::parse(path);
    if next.as_str().len() > MAX_NEXT_BYTES || next.as_str().starts_with(OWN_PATHS) {
        return ReturnPath::home();
    }
    next
}

/// Refuses what anyone else than a trusted proxy says.
fn ensure_trusted(parts: &Parts, state: &AppState) -> Result<(), Error> {
    let Some(&ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<Peer>>() else {
        let reason = "the server does not say who is connected";
        return Err(auth::Error::Internal(reason.into()).into());
    };
    if is_proxy(peer, &state.settings.trusted_proxies) {
        Ok(())
    } else {
        Err(Error::NoTrustedProxy)
    }
}

/// What the only field of this name says.
fn one<'a, T>(
    headers: &'a HeaderMap,
    name: &'static str,
    read: impl FnOnce(&'a str) -> Option<T>,
) -> Result<T, Error> {
    let mut values = headers.get_all(name).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok().filter(|text| !text.is_empty()),
        _ => None,
    };
    value.and_then(read).ok_or(Error::BadProxyHeader(name))
}

fn method(text: &str) -> Option<Method> {
    text.parse().ok()
}

/// Whether a scheme is encrypted. Traefik calls a WebSocket by its own scheme.
fn is_https(scheme: &str) -> Option<bool> {
    match scheme {
        "https" | "wss" => Some(true),
        "http" | "ws" => Some(false),
        _ => None,
    }
}

/// Takes a URL such as `https://wiki.example.org/page?a=b` apart into its host and the rest.
fn host_and_path(url: &str) -> Option<(AppHost, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let is_https = is_https(scheme)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((AppHost::of_request(authority, is_https)?, path))
}

/// Whether a page that is open in a browser has sent a request by itself, as for a picture, for a frame in it or
/// by a script, and nobody goes anywhere.
pub fn is_of_page(headers: &HeaderMap) -> bool {
    let mut destinations = headers.get_all(SEC_FETCH_DEST).iter();
    is_told_navigation(headers) == Some(false)
        || destinations.any(|destination| destination != "document")
}

/// Whether a browser goes to a page, so that it can be sent to log in: a script that loads data, a
/// WebSocket and a program without a browser cannot.
pub fn is_navigation(headers: &HeaderMap) -> bool {
    is_told_navigation(headers)
        .unwrap_or_else(|| accept::names_html(headers) && !headers.contains_key(X_REQUESTED_WITH))
}

/// Whether a browser says that it goes to a page; `None` if it says nothing of it.
fn is_told_navigation(headers: &HeaderMap) -> Option<bool> {
    let mut modes = headers.get_all(SEC_FETCH_MODE).iter();
    let mode = modes.next()?;
    Some(mode == "navigate" && modes.next().is_none())
}
