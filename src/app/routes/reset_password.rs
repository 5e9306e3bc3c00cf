//! `/reset_password`: asking for a reset token, and using it to set a new password.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
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
use crate::auth::{self, MAIL_PAUSE, Reset};
use crate::email::{self, Email};
use crate::language::{LENGTH_OF_TIME, Language, Text, Translated, text};
use crate::password::Password;
use crate::source::Source;
use crate::token::ResetToken;

const ASK_TITLE: Text = text("Forgot your password?", "Mot de passe oublié\u{202F}?");
const ASK_TEXT: Text = text(
    "Enter the email address of your account to choose a new password.",
    "Saisissez l’adresse de votre compte pour choisir un nouveau mot de passe.",
);
const CONTINUE: Text = text("Continue", "Continuer");
const TO_SIGN_UP: Text = text(
    "No account yet? Sign up",
    "Pas encore de compte\u{202F}? Créez‑en un",
);
const SENT_TITLE: Text = text("Check your email", "Consultez vos e‑mails");
/// The address, how long a link is valid, and how soon another can be asked for.
const SENT_TEXT: Translated<fn(&str, &str, &str) -> String> = Translated {
    en: |email, lifetime, pause| {
        format!(
            "If there is an account with {email}, a link to choose a new password is on its way. It \
             works once, for {lifetime}. Nothing there? Look in your spam folder. You can ask for \
             another link in {pause}."
        )
    },
    fr: |email, lifetime, pause| {
        format!(
            "S’il existe un compte avec {email}, un lien pour choisir un nouveau mot de passe est en \
             route. Il sert une seule fois, pendant {lifetime}. Rien reçu\u{202F}? Regardez parmi les \
             indésirables. Vous pourrez demander un autre lien dans {pause}."
        )
    },
};
const THE_ADDRESS: Text = text("that address", "cette adresse");
const UPDATE_TITLE: Text = text(
    "Choose a new password",
    "Choisissez un nouveau mot de passe",
);
const UPDATE_TEXT: Text = text(
    "You will be logged out on all your devices.",
    "Tous vos appareils seront déconnectés.",
);
const NEW_PASSWORD: Text = text("New password", "Nouveau mot de passe");
const SAVE: Text = text("Save password", "Enregistrer le mot de passe");

/// What asking for a reset takes.
struct AskForReset {
    /// `None` if it is an address that no user can have.
    email: Option<Email>,
    /// The address as it is repeated to who asked.
    shown: String,
}

impl AskForReset {
    fn read(fields: &Fields, malformed: Malformed) -> Result<Self, Error> {
        Ok(Self {
            email: fields.address(malformed)?,
            shown: email::spelled_as_address(fields.text("email")?),
        })
    }
}

/// What setting a new password takes.
struct UpdatePassword {
    /// `None` if it is an address that no user can have.
    email: Option<Email>,
    /// `None` if it is not in the form of a token.
    reset_token: Option<ResetToken>,
    new_password: Password,
}

impl UpdatePassword {
    fn read(fields: &Fields, malformed: Malformed) -> Result<Self, Error> {
        let token = fields.text("reset_token").map(ResetToken::parse);
        let email_and_token = both(fields.address(malformed), token);
        let ((email, reset_token), new_password) =
            both(email_and_token, fields.parse("new_password"))?;
        Ok(Self {
            email,
            reset_token,
            new_password,
        })
    }

    /// Sets the password, and says whose.
    async fn update(
        self,
        state: &AppState,
        language: Language,
        source: Source,
    ) -> Result<Email, Error> {
        let (Some(email), Some(token)) = (self.email, self.reset_token) else {
            return Err(auth::Error::BadResetToken.into());
        };
        let updated =
            state
                .auth
                .update_password(&email, &token, &self.new_password, language, source);
        updated
            .await
            .map_err(Error::of_new_password("new_password"))?;
        Ok(email)
    }
}

pub async fn ask_for_reset(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let AskForReset { email, shown } = AskForReset::read(&fields, Malformed::IsUnknown)?;
    let reset = state
        .auth
        .ask_for_reset(email.as_ref(), language, source)
        .await?;
    Ok(Json(match reset {
        Reset::Token(token) => json!({
            "email": shown,
            "reset_token": token.reveal(),
        }),
        Reset::ByMail => json!({
            "email": shown,
            "message": "if the address is registered, a reset link is on its way",
        }),
    }))
}

pub async fn update_password(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let request = UpdatePassword::read(&fields, Malformed::IsUnknown)?;
    let email = request.update(&state, language, source).await?;
    Ok(Json(json!({
        "email": email.as_str(),
        "message": "Password updated",
    })))
}

