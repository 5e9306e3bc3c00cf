//! `/users/me`: the account of who is logged in, and deleting it, by `DELETE /users`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde_json::json;

use super::sessions::{self, presented, to_log_in};
use crate::app::error::Error;
use crate::app::pages::form::{Button, EMAIL, Form, links, titled};
use crate::app::pages::{Page, View};
use crate::app::request::session::PresentedSession;
use crate::app::response::{Json, see_other_with};
use crate::app::settings::SessionCookie;
use crate::app::state::AppState;
use crate::auth;
use crate::email::Email;
use crate::language::{Language, Text, text};
use crate::rfc3339;
use crate::source::Source;

/// The page that deletes the account.
pub const DELETE_PATH: &str = "/users/me";
pub const DELETE_TITLE: Text = text("Delete your account", "Supprimer votre compte");
const WARNING: Text = text(
    "Your account and all that is kept with it are deleted at once, and you are logged out \
     everywhere. This cannot be undone.",
    "Votre compte et tout ce qui s’y rattache sont supprimés immédiatement, et vous êtes déconnecté \
     partout. C’est définitif.",
);
const DELETE: Text = text("Delete my account", "Supprimer mon compte");
const KEEP: Text = text("Keep my account", "Garder mon compte");

pub async fn account(
    State(state): State<Arc<AppState>>,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse, Error> {
    let (account, session) = state.auth.get_account(&session_id).await?;
    Ok(Json(json!({
        "id": account.id.0,
        "email": account.email,
        "email_confirmed": account.email_confirmed_at.is_some(),
        "created": rfc3339::write(account.created_at),
        "session": {
            "begun": rfc3339::write(session.began_at),
            "seen": rfc3339::write(session.last_seen_at),
        },
    })))
}

pub async fn delete(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    cookie: SessionCookie,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse, Error> {
    let deleted = state.auth.delete_user(&session_id, language, source);
    let email = deleted.await?;
    Ok((
        sessions::clear_session(cookie, &state.settings),
        Json(json!({
            "email": email.as_str(),
            "message": "user deleted",
        })),
    ))
}

/// Who logged in too long ago is told before they make up their mind.
pub async fn delete_page(
    State(state): State<Arc<AppState>>,
    view: View,
    session: Option<PresentedSession>,
) -> Response {
    let fresh = async {
        let PresentedSession(session_id) = session.ok_or(auth::Error::NoSession)?;
        state.auth.get_deletable_user(&session_id).await
    };
    match fresh.await {
        Ok(user) => page(&view, &user.email).into_response(),
        Err(error) => to_log_in(error, &view, DELETE_PATH),
    }
}

pub async fn delete_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    cookie: SessionCookie,
    session: Option<PresentedSession>,
) -> Response {
    let deleted = async {
        let (_, session_id) = presented(&state, session).await?;
        let deleted = state.auth.delete_user(&session_id, view.language(), source);
        deleted.await
    };
    match deleted.await {
        Ok(_) => {
            let next = see_other_with("/sessions", [("account", "deleted")]);
            (sessions::clear_session(cookie, &state.settings), next).into_response()
        }
        Err(error) => to_log_in(error, &view, DELETE_PATH),
    }
}

fn page(view: &View, email: &Email) -> Page {
    let form = Form {
        action: "/users",
        hidden: &[("_method", "DELETE")],
        fields: &[],
        has_focus: false,
        button: Button::Danger(DELETE),
    };
    let content = html! {
        dl {
            dt { (view.text(EMAIL)) }
            dd { (email.as_str()) }
        }
        p.problem.notice { (view.text(WARNING)) }
        (form.markup(view, None))
        (links(view, &[("/profile", KEEP)]))
    };
    titled(view, DELETE_TITLE, None, &content)
}
