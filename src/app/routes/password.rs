//! `/profile/password`: choosing another password by the old one.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde_json::json;

use super::sessions::{self, presented, to_log_in};
use crate::app::error::{Error, FieldErrors, both};
use crate::app::pages::form::{Button, Field, Form, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, ReturnPath, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::fields::Fields;
use crate::app::request::session::{CurrentUser, PresentedSession};
use crate::app::response::{Json, see_other_with};
use crate::app::settings::SessionCookie;
use crate::app::state::AppState;
use crate::auth::{self, ChangePassword};
use crate::client::ClientName;
use crate::email::Email;
use crate::language::{Language, Text, text};
use crate::password::Password;
use crate::source::Source;
use crate::token::SessionId;

pub const PATH: &str = "/profile/password";

/// Where password managers look for the page (<https://w3c.github.io/webappsec-change-password-url/>).
pub const WELL_KNOWN: &str = "/.well-known/change-password";

pub const TITLE: Text = text("Change your password", "Changer de mot de passe");
const TEXT: Text = text(
    "You stay logged in here, and are logged out everywhere else.",
    "Vous restez connecté ici et serez déconnecté partout ailleurs.",
);
const NEW_PASSWORD: Text = text("New password", "Nouveau mot de passe");
const SAVE: Text = text("Save password", "Enregistrer le mot de passe");
const TO_RESET: Text = text("Forgot your password?", "Mot de passe oublié\u{202F}?");
/// The link back to `/profile`.
pub const TO_PROFILE: Text = text("Back to your account", "Revenir à votre compte");

/// What changing a password takes.
struct Passwords {
    password: Password,
    new_password: Password,
}

impl Passwords {
    fn read(fields: &Fields) -> Result<Self, FieldErrors> {
        let passwords = both(fields.parse("password"), fields.parse("new_password"));
        let (password, new_password) = passwords?;
        Ok(Self {
            password,
            new_password,
        })
    }
}

/// A change of a password, and who asks for it.
struct Request<'a> {
    state: &'a AppState,
    session_id: &'a SessionId,
    language: Language,
    client: Option<ClientName>,
    source: Source,
}

impl Request<'_> {
    /// Changes the password. Returns whose, with the new session.
    async fn change(self, fields: &Fields) -> Result<(Email, SessionId), Error> {
        let passwords = Passwords::read(fields)?;
        let change = ChangePassword {
            session_id: self.session_id,
            password: &passwords.password,
            new_password: &passwords.new_password,
            language: self.language,
            client: self.client,
        };
        let changed = self.state.auth.change_password(change, self.source).await;
        changed.map_err(Error::of_new_password("new_password"))
    }
}

pub async fn change(
    State(state): State<Arc<AppState>>,
    language: Language,
    (source, client): (Source, Option<ClientName>),
    cookie: SessionCookie,
    CurrentUser(_): CurrentUser,
    PresentedSession(session_id): PresentedSession,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let request = Request {
        state: &state,
        session_id: &session_id,
        language,
        client,
        source,
    };
    let (email, session_id) = request.change(&fields).await?;
    let kept_for = sessions::kept_for(&state, &fields);
    Ok((
        sessions::set_session(cookie, &session_id, kept_for),
        Json(json!({
            "email": email.as_str(),
            "message": "Password updated",
        })),
    ))
}

pub async fn change_page(
    State(state): State<Arc<AppState>>,
    view: View,
    session: Option<PresentedSession>,
) -> Response {
    match presented(&state, session).await {
        Ok((user, _)) => page(&view, &state, &user.email, false, None).into_response(),
        Err(error) => to_log_in(error, &view, PATH),
    }
}

pub async fn change_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    client: Option<ClientName>,
    cookie: SessionCookie,
    session: Option<PresentedSession>,
    fields: Fields,
) -> Response {
    let (user, session_id) = match presented(&state, session).await {
        Ok(presented) => presented,
        Err(error) => return to_log_in(error, &view, PATH),
    };
    let request = Request {
        state: &state,
        session_id: &session_id,
        language: view.language(),
        client,
        source,
    };
    match request.change(&fields).await {
        Ok((_, session_id)) => {
            let kept_for = sessions::kept_for(&state, &fields);
            let session = sessions::set_session(cookie, &session_id, kept_for);
            let next = see_other_with("/profile", [("password", "updated")]);
            (session, next).into_response()
        }
        Err(Error::Auth(error @ auth::Error::NoSession)) => to_log_in(error, &view, PATH),
        Err(error) => {
            let is_remembered = sessions::is_remembered(&fields);
            let refusal = FormRefusal::new(error, &view, |messages| {
                page(&view, &state, &user.email, is_remembered, Some(messages))
            });
            refusal.into_response()
        }
    }
}

/// Leads to the page. By a status with which password managers take the page for one to change a password
/// on.
pub async fn to_change() -> impl IntoResponse {
    to(PATH.to_owned())
}

/// The same for a browser, by way of the log-in where that is needed: Chromium goes to the home page instead if
/// the way ends at a refusal.
pub async fn to_change_page(
    State(state): State<Arc<AppState>>,
    session: Option<PresentedSession>,
) -> impl IntoResponse {
    match presented(&state, session).await {
        Err(auth::Error::NoSession) => to(ReturnPath::parse(PATH).after("/sessions")),
        _ => to(PATH.to_owned()),
    }
}

fn to(path: String) -> impl IntoResponse {
    (StatusCode::FOUND, [(LOCATION, path)])
}

fn page(
    view: &View,
    state: &AppState,
    email: &Email,
    is_remembered: bool,
    messages: Option<&Messages>,
) -> Page {
    let least = state.min_password_characters();
    let form = Form {
        action: PATH,
        hidden: &[("_method", "PUT")],
        fields: &[
            // Shown, so that people and password managers know whose password it will be.
            Field::fixed_email(email.as_str()),
            Field::current_password(),
            Field::new_password(view, "new_password", NEW_PASSWORD, least),
            sessions::remember_box(is_remembered),
        ],
        has_focus: false,
        button: Button::Primary(SAVE),
    };
    let content = html! {
        p { (view.text(TEXT)) }
        (form.markup(view, messages))
        (links(view, &[("/reset_password", TO_RESET), ("/profile", TO_PROFILE)]))
    };
    titled(view, TITLE, messages, &content)
}