/// Following the link, as mail scanners do, uses nothing up. A link that no longer works says so at once.
pub async fn reset_password_page(
    State(state): State<Arc<AppState>>,
    view: View,
    query: Query,
) -> Result<Page, FormRefusal> {
    let (Some(email), Some(reset_token)) = (query.text("email"), query.text("reset_token")) else {
        return Ok(match query.text("link") {
            Some("sent") => sent_page(&view, &state, &query.email()),
            _ => ask_page(&view, "", None),
        });
    };
    let checked = match (email.parse(), ResetToken::parse(reset_token)) {
        (Ok(email), Some(token)) => state.auth.check_reset_token(&email, &token).await,
        _ => Err(auth::Error::BadResetToken),
    };
    match checked {
        Ok(()) => Ok(update_page(&view, &state, email, reset_token, None)),
        Err(error) => Err(FormRefusal::new(error.into(), &view, |messages| {
            ask_page(&view, &query.email(), Some(messages)).holding_token()
        })),
    }
}

pub async fn ask_for_reset_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    fields: Fields,
) -> Result<Response, FormRefusal> {
    let asked = async {
        let AskForReset { email, shown } = AskForReset::read(&fields, Malformed::IsRefused)?;
        let reset = state
            .auth
            .ask_for_reset(email.as_ref(), view.language(), source)
            .await?;
        Ok((shown, reset))
    };
    let (email, reset) = asked.await.map_err(|error| {
        FormRefusal::new(error, &view, |messages| {
            ask_page(&view, &fields.shown("email"), Some(messages))
        })
    })?;
    Ok(match reset {
        Reset::Token(reset_token) => {
            let token = reset_token.reveal();
            let query = [("email", email.as_str()), ("reset_token", token.as_str())];
            see_other_with("/reset_password", query).into_response()
        }
        Reset::ByMail => {
            let query = [("link", "sent"), ("email", email.as_str())];
            see_other_with("/reset_password", query).into_response()
        }
    })
}

pub async fn update_password_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, FormRefusal> {
    let updated = async {
        let request = UpdatePassword::read(&fields, Malformed::IsRefused)?;
        request.update(&state, view.language(), source).await
    };
    let email = updated.await.map_err(|error| {
        let email = fields.shown("email");
        // With a token that is not valid, no other password helps.
        let needs_new_token = matches!(error, Error::Auth(auth::Error::BadResetToken));
        FormRefusal::new(error, &view, |messages| {
            if needs_new_token {
                ask_page(&view, &email, Some(messages))
            } else {
                let reset_token = fields.shown("reset_token");
                update_page(&view, &state, &email, &reset_token, Some(messages))
            }
        })
    })?;
    let query = [("password", "updated"), ("email", email.as_str())];
    Ok(see_other_with("/sessions", query))
}

fn ask_page(view: &View, email: &str, messages: Option<&Messages>) -> Page {
    let form = Form {
        action: "/reset_password",
        hidden: &[],
        fields: &[Field::email(email)],
        has_focus: false,
        button: Button::Primary(CONTINUE),
    };
    let content = html! {
        p { (view.text(ASK_TEXT)) }
        (form.markup(view, messages))
        @if view.offers_sign_up() {
            (links(view, &[("/users", TO_SIGN_UP)]))
        }
    };
    titled(view, ASK_TITLE, messages, &content)
}

/// What follows where the token goes by mail. The same for every address, known or not.
fn sent_page(view: &View, state: &AppState, email: &str) -> Page {
    let email = if email.is_empty() {
        view.text(THE_ADDRESS)
    } else {
        email
    };
    let told = view.text(LENGTH_OF_TIME);
    let lifetime = told(state.auth.lifetimes().reset_token);
    let content = html! {
        p { (view.text(SENT_TEXT)(email, &lifetime, &told(MAIL_PAUSE))) }
        (links(view, &[("/", TO_HOME)]))
    };
    titled(view, SENT_TITLE, None, &content)
}

fn update_page(
    view: &View,
    state: &AppState,
    email: &str,
    reset_token: &str,
    messages: Option<&Messages>,
) -> Page {
    let least = state.min_password_characters();
    let form = Form {
        action: "/reset_password",
        hidden: &[("_method", "PUT"), ("reset_token", reset_token)],
        fields: &[
            // Shown, so that people and password managers know whose password it will be.
            Field::fixed_email(email),
            Field::new_password(view, "new_password", NEW_PASSWORD, least),
        ],
        has_focus: false,
        button: Button::Primary(SAVE),
    };
    let content = html! {
        p { (view.text(UPDATE_TEXT)) }
        (form.markup(view, messages))
    };
    titled(view, UPDATE_TITLE, messages, &content).holding_token()
}
