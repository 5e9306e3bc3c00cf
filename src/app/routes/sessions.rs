//! `/sessions`: logging in and out. What else one can do with sessions is in `session_list`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, IntoResponseParts, Response};
use maud::{Markup, html};
use serde_json::json;

use crate::app::error::{Error, both};
use crate::app::pages::form::{self, Button, Field, done, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, ReturnPath, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::fields::{Fields, Malformed};
use crate::app::request::other_origin::OtherOrigin;
use crate::app::request::query::Query;
use crate::app::request::session::{CurrentUser, PresentedSession};
use crate::app::response::{Json, see_other};
use crate::app::settings::{SessionCookie, Settings};
use crate::app::state::AppState;
use crate::auth;
use crate::client::ClientName;
use crate::email::Email;
use crate::language::{Language, Text, text};
use crate::password::Password;
use crate::source::Source;
use crate::token::SessionId;
use crate::user::{SessionUser, User};

const LOG_IN: Text = text("Log in", "Se connecter");
const TITLE: Text = text("Log in", "Connexion");
const TO_SIGN_UP: Text = text(
    "No account yet? Sign up",
    "Pas encore de compte\u{202F}? Créez‑en un",
);
const TO_RESET: Text = text("Forgot your password?", "Mot de passe oublié\u{202F}?");
const LOG_OUT: Text = text("Log out", "Se déconnecter");
const REMEMBER: Text = text("Stay logged in", "Rester connecté");
const LOG_IN_FIRST: Text = text("Log in to continue.", "Connectez‑vous pour continuer.");
const LOG_IN_TO_CONFIRM: Text = text(
    "Log in to continue, with the address that you had so far: the new one is not the address of your account \
     yet.",
    "Connectez‑vous pour continuer, avec l’adresse que vous aviez jusqu’ici\u{A0}: la nouvelle n’est pas encore \
     celle de votre compte.",
);
const LOG_IN_AGAIN: Text = text(
    "Enter your password again to continue.",
    "Saisissez de nouveau votre mot de passe pour continuer.",
);
const ACCOUNT_DELETED: Text = text(
    "Your account has been deleted.",
    "Votre compte a été supprimé.",
);
const ADDRESS_TAKEN_BACK: Text = text(
    "Your account has this address again, with the password that you have just chosen in place of the one \
     before. All devices have been logged out. Log in with the new password.",
    "Votre compte a de nouveau cette adresse, avec le mot de passe que vous venez de choisir à la place du \
     précédent. Tous les appareils ont été déconnectés. Connectez‑vous avec le nouveau mot de passe.",
);
const PASSWORD_UPDATED: Text = text(
    "Your password has been changed. Log in with the new one.",
    "Votre mot de passe a été changé. Connectez‑vous avec le nouveau.",
);

/// What logging in takes.
struct LogIn {
    /// `None` if it is an address that no user can have.
    email: Option<Email>,
    password: Password,
}

impl LogIn {
    fn read(fields: &Fields, malformed: Malformed) -> Result<Self, Error> {
        let (email, password) = both(fields.address(malformed), fields.parse("password"))?;
        Ok(Self { email, password })
    }

    /// Begins a session in place of the one that is presented.
    async fn begin_session(
        self,
        state: &AppState,
        language: Language,
        client: Option<ClientName>,
        source: Source,
        replaced: Option<SessionId>,
    ) -> Result<(User, SessionId), auth::Error> {
        let log_in = auth::LogIn {
            email: self.email.as_ref(),
            password: &self.password,
            replaced,
            client,
            language,
        };
        state.auth.log_in(log_in, source).await
    }
}

/// A ticked box is sent as `on`, one that is not ticked is not sent.
pub fn is_remembered(fields: &Fields) -> bool {
    fields.text("remember") == Ok("on")
}

/// How long a browser is to keep the session that these fields ask for.
pub fn kept_for(state: &AppState, fields: &Fields) -> Option<Duration> {
    is_remembered(fields).then(|| state.auth.lifetimes().session)
}

/// The box that asks to keep the session when the browser is closed.
pub fn remember_box<'a>(is_remembered: bool) -> Field<'a> {
    Field::checkbox("remember", REMEMBER, is_remembered)
}

pub async fn log_in(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    client: Option<ClientName>,
    cookie: SessionCookie,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let log_in = LogIn::read(&fields, Malformed::IsUnknown)?;
    let replaced = replaced.map(|session| session.0);
    let begun = log_in.begin_session(&state, language, client, source, replaced);
    let (user, session_id) = begun.await?;
    Ok((
        set_session(cookie, &session_id, kept_for(&state, &fields)),
        Json(json!({
            "email": user.email.as_str(),
            "message": "logged in",
        })),
    ))
}

/// One reply for two kinds of client: those that follow the redirect to the home page, and those
/// that read the body. A script of another origin can do neither (Fetch, "HTTP-redirect fetch": it would
/// send the home page a `DELETE`), and gets the body alone.
pub async fn log_out(
    State(state): State<Arc<AppState>>,
    source: Source,
    other_origin: Option<OtherOrigin>,
    cookie: SessionCookie,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse, Error> {
    state.auth.destroy_session(&session_id, source).await?;
    let cleared = clear_session(cookie, &state.settings);
    let body = Json(json!({ "message": "logged out" }));
    Ok(match other_origin {
        None => (StatusCode::FOUND, [(LOCATION, "/")], cleared, body).into_response(),
        Some(_) => (cleared, body).into_response(),
    })
}

/// The page to log in on; for who is logged in, to prove again who they are.
pub fn log_in_page(view: &View, user: Option<&SessionUser>, query: &Query) -> Page {
    let form = Form {
        email: user.map_or_else(|| query.email(), |user| user.email.to_string()),
        is_again: user.is_some(),
        next: query.next(),
        is_remembered: false,
    };
    let notice = if form.is_again {
        Some(Notice::LogInAgain)
    } else if query.text("password") == Some("updated") {
        Some(Notice::PasswordUpdated)
    } else if query.text("address") == Some("taken_back") {
        Some(Notice::AddressTakenBack)
    } else if query.text("account") == Some("deleted") {
        Some(Notice::AccountDeleted)
    } else {
        None
    };
    form.page(view, notice, None)
}

pub async fn log_in_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    client: Option<ClientName>,
    cookie: SessionCookie,
    replaced: Option<PresentedSession>,
    fields: Fields,
) -> Result<impl IntoResponse, FormRefusal> {
    let mut form = Form {
        email: fields.shown("email"),
        is_again: false,
        next: ReturnPath::parse(&fields.shown("next")),
        is_remembered: is_remembered(&fields),
    };
    let replaced = replaced.map(|session| session.0);
    let begun = async {
        let log_in = LogIn::read(&fields, Malformed::IsRefused)?;
        let language = view.language();
        let begun = log_in.begin_session(&state, language, client, source, replaced.clone());
        Ok(begun.await?)
    };
    let session_id = match begun.await {
        Ok((_, session_id)) => session_id,
        Err(error) => {
            if let Some(session_id) = &replaced {
                let user = state.auth.get_user_from_session_id(session_id).await;
                form.is_again = user.is_ok_and(|user| user.email.as_str() == form.email);
            }
            return Err(FormRefusal::new(error, &view, |messages| {
                form.page(&view, None, Some(messages))
            }));
        }
    };
    Ok((
        set_session(cookie, &session_id, kept_for(&state, &fields)),
        see_other(form.next.as_str()),
    ))
}

pub async fn log_out_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    cookie: SessionCookie,
    presented: Option<PresentedSession>,
) -> Result<impl IntoResponse, FormRefusal> {
    let ended = async {
        let PresentedSession(session_id) = presented.ok_or(auth::Error::NoSession)?;
        state.auth.destroy_session(&session_id, source).await
    };
    let log_in_first = |error: auth::Error| log_in_first(error.into(), &view, ReturnPath::home());
    ended.await.map_err(log_in_first)?;
    Ok((clear_session(cookie, &state.settings), see_other("/")))
}

