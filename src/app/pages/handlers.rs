//! Which path has which page. After a form has done its work, the answer is a redirect, so that a
//! page that is loaded again does it no second time.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use url::form_urlencoded;

use super::forms::{self, Notice, Typed};
use super::layout::{Page, View};
use super::next::Next;
use crate::app::error::Error;
use crate::app::fields::{Fields, Malformed};
use crate::app::session::{CurrentUser, PresentedSession, forget_session};
use crate::app::{Edge, Result, actions, with_routes};
use crate::auth::{self, Reset};
use crate::source::Source;
use crate::token::SessionId;

pub(super) fn router() -> Router<Arc<Edge>> {
    with_routes([
        ("/", get(home)),
        ("/users", get(sign_up_form).post(sign_up)),
        ("/sessions", get(log_in_form).post(log_in).delete(log_out)),
        ("/profile", get(profile)),
        (
            "/reset_password",
            get(reset_password_form)
                .post(ask_for_reset)
                .put(update_password),
        ),
    ])
}

async fn home(view: View, user: Option<CurrentUser>) -> Page {
    match user {
        Some(CurrentUser(user)) => forms::who_you_are(&view, &user.email),
        None => forms::home(&view),
    }
}

async fn sign_up_form(view: View, query: Query) -> Page {
    forms::sign_up(&view, &Typed::nothing(query.next()), None)
}

async fn sign_up(
    view: View,
    source: Source,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Response {
    let typed = Typed::of(&fields);
    match actions::register_and_log_in(view.edge(), source, replaced, &fields).await {
        Ok(Some(session_id)) => logged_in(&view, &session_id, &typed.next),
        Ok(None) => see_other(&typed.next.after("/sessions")).into_response(),
        Err(error) => view.refuse(error, |refusal| {
            forms::sign_up(&view, &typed, Some(refusal))
        }),
    }
}

async fn log_in_form(view: View, query: Query) -> Page {
    let notice = (query.text("password") == Some("updated")).then_some(Notice::PasswordUpdated);
    forms::log_in(&view, &Typed::nothing(query.next()), notice.as_ref())
}

async fn log_in(
    view: View,
    source: Source,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Response {
    let typed = Typed::of(&fields);
    match actions::log_in(view.edge(), source, replaced, &fields, Malformed::IsRefused).await {
        Ok((_, session_id)) => logged_in(&view, &session_id, &typed.next),
        Err(error) => view.refuse(error, |refusal| {
            forms::log_in(&view, &typed, Some(&Notice::Refusal(refusal)))
        }),
    }
}

async fn log_out(
    view: View,
    source: Source,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse> {
    view.edge()
        .auth
        .destroy_session(&session_id, source)
        .await?;
    Ok((forget_session(view.edge()), see_other("/")))
}

async fn profile(view: View, CurrentUser(user): CurrentUser) -> Page {
    forms::profile(&view, &user.email)
}

/// Looks at no token: whoever follows the link, a mail scanner among them, uses nothing up.
async fn reset_password_form(view: View, query: Query) -> Page {
    match (query.text("email"), query.text("reset_token")) {
        (Some(email), Some(reset_token)) => forms::new_password(&view, email, reset_token, None),
        _ if query.text("link") == Some("sent") => forms::link_sent(&view),
        _ => forms::ask_for_reset(&view, &Typed::nothing(Next::home()), None),
    }
}

async fn ask_for_reset(view: View, source: Source, fields: Fields) -> Response {
    match actions::ask_for_reset(view.edge(), source, &fields, Malformed::IsRefused).await {
        Ok((email, Reset::Token(reset_token))) => {
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("email", &email)
                .append_pair("reset_token", &reset_token.reveal())
                .finish();
            see_other(&format!("/reset_password?{query}")).into_response()
        }
        Ok((_, Reset::ByMail)) => see_other("/reset_password?link=sent").into_response(),
        Err(error) => view.refuse(error, |refusal| {
            forms::ask_for_reset(&view, &Typed::of(&fields), Some(refusal))
        }),
    }
}

async fn update_password(view: View, source: Source, fields: Fields) -> Response {
    match actions::update_password(view.edge(), source, &fields, Malformed::IsRefused).await {
        Ok(_) => see_other("/sessions?password=updated").into_response(),
        // No other password will make this token good.
        Err(error @ Error::Auth(auth::Error::BadResetToken)) => view.refuse(error, |refusal| {
            forms::ask_for_reset(&view, &Typed::of(&fields), Some(refusal))
        }),
        Err(error) => view.refuse(error, |refusal| {
            let text = |name| fields.text(name).unwrap_or_default();
            forms::new_password(&view, text("email"), text("reset_token"), Some(refusal))
        }),
    }
}

fn logged_in(view: &View, session_id: &SessionId, next: &Next) -> Response {
    let cookie = view.edge().settings.session_cookie.set(session_id);
    ([(SET_COOKIE, cookie)], see_other(next.as_str())).into_response()
}

fn see_other(path: &str) -> impl IntoResponse + use<> {
    let headers = [
        (LOCATION, path.to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
    ];
    (StatusCode::SEE_OTHER, headers)
}

/// The names and texts of a query. Only what a page shows is read from it, never what it does.
struct Query(Vec<(String, String)>);

impl Query {
    /// A text; `None` if it is not there, or more than once.
    fn text(&self, name: &str) -> Option<&str> {
        let mut texts = self.0.iter().filter(|(other, _)| other == name);
        match (texts.next(), texts.next()) {
            (Some((_, text)), None) => Some(text),
            _ => None,
        }
    }

    fn next(&self) -> Next {
        self.text("next").map_or_else(Next::home, Next::parse)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        _state: &S,
    ) -> std::result::Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Ok(Self(pairs.collect()))
    }
}
