//! `/undo_email_change`: taking an account back to the address that it had, behind the link that went there.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use maud::html;
use serde_json::json;

use crate::app::error::{Error, both};
use crate::app::pages::form::{Button, Field, Form, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, TO_HOME, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::fields::{Fields, Malformed};
use crate::app::request::query::Query;
use crate::app::response::{Json, see_other_with};
use crate::app::state::AppState;
use crate::auth;
use crate::email::Email;
use crate::language::{Language, Text, text};
use crate::password::Password;
use crate::source::Source;
use crate::token::UndoToken;

const TITLE: Text = text("Take your account back", "Récupérer votre compte");
const ABOUT: Text = text(
    "Your account gets this address back, with a password that you choose now. All devices will be logged out, \
     and later changes of the address are undone.",
    "Votre compte retrouve cette adresse, avec un mot de passe que vous choisissez maintenant. Tous les \
     appareils seront déconnectés, et les changements d’adresse ultérieurs sont annulés.",
);
const NEW_PASSWORD: Text = text("New password", "Nouveau mot de passe");
const TAKE_BACK: Text = text("Take my account back", "Récupérer mon compte");

/// What taking an account back takes.
struct TakeBack {
    /// `None` if it is an address that no user can have.
    email: Option<Email>,
    /// `None` if it is not in the form of a token.
    undo_token: Option<UndoToken>,
    new_password: Password,
}

impl TakeBack {
    fn read(fields: &Fields, malformed: Malformed) -> Result<Self, Error> {
        let token = fields.text("undo_token").map(UndoToken::parse);
        let email_and_token = both(fields.address(malformed), token);
        let ((email, undo_token), new_password) =
            both(email_and_token, fields.parse("new_password"))?;
        Ok(Self {
            email,
            undo_token,
            new_password,
        })
    }

    /// Takes the account back, and says to which address.
    async fn run(
        self,
        state: &AppState,
        language: Language,
        source: Source,
    ) -> Result<Email, Error> {
        let (Some(email), Some(token)) = (self.email, self.undo_token) else {
            return Err(auth::Error::BadUndoToken.into());
        };
        let password = &self.new_password;
        let undone = state
            .auth
            .undo_address_change(&email, &token, password, language, source);
        undone
            .await
            .map_err(Error::of_new_password("new_password"))?;
        Ok(email)
    }
}

pub async fn undo(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let request = TakeBack::read(&fields, Malformed::IsUnknown)?;
    let email = request.run(&state, language, source).await?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "Password updated",
    })))
}

/// Following the link, as mail scanners do, uses nothing up. A link that no longer works says so at once.
pub async fn undo_page(
    State(state): State<Arc<AppState>>,
    view: View,
    query: Query,
) -> Result<Page, FormRefusal> {
    let email = query.text("email").unwrap_or_default();
    let undo_token = query.text("undo_token").unwrap_or_default();
    let checked = match (email.parse(), UndoToken::parse(undo_token)) {
        (Ok(email), Some(token)) => state.auth.check_undo_token(&email, &token).await,
        _ => Err(auth::Error::BadUndoToken),
    };
    match checked {
        Ok(()) => Ok(page(&view, &state, email, undo_token, None)),
        Err(error) => {
            let holds_token = query.text("undo_token").is_some();
            Err(over(error.into(), &view, holds_token))
        }
    }
}

pub async fn undo_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, FormRefusal> {
    let undone = async {
        let request = TakeBack::read(&fields, Malformed::IsRefused)?;
        request.run(&state, view.language(), source).await
    };
    let email = undone.await.map_err(|error| match error {
        // No other password helps.
        error @ Error::Auth(auth::Error::BadUndoToken) => over(error, &view, false),
        error => FormRefusal::new(error, &view, |messages| {
            let (email, undo_token) = (fields.shown("email"), fields.shown("undo_token"));
            page(&view, &state, &email, &undo_token, Some(messages))
        }),
    })?;
    let query = [("address", "taken_back"), ("email", email.as_str())];
    Ok(see_other_with("/sessions", query))
}

fn page(
    view: &View,
    state: &AppState,
    email: &str,
    undo_token: &str,
    messages: Option<&Messages>,
) -> Page {
    let least = state.min_password_characters();
    let form = Form {
        action: "/undo_email_change",
        hidden: &[("_method", "PUT"), ("undo_token", undo_token)],
        fields: &[
            // Shown, so that people and password managers know whose password it will be.
            Field::fixed_email(email),
            Field::new_password(view, "new_password", NEW_PASSWORD, least),
        ],
        has_focus: false,
        button: Button::Primary(TAKE_BACK),
    };
    let content = html! {
        p { (view.text(ABOUT)) }
        (form.markup(view, messages))
    };
    titled(view, TITLE, messages, &content).holding_token()
}

/// What follows a link that does not work, whose token is in the address of the page or not.
fn over(error: Error, view: &View, holds_token: bool) -> FormRefusal {
    FormRefusal::new(error, view, |messages| {
        let content = links(view, &[("/", TO_HOME)]);
        let page = titled(view, TITLE, Some(messages), &content);
        if holds_token {
            page.holding_token()
        } else {
            page
        }
    })
}