/// Gives a client its session. A browser keeps it for this long, `None` for as long as it runs; when
/// the session itself ends is decided by `Auth`.
pub fn set_session(
    cookie: SessionCookie,
    session_id: &SessionId,
    kept_for: Option<Duration>,
) -> impl IntoResponseParts + use<> {
    [(SET_COOKIE, cookie.set(session_id, kept_for))]
}

/// Browsers obey it over TLS only.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What has been stored for this origin goes with the session (OWASP ASVS 14.3.1). The pages store
/// nothing, but what else is served under the same name may. Not `"cookies"`: that deletes those of
/// every host of the registered domain. Not `"cache"`: all that is about a user is `no-store`, and
/// clearing the cache has taken Chrome seconds.
const STORAGE: HeaderValue = HeaderValue::from_static("\"storage\"");

/// Makes a client forget a session that has ended.
pub fn clear_session(cookie: SessionCookie, settings: &Settings) -> impl IntoResponseParts + use<> {
    (
        [(SET_COOKIE, cookie.clear())],
        settings
            .is_over_tls()
            .then_some([(CLEAR_SITE_DATA, STORAGE)]),
    )
}

/// What was typed into the log-in form, but for the password.
#[derive(Default)]
pub struct Form {
    email: String,
    /// Whether it is the address of who is logged in, who proves again who they are.
    is_again: bool,
    next: ReturnPath,
    is_remembered: bool,
}

/// What the log-in page says before anything is wrong.
#[derive(Clone, Copy)]
enum Notice {
    LogInFirst,
    LogInAgain,
    PasswordUpdated,
    AddressTakenBack,
    AccountDeleted,
}

