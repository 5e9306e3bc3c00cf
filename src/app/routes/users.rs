//! `/users`: signing up, at once or by a link that goes to the address.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::html;
use serde_json::json;

use super::sessions;
use crate::app::error::{Error, both};
use crate::app::pages::form::{Button, Field, Form, PASSWORD, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, ReturnPath, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::fields::{Fields, Malformed};
use crate::app::request::query::Query;
use crate::app::request::session::{CurrentUser, PresentedSession};
use crate::app::response::{Json, see_other, see_other_with};
use crate::app::state::AppState;
use crate::auth::{self, MAIL_PAUSE, SIGN_UP_TOKEN_LIFETIME, SignUpAsked, SignUpMode};
use crate::client::ClientName;
use crate::email::Email;
use crate::language::{LENGTH_OF_TIME, Language, Text, Translated, text};
use crate::password::Password;
use crate::source::Source;
use crate::token::{SessionId, SignUpToken};

const TITLE: Text = text("Create an account", "Créer un compte");
const SIGN_UP: Text = text("Sign up", "Créer le compte");
const TO_LOG_IN: Text = text(
    "Already have an account? Log in",
    "Déjà un compte\u{202F}? Connectez‑vous",
);
const ASK_TEXT: Text = text(
    "Enter your email address. You will choose a password in the next step.",
    "Saisissez votre adresse. Vous choisirez un mot de passe à l’étape suivante.",
);
const CONTINUE: Text = text("Continue", "Continuer");
const SENT_TITLE: Text = text("Check your email", "Consultez vos e‑mails");
/// The address, how long a link is valid, and how soon another can be asked for.
const SENT_TEXT: Translated<fn(&str, &str, &str) -> String> = Translated {
    en: |email, lifetime, pause| {
        format!(
            "An email is on its way to {email}: open the link in it to go on. It works once, for {lifetime}. \
             Nothing there? Look in your spam folder. You can ask for another link in {pause}."
        )
    },
    fr: |email, lifetime, pause| {
        format!(
            "Un e‑mail est en route vers {email}\u{A0}: ouvrez le lien qu’il contient pour continuer. Il sert \
             une seule fois, pendant {lifetime}. Rien reçu\u{202F}? Regardez parmi les indésirables. Vous \
             pourrez demander un autre lien dans {pause}."
        )
    },
};
const THE_ADDRESS: Text = text("that address", "cette adresse");
const FINISH_TITLE: Text = text("Choose a password", "Choisissez un mot de passe");
const FINISH_TEXT: Text = text(
    "Your account will be created with this address.",
    "Votre compte sera créé avec cette adresse.",
);
const CREATE: Text = text("Create account", "Créer le compte");

/// What signing up takes.
enum SignUp {
    /// At once.
    AtOnce { email: Email, password: Password },
    /// By a token.
    ByToken {
        email: Email,
        /// As clients send it that sign up at once elsewhere.
        password: Option<Password>,
    },
}

impl SignUp {
    fn read(fields: &Fields, mode: SignUpMode) -> Result<Self, Error> {
        let email = fields.parse("email");
        match mode {
            SignUpMode::Unverified => {
                let (email, password) = both(email, fields.parse("password"))?;
                Ok(Self::AtOnce { email, password })
            }
            SignUpMode::Verified => {
                let (email, password) = both(email, fields.parse_if_given("password"))?;
                Ok(Self::ByToken { email, password })
            }
            SignUpMode::Closed => Err(auth::Error::SignUpClosed.into()),
        }
    }
}

/// What finishing a sign-up takes.
struct FinishSignUp {
    /// `None` if it is an address that no user can have.
    email: Option<Email>,
    /// `None` if it is not in the form of a token.
    token: Option<SignUpToken>,
    password: Password,
}

impl FinishSignUp {
    fn read(fields: &Fields, malformed: Malformed) -> Result<Self, Error> {
        let token = fields.text("sign_up_token").map(SignUpToken::parse);
        let email_and_token = both(fields.address(malformed), token);
        let ((email, token), password) = both(email_and_token, fields.parse("password"))?;
        Ok(Self {
            email,
            token,
            password,
        })
    }

    fn email_and_token(&self) -> Result<(&Email, &SignUpToken), auth::Error> {
        let both = self.email.as_ref().zip(self.token.as_ref());
        both.ok_or(auth::Error::BadSignUpToken)
    }
}

pub async fn sign_up(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    match SignUp::read(&fields, state.auth.sign_up_mode())? {
        SignUp::AtOnce { email, password } => {
            let registered = state.auth.register_user(&email, &password, source).await;
            registered.map_err(Error::of_new_password("password"))?;
            Ok(user_created(&email))
        }
        SignUp::ByToken { email, password } => {
            let asked = state
                .auth
                .ask_for_sign_up(&email, password.as_ref(), language, source);
            let asked = asked.await.map_err(Error::of_new_password("password"))?;
            Ok(Json(match asked {
                SignUpAsked::Token(token) => json!({
                    "email": email.as_str(),
                    "sign_up_token": token.reveal(),
                }),
                SignUpAsked::ByMail => json!({
                    "email": email.as_str(),
                    "message": "a link to finish is on its way",
                }),
            }))
        }
    }
}

pub async fn finish_sign_up(
    State(state): State<Arc<AppState>>,
    source: Source,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    state.auth.ensure_sign_up_is_open()?;
    let request = FinishSignUp::read(&fields, Malformed::IsUnknown)?;
    let (email, token) = request.email_and_token()?;
    let finished = state
        .auth
        .finish_sign_up(email, token, &request.password, source);
    finished.await.map_err(Error::of_new_password("password"))?;
    Ok(user_created(email))
}

fn user_created(email: &Email) -> Json {
    Json(json!({
        "email": email.as_str(),
        "message": "user created",
    }))
}

/// The form, or what stands behind a link in a mail: following it, as mail scanners do, uses nothing up. A
/// link that no longer works says so at once.
///
/// Who is logged in and follows no link sees who they are instead.
pub async fn sign_up_page(
    State(state): State<Arc<AppState>>,
    view: View,
    user: Option<CurrentUser>,
    query: Query,
) -> Result<Response, FormRefusal> {
    state.auth.ensure_sign_up_is_open()?;
    if let (Some(email), Some(token)) = (query.text("email"), query.text("sign_up_token")) {
        let checked = match (email.parse(), SignUpToken::parse(token)) {
            (Ok(email), Some(token)) => state.auth.check_sign_up_token(&email, &token).await,
            _ => Err(auth::Error::BadSignUpToken),
        };
        return match checked {
            Ok(()) => Ok(finish_page(&view, &state, email, token, None).into_response()),
            Err(error) => Err(FormRefusal::new(error.into(), &view, |messages| {
                let (email, next) = (query.email(), ReturnPath::home());
                page(&view, &state, &email, &next, Some(messages)).holding_token()
            })),
        };
    }
    if user.is_some() {
        return Ok(see_other("/").into_response());
    }
    Ok(match query.text("link") {
        Some("sent") => sent_page(&view, &query.email()),
        _ => page(&view, &state, "", &query.next(), None),
    }
    .into_response())
}

/// People who sign up at once are logged in by it.
pub async fn sign_up_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    client: Option<ClientName>,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Result<Response, FormRefusal> {
    state.auth.ensure_sign_up_is_open()?;
    let next = ReturnPath::parse(&fields.shown("next"));
    let signed_up = async {
        match SignUp::read(&fields, state.auth.sign_up_mode())? {
            SignUp::AtOnce { email, password } => {
                let replaced = replaced.map(|session| session.0);
                let registered = state
                    .auth
                    .register_and_log_in(&email, &password, replaced, client, source);
                let session = registered
                    .await
                    .map_err(Error::of_new_password("password"))?;
                Ok(match session {
                    Some(session) => logged_in(&state, &session, &next),
                    None => see_other(&next.after("/sessions")).into_response(),
                })
            }
            SignUp::ByToken { email, password } => {
                let (language, password) = (view.language(), password.as_ref());
                let asked = state
                    .auth
                    .ask_for_sign_up(&email, password, language, source);
                let asked = asked.await.map_err(Error::of_new_password("password"))?;
                Ok(led_on(&email, &asked))
            }
        }
    };
    signed_up.await.map_err(|error| {
        let email = fields.shown("email");
        FormRefusal::new(error, &view, |messages| {
            page(&view, &state, &email, &next, Some(messages))
        })
    })
}

/// What a person sees first who has signed up by a link: the apps, if there are any, to one of which they may
/// have been on the way. The link does not say to which, since its reader need not be who asked for it.
fn after_sign_up(state: &AppState) -> ReturnPath {
    if state.auth.apps().is_empty() {
        ReturnPath::home()
    } else {
        ReturnPath::parse("/profile")
    }
}

/// People are logged in by finishing.
pub async fn finish_sign_up_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    client: Option<ClientName>,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Result<Response, FormRefusal> {
    state.auth.ensure_sign_up_is_open()?;
    let finished = async {
        let request = FinishSignUp::read(&fields, Malformed::IsRefused)?;
        let (email, token) = request.email_and_token()?;
        let replaced = replaced.map(|session| session.0);
        let password = &request.password;
        let finished = state
            .auth
            .finish_sign_up_and_log_in(email, token, password, replaced, client, source);
        let session = finished.await.map_err(Error::of_new_password("password"))?;
        Ok(match session {
            Some(session) => logged_in(&state, &session, &after_sign_up(&state)),
            None => see_other_with("/sessions", [("email", email.as_str())]).into_response(),
        })
    };
    finished.await.map_err(|error| {
        let email = fields.shown("email");
        // With a token that is not valid, or for an address that has an account, no other password helps.
        let is_over = matches!(
            error,
            Error::Auth(auth::Error::BadSignUpToken | auth::Error::EmailTaken)
        );
        FormRefusal::new(error, &view, |messages| {
            if is_over {
                page(&view, &state, &email, &ReturnPath::home(), Some(messages))
            } else {
                let token = fields.shown("sign_up_token");
                finish_page(&view, &state, &email, &token, Some(messages))
            }
        })
    })
}

fn logged_in(state: &AppState, session_id: &SessionId, next: &ReturnPath) -> Response {
    let session = sessions::set_session(state.settings.session_cookie, session_id, None);
    (session, see_other(next.as_str())).into_response()
}

/// Where a person goes on from the form that asks for a token.
fn led_on(email: &Email, asked: &SignUpAsked) -> Response {
    let email = ("email", email.as_str());
    match asked {
        SignUpAsked::Token(token) => {
            let token = token.reveal();
            see_other_with("/users", [email, ("sign_up_token", &token)]).into_response()
        }
        SignUpAsked::ByMail => see_other_with("/users", [("link", "sent"), email]).into_response(),
    }
}

fn page(
    view: &View,
    state: &AppState,
    email: &str,
    next: &ReturnPath,
    messages: Option<&Messages>,
) -> Page {
    let is_at_once = state.auth.sign_up_mode() == SignUpMode::Unverified;
    let mut fields = vec![Field::email(email)];
    if is_at_once {
        let least = state.min_password_characters();
        fields.push(Field::new_password(view, "password", PASSWORD, least));
    }
    let form = Form {
        action: "/users",
        hidden: &sessions::hidden_next(next),
        fields: &fields,
        has_focus: false,
        button: Button::Primary(if is_at_once { SIGN_UP } else { CONTINUE }),
    };
    let content = html! {
        @if !is_at_once {
            p { (view.text(ASK_TEXT)) }
        }
        (form.markup(view, messages))
        (links(view, &[(&next.after("/sessions"), TO_LOG_IN)]))
    };
    titled(view, TITLE, messages, &content)
}

/// What follows where the token goes by mail. The same for every address, with an account or without.
fn sent_page(view: &View, email: &str) -> Page {
    let email = if email.is_empty() {
        view.text(THE_ADDRESS)
    } else {
        email
    };
    let told = view.text(LENGTH_OF_TIME);
    let (lifetime, pause) = (told(SIGN_UP_TOKEN_LIFETIME), told(MAIL_PAUSE));
    let content = html! {
        p { (view.text(SENT_TEXT)(email, &lifetime, &pause)) }
        (links(view, &[("/sessions", TO_LOG_IN)]))
    };
    titled(view, SENT_TITLE, None, &content)
}

/// What stands behind the link.
fn finish_page(
    view: &View,
    state: &AppState,
    email: &str,
    token: &str,
    messages: Option<&Messages>,
) -> Page {
    let least = state.min_password_characters();
    let form = Form {
        action: "/users",
        hidden: &[("_method", "PUT"), ("sign_up_token", token)],
        fields: &[
            // Shown, so that people and password managers know whose password it will be.
            Field::fixed_email(email),
            Field::new_password(view, "password", PASSWORD, least),
        ],
        has_focus: false,
        button: Button::Primary(CREATE),
    };
    let content = html! {
        p { (view.text(FINISH_TEXT)) }
        (form.markup(view, messages))
    };
    titled(view, FINISH_TITLE, messages, &content).holding_token()
}
