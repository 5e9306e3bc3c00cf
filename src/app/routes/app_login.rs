//! `/_bienvenue/login`, `/_bienvenue/authorize` and `/_bienvenue/callback`: a browser without a session at an
//! app on another host gets one, by way of the service's own host, where people log in.
//!
//! ```text
//!   the app's host      /_bienvenue/login      keeps a token in a cookie
//!   the service's host  /_bienvenue/authorize  who is logged in, and may use the app, gets a ticket
//!   the app's host      /_bienvenue/callback   takes the ticket, from the browser that has the token
//! ```
//!
//! What is sent on names no host but those of apps. The last step never redirects when it refuses, so that no
//! browser goes round in circles.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use maud::html;

use crate::app::error::Error;
use crate::app::pages::form::{links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, ReturnPath, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::app_check::{AtApp, AtService, is_of_page, next_of};
use crate::app::request::query::Query;
use crate::app::request::session::PresentedSession;
use crate::app::response::see_other;
use crate::app::state::AppState;
use crate::auth::{self, APP_LOGIN_LIFETIME};
use crate::language::{Text, text};
use crate::protected_app::AppHost;
use crate::public_url::{PublicUrl, path_with_query};
use crate::source::Source;
use crate::token::{AppLoginState, AppLoginToken, Ticket};

pub const LOG_IN: &str = "/_bienvenue/login";
pub const AUTHORIZE: &str = "/_bienvenue/authorize";
pub const CALL_BACK: &str = "/_bienvenue/callback";

const TITLE: Text = text("Log in", "Connexion");
const TRY_AGAIN: Text = text("Try again", "Réessayer");

/// Sends a browser to the service's own host, and keeps in it what it is known by when it comes back. Stores
/// nothing. A browser that has been here before, with another page of the app, keeps what it has.
///
/// Pages cannot do it by their pictures and scripts: what a browser is known by is for who goes to the app.
pub async fn log_in(
    State(state): State<Arc<AppState>>,
    AtApp(host): AtApp,
    headers: HeaderMap,
    query: Query,
) -> Result<impl IntoResponse, Error> {
    if is_of_page(&headers) {
        return Err(Error::CrossSite);
    }
    let cookie = state.settings.session_cookie;
    let presented: Option<AppLoginToken> = cookie.presented(&headers);
    let token = presented.unwrap_or_else(|| state.auth.new_app_login());
    let next = next_of(query.text("next").unwrap_or_default());
    let parameters = [
        ("app", host.as_str()),
        ("state", &token.digest().to_text()),
        ("next", next.as_str()),
    ];
    let public_url = state.auth.apps().public_url();
    let public_url = public_url.map(PublicUrl::origin).ok_or(Error::NotFound)?;
    let location = public_url + &path_with_query(AUTHORIZE, &parameters);
    let kept = cookie.set(&token, Some(APP_LOGIN_LIFETIME));
    Ok(([(SET_COOKIE, kept)], see_other(&location)))
}

/// Gives who is logged in, and may use the app, a ticket for it; others log in first. Pages of other sites
/// get none for their pictures and frames, which could else use up what a session may have.
pub async fn authorize(
    State(state): State<Arc<AppState>>,
    _: AtService,
    source: Source,
    session: Option<PresentedSession>,
    headers: HeaderMap,
    uri: Uri,
    query: Query,
) -> Result<Response, Error> {
    if is_of_page(&headers) {
        return Err(Error::CrossSite);
    }
    let host = query.text("app").and_then(AppHost::from_stored);
    let host = host.ok_or(auth::Error::UnknownApp)?;
    let browser = query.text("state").and_then(AppLoginState::parse);
    let browser = browser.ok_or(auth::Error::BadTicket)?;
    let next = next_of(query.text("next").unwrap_or_default());
    let issued = match session {
        Some(PresentedSession(session_id)) => {
            let auth = &state.auth;
            auth.issue_ticket(&session_id, &host, browser, next.as_str(), source)
                .await
        }
        None => state.auth.find_app(&host).and(Err(auth::Error::NoSession)),
    };
    match issued {
        Ok(ticket) => {
            let path = path_with_query(CALL_BACK, &[("ticket", &ticket.reveal())]);
            let location = state.auth.apps().origin(&host) + &path;
            Ok(see_other(&location).into_response())
        }
        Err(auth::Error::NoSession) => {
            let here = uri.path_and_query().map_or(AUTHORIZE, |path| path.as_str());
            let path = ReturnPath::parse(here).after("/sessions");
            Ok(see_other(&path).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes a ticket, and sends the browser on to the page of the app that it has asked for.
pub async fn call_back(
    State(state): State<Arc<AppState>>,
    AtApp(host): AtApp,
    source: Source,
    headers: HeaderMap,
    query: Query,
    view: Result<View, Error>,
) -> Result<impl IntoResponse, FormRefusal> {
    let cookie = state.settings.session_cookie;
    let login: Option<AppLoginToken> = cookie.presented(&headers);
    let redeemed = match query.text("ticket").and_then(Ticket::parse) {
        Some(ticket) => {
            let auth = &state.auth;
            auth.redeem_ticket(&ticket, &host, login.as_ref(), source)
                .await
        }
        None => Err(auth::Error::BadTicket),
    };
    match (redeemed, view) {
        (Ok((session_id, next)), _) => {
            let kept = cookie.set(&session_id, None);
            let next = ReturnPath::parse(&next);
            Ok((
                StatusCode::SEE_OTHER,
                [(SET_COOKIE, kept), (LOCATION, next.as_str().to_owned())],
            ))
        }
        (Err(error @ auth::Error::BadTicket), Ok(view)) => {
            Err(FormRefusal::new(error.into(), &view, |messages| {
                refused(&view, messages)
            }))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// The page of a browser that could not be logged in.
fn refused(view: &View, messages: &Messages) -> Page {
    let content = html! {
        (links(view, &[(LOG_IN, TRY_AGAIN)]))
    };
    titled(view, TITLE, Some(messages), &content).holding_token()
}