impl Form {
    /// The form, and links to what else one may want.
    pub fn markup(&self, view: &View, messages: Option<&Messages>) -> Markup {
        self.with_focus(view, false, messages)
    }

    fn with_focus(&self, view: &View, has_focus: bool, messages: Option<&Messages>) -> Markup {
        let form = form::Form {
            action: "/sessions",
            hidden: &hidden_next(&self.next),
            fields: &[
                if self.is_again {
                    Field::fixed_email(&self.email)
                } else {
                    Field::email(&self.email)
                },
                Field::password(),
                remember_box(self.is_remembered),
            ],
            has_focus,
            button: Button::Primary(LOG_IN),
        };
        let sign_up = self.next.after("/users");
        let mut others = vec![("/reset_password", TO_RESET)];
        if view.offers_sign_up() && !self.is_again {
            others.push((&sign_up, TO_SIGN_UP));
        }
        html! {
            (form.markup(view, messages))
            (links(view, &others))
        }
    }

    /// What it takes to go on. The only link with a token that takes a session is the one that confirms a new
    /// address.
    fn log_in_first(&self) -> Text {
        if self.next.holds_token() {
            LOG_IN_TO_CONFIRM
        } else {
            LOG_IN_FIRST
        }
    }

    fn page(&self, view: &View, notice: Option<Notice>, messages: Option<&Messages>) -> Page {
        let content = html! {
            @match notice {
                Some(Notice::LogInFirst) => p.notice role="status" { (view.text(self.log_in_first())) },
                Some(Notice::LogInAgain) => p.notice role="status" { (view.text(LOG_IN_AGAIN)) },
                Some(Notice::PasswordUpdated) => (done(view, PASSWORD_UPDATED)),
                Some(Notice::AddressTakenBack) => (done(view, ADDRESS_TAKEN_BACK)),
                Some(Notice::AccountDeleted) => (done(view, ACCOUNT_DELETED)),
                None => {},
            }
            (self.with_focus(view, notice.is_some(), messages))
        };
        titled(view, TITLE, messages, &content)
    }
}

/// The hidden field that says where to go on to.
pub fn hidden_next(next: &ReturnPath) -> Vec<(&str, &str)> {
    if next.is_home() {
        Vec::new()
    } else {
        vec![("next", next.as_str())]
    }
}

pub fn log_out_button(view: &View) -> Markup {
    let form = form::Form {
        action: "/sessions",
        hidden: &[("_method", "DELETE")],
        fields: &[],
        has_focus: false,
        button: Button::Secondary(LOG_OUT),
    };
    form.markup(view, None)
}

/// The user of a page that is for users only. Others are shown the log-in form, and go on from there
/// to what they asked for.
pub struct LoggedIn(pub SessionUser);

impl FromRequestParts<Arc<AppState>> for LoggedIn {
    type Rejection = FormRefusal;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &Arc<AppState>,
    ) -> Result<Self, FormRefusal> {
        let user = <CurrentUser as FromRequestParts<_>>::from_request_parts(parts, state).await;
        match (user, View::of(&parts.extensions)) {
            (Ok(CurrentUser(user)), _) => Ok(Self(user)),
            (Err(error @ Error::Auth(auth::Error::NoSession)), Some(view)) => {
                Err(log_in_first(error, view, asked_for(parts)))
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

/// The session that a person presents and its user, if they are logged in.
pub async fn presented(
    state: &AppState,
    session: Option<PresentedSession>,
) -> Result<(SessionUser, SessionId), auth::Error> {
    let PresentedSession(session_id) = session.ok_or(auth::Error::NoSession)?;
    let user = state.auth.get_user_from_session_id(&session_id).await?;
    Ok((user, session_id))
}

/// What a person gets who must log in to go on to this path: the form. Who must log in again is led to it.
/// Every other refusal is the page of its own.
pub fn to_log_in(error: auth::Error, view: &View, next: &str) -> Response {
    let next = ReturnPath::parse(next);
    match error {
        auth::Error::NoSession => log_in_first(error.into(), view, next).into_response(),
        auth::Error::NotFresh => see_other(&next.after("/sessions")).into_response(),
        error => FormRefusal::from(error).into_response(),
    }
}

fn log_in_first(error: Error, view: &View, next: ReturnPath) -> FormRefusal {
    let form = Form {
        next,
        ..Form::default()
    };
    FormRefusal::new(error, view, |_| {
        let page = form.page(view, Some(Notice::LogInFirst), None);
        if form.next.holds_token() {
            page.holding_token()
        } else {
            page
        }
    })
}

fn asked_for(parts: &Parts) -> ReturnPath {
    match (&parts.method, parts.uri.path_and_query()) {
        // Both, since they must be answered alike.
        (&Method::GET | &Method::HEAD, Some(path)) => ReturnPath::parse(path.as_str()),
        _ => ReturnPath::home(),
    }
}
