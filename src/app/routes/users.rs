//! `/users`: signing up.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde_json::json;

use super::sessions;
use crate::app::error::{Error, FieldErrors, both};
use crate::app::pages::form::{Button, Field, Form, PASSWORD, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, ReturnPath, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::fields::Fields;
use crate::app::request::query::Query;
use crate::app::request::session::{CurrentUser, PresentedSession};
use crate::app::response::{Json, see_other};
use crate::app::state::AppState;
use crate::client::ClientName;
use crate::email::Email;
use crate::language::{Text, text};
use crate::password::Password;
use crate::source::Source;

const TITLE: Text = text("Create an account", "Créer un compte");
const SIGN_UP: Text = text("Sign up", "Créer le compte");
const TO_LOG_IN: Text = text(
    "Already have an account? Log in",
    "Déjà un compte\u{202F}? Connectez‑vous",
);

/// What signing up takes.
struct SignUp {
    email: Email,
    password: Password,
}

impl SignUp {
    fn read(fields: &Fields) -> Result<Self, FieldErrors> {
        let (email, password) = both(fields.parse("email"), fields.parse("password"))?;
        Ok(Self { email, password })
    }
}

pub async fn sign_up(
    State(state): State<Arc<AppState>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let SignUp { email, password } = SignUp::read(&fields)?;
    let registered = state.auth.register_user(&email, &password, source).await;
    registered.map_err(Error::of_new_password("password"))?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "user created",
    })))
}

/// Who is logged in sees who they are instead.
pub async fn sign_up_page(
    State(state): State<Arc<AppState>>,
    view: View,
    user: Option<CurrentUser>,
    query: Query,
) -> Response {
    if user.is_some() {
        return see_other("/").into_response();
    }
    page(&view, &state, "", &query.next(), None).into_response()
}

/// People are logged in by signing up.
pub async fn sign_up_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    client: Option<ClientName>,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Result<Response, FormRefusal> {
    let next = ReturnPath::parse(&fields.shown("next"));
    let signed_up = async {
        let SignUp { email, password } = SignUp::read(&fields)?;
        let replaced = replaced.map(|session| session.0);
        let registered = state
            .auth
            .register_and_log_in(&email, &password, replaced, client, source);
        registered.await.map_err(Error::of_new_password("password"))
    };
    let session_id = signed_up.await.map_err(|error| {
        let email = fields.shown("email");
        FormRefusal::new(error, &view, |messages| {
            page(&view, &state, &email, &next, Some(messages))
        })
    })?;
    Ok(match session_id {
        Some(session_id) => {
            let session = sessions::set_session(&state.settings, &session_id, None);
            (session, see_other(next.as_str())).into_response()
        }
        None => see_other(&next.after("/sessions")).into_response(),
    })
}

fn page(
    view: &View,
    state: &AppState,
    email: &str,
    next: &ReturnPath,
    messages: Option<&Messages>,
) -> Page {
    let form = Form {
        action: "/users",
        hidden: &sessions::hidden_next(next),
        fields: &[
            Field::email(email),
            Field::new_password(view, "password", PASSWORD, state.min_password_characters()),
        ],
        has_focus: false,
        button: Button::Primary(SIGN_UP),
    };
    let content = html! {
        (form.markup(view, messages))
        (links(view, &[(&next.after("/sessions"), TO_LOG_IN)]))
    };
    titled(view, TITLE, messages, &content)
}
