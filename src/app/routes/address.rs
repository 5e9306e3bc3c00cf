//! `/profile/email`: giving one's account another address, by a link that goes to that.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::json;

use super::password::TO_PROFILE;
use super::sessions::{self, presented, to_log_in};
use crate::app::error::Error;
use crate::app::pages::form::{Button, EMAIL, Field, Form, NEW_EMAIL, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, ReturnPath, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::fields::Fields;
use crate::app::request::query::Query;
use crate::app::request::session::{CurrentUser, PresentedSession};
use crate::app::response::{Json, see_other, see_other_with};
use crate::app::settings::SessionCookie;
use crate::app::state::AppState;
use crate::auth::{
    self, AddressChangeAsked, AddressChanged, ChangeAddress, EMAIL_TOKEN_LIFETIME, MAIL_PAUSE,
    PendingAddress,
};
use crate::client::ClientName;
use crate::email::Email;
use crate::language::{LENGTH_OF_TIME, Language, Text, Translated, text};
use crate::source::Source;
use crate::token::{EmailToken, SessionId};
use crate::user::SessionUser;

pub const PATH: &str = "/profile/email";

pub const TITLE: Text = text("Change your email address", "Changer d’adresse e‑mail");
const ASK_TEXT: Text = text(
    "A link goes to the new address. Your address stays the same until you open it.",
    "Un lien part vers la nouvelle adresse. La vôtre ne change que quand vous l’ouvrez.",
);
const ASK_TEXT_WITHOUT_MAIL: Text = text(
    "You confirm the new address on the next page. Your address stays the same until then.",
    "Vous confirmez la nouvelle adresse à la page suivante. La vôtre ne change pas avant.",
);
const CONTINUE: Text = text("Continue", "Continuer");
/// The address to be, how long a link is valid, and how soon another can be asked for.
const PENDING_MAIL: Translated<fn(&str, &str, &str) -> String> = Translated {
    en: |email, lifetime, pause| {
        format!(
            "An email is on its way to {email}: open the link in it, in a browser in which you are logged in, \
             to change your address. It works once, for {lifetime}. Nothing there? Look in your spam folder. \
             You can ask for another link in {pause}."
        )
    },
    fr: |email, lifetime, pause| {
        format!(
            "Un e‑mail est en route vers {email}\u{A0}: ouvrez le lien qu’il contient, dans un navigateur où \
             vous êtes connecté, pour changer d’adresse. Il sert une seule fois, pendant {lifetime}. Rien \
             reçu\u{202F}? Regardez parmi les indésirables. Vous pourrez demander un autre lien dans {pause}."
        )
    },
};
const PENDING: Translated<fn(&str) -> String> = Translated {
    en: |email| format!("You have asked for the address {email} and not confirmed it yet."),
    fr: |email| format!("Vous avez demandé l’adresse {email} et ne l’avez pas encore confirmée."),
};
const CALL_OFF: Text = text("Call the change off", "Annuler le changement");
const LOG_IN_AGAIN: Text = text(
    "Log in again to ask for another address",
    "Connectez‑vous de nouveau pour demander une autre adresse",
);
const CONFIRM_TITLE: Text = text(
    "Confirm your new address",
    "Confirmez votre nouvelle adresse",
);
const CONFIRM_TEXT: Text = text(
    "You will log in with the new address. You stay logged in here, and are logged out everywhere else.",
    "Vous vous connecterez avec la nouvelle adresse. Vous restez connecté ici et serez déconnecté partout \
     ailleurs.",
);
const CONFIRM: Text = text("Change my address", "Changer mon adresse");

/// What confirming a new address takes, and who asks for it.
struct Confirmation<'a> {
    state: &'a AppState,
    session_id: &'a SessionId,
    language: Language,
    client: Option<ClientName>,
    source: Source,
}

impl Confirmation<'_> {
    /// Changes the address.
    async fn change(self, fields: &Fields) -> Result<AddressChanged, Error> {
        let token = EmailToken::parse(fields.text("email_token")?);
        let change = ChangeAddress {
            session_id: self.session_id,
            token: token.as_ref().ok_or(auth::Error::BadEmailToken)?,
            language: self.language,
            client: self.client,
        };
        Ok(self.state.auth.change_address(change, self.source).await?)
    }
}

pub async fn ask(
    State(state): State<Arc<AppState>>,
    language: Language,
    source: Source,
    CurrentUser(_): CurrentUser,
    PresentedSession(session_id): PresentedSession,
    fields: Fields,
) -> Result<impl IntoResponse, Error> {
    let email: Email = fields.parse("email")?;
    let asked = state
        .auth
        .ask_for_address_change(&session_id, &email, language, source);
    Ok(Json(match asked.await? {
        AddressChangeAsked::Token(token) => json!({
            "email": email.as_str(),
            "email_token": token.reveal(),
        }),
        AddressChangeAsked::ByMail => json!({
            "email": email.as_str(),
            "message": "a link is on its way",
        }),
    }))
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
    let confirmation = Confirmation {
        state: &state,
        session_id: &session_id,
        language,
        client,
        source,
    };
    let changed = confirmation.change(&fields).await?;
    let mut body = json!({
        "email": changed.email.as_str(),
        "message": "address changed",
    });
    if let Some(token) = changed.undo_token {
        body["undo_token"] = token.reveal().into();
    }
    let kept_for = sessions::kept_for(&state, &fields);
    Ok((
        sessions::set_session(cookie, &changed.session_id, kept_for),
        Json(body),
    ))
}

pub async fn call_off(
    State(state): State<Arc<AppState>>,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse, Error> {
    state.auth.call_off_address_change(&session_id).await?;
    Ok(Json(json!({ "message": "address change called off" })))
}

/// The form, or what stands behind a link in a mail: following it, as mail scanners do, uses nothing up. A link
/// that does not work says so at once. Who logged in too long ago to ask for a change sees one that is under
/// way.
pub async fn address_page(
    State(state): State<Arc<AppState>>,
    view: View,
    session: Option<PresentedSession>,
    query: Query,
) -> Response {
    let token = query.text("email_token");
    let path = match token {
        Some(token) => path_of_token(token),
        None => PATH.to_owned(),
    };
    let (user, session_id) = match presented(&state, session).await {
        Ok(presented) => presented,
        Err(error) => return to_log_in(error, &view, &path),
    };
    let Some(token) = token else {
        return match shown(&state, &user).await {
            Ok(shown) if shown.is_empty() => to_log_in(auth::Error::NotFresh, &view, PATH),
            Ok(shown) => page(&view, &user, &shown, "", None).into_response(),
            Err(error) => to_log_in(error, &view, PATH),
        };
    };
    let parsed = EmailToken::parse(token);
    match state
        .auth
        .check_email_token(&session_id, parsed.as_ref())
        .await
    {
        Ok((user, email)) => confirm_page(&view, &user.email, &email, token).into_response(),
        Err(error @ auth::Error::BadEmailToken) => match shown(&state, &user).await {
            Ok(shown) => FormRefusal::new(error.into(), &view, |messages| {
                page(&view, &user, &shown, "", Some(messages)).holding_token()
            })
            .into_response(),
            Err(error) => to_log_in(error, &view, &path),
        },
        Err(error) => to_log_in(error, &view, &path),
    }
}

pub async fn ask_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    session: Option<PresentedSession>,
    fields: Fields,
) -> Response {
    let (user, session_id) = match presented(&state, session).await {
        Ok(presented) => presented,
        Err(error) => return to_log_in(error, &view, PATH),
    };
    let asked = async {
        let email: Email = fields.parse("email")?;
        let (auth, language) = (&state.auth, view.language());
        let asked = auth.ask_for_address_change(&session_id, &email, language, source);
        Ok(asked.await?)
    };
    match asked.await {
        Ok(AddressChangeAsked::ByMail) => see_other(PATH).into_response(),
        Ok(AddressChangeAsked::Token(token)) => {
            see_other(&path_of_token(&token.reveal())).into_response()
        }
        Err(Error::Auth(error @ (auth::Error::NoSession | auth::Error::NotFresh))) => {
            to_log_in(error, &view, PATH)
        }
        Err(error) => refusal(&state, &view, &user, &fields.shown("email"), error).await,
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
    let path = path_of_token(&fields.shown("email_token"));
    let (user, session_id) = match presented(&state, session).await {
        Ok(presented) => presented,
        Err(error) => return to_log_in(error, &view, &path),
    };
    let confirmation = Confirmation {
        state: &state,
        session_id: &session_id,
        language: view.language(),
        client,
        source,
    };
    match confirmation.change(&fields).await {
        Ok(AddressChanged { session_id, .. }) => {
            let kept_for = sessions::kept_for(&state, &fields);
            let session = sessions::set_session(cookie, &session_id, kept_for);
            let next = see_other_with("/profile", [("address", "changed")]);
            (session, next).into_response()
        }
        Err(Error::Auth(error @ auth::Error::NoSession)) => to_log_in(error, &view, &path),
        Err(error) => refusal(&state, &view, &user, "", error).await,
    }
}

pub async fn call_off_form(
    State(state): State<Arc<AppState>>,
    view: View,
    session: Option<PresentedSession>,
) -> Response {
    let called_off = async {
        let (_, session_id) = presented(&state, session).await?;
        state.auth.call_off_address_change(&session_id).await
    };
    match called_off.await {
        Ok(()) => see_other_with("/profile", [("address", "called_off")]).into_response(),
        Err(error) => to_log_in(error, &view, PATH),
    }
}

/// The path behind the link with a token.
fn path_of_token(token: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("email_token", token)
        .finish();
    format!("{PATH}?{query}")
}

/// What a user is shown of a change of their address.
struct Shown {
    /// The one that is under way.
    pending: Option<PendingAddress>,
    /// Whether they have logged in lately enough to ask for another.
    is_fresh: bool,
    /// Whether the link goes to the new address by mail.
    is_by_mail: bool,
}

impl Shown {
    fn is_empty(&self) -> bool {
        self.pending.is_none() && !self.is_fresh
    }
}

async fn shown(state: &AppState, user: &SessionUser) -> Result<Shown, auth::Error> {
    Ok(Shown {
        pending: state.auth.get_pending_address(user).await?,
        is_fresh: state.auth.is_fresh(user),
        is_by_mail: state.auth.sends_mails(),
    })
}

/// The refusal of a form, on the page to ask for a change.
async fn refusal(
    state: &AppState,
    view: &View,
    user: &SessionUser,
    email: &str,
    error: Error,
) -> Response {
    let shown = match shown(state, user).await {
        Ok(shown) => shown,
        Err(error) => return to_log_in(error, view, PATH),
    };
    let refusal = FormRefusal::new(error, view, |messages| {
        page(view, user, &shown, email, Some(messages))
    });
    refusal.into_response()
}

fn page(
    view: &View,
    user: &SessionUser,
    shown: &Shown,
    email: &str,
    messages: Option<&Messages>,
) -> Page {
    let ask = Form {
        action: PATH,
        hidden: &[],
        fields: &[Field::new_email(email)],
        has_focus: false,
        button: Button::Primary(CONTINUE),
    };
    let again = ReturnPath::parse(PATH).after("/sessions");
    let content = html! {
        dl {
            dt { (view.text(EMAIL)) }
            dd { (user.email.as_str()) }
        }
        @if let Some(pending) = &shown.pending {
            (pending_change(view, pending))
        }
        @if shown.is_fresh {
            p { (view.text(if shown.is_by_mail { ASK_TEXT } else { ASK_TEXT_WITHOUT_MAIL })) }
            (ask.markup(view, messages))
            (links(view, &[("/profile", TO_PROFILE)]))
        } @else {
            // There is no field beside which it could stand.
            @if let Some(problem) = messages.and_then(|messages| messages.about("email")) {
                p.problem.notice role="alert" { (problem) }
            }
            (links(view, &[(&again, LOG_IN_AGAIN), ("/profile", TO_PROFILE)]))
        }
    };
    titled(view, TITLE, messages, &content)
}

/// The change that is under way, and how to call it off.
fn pending_change(view: &View, pending: &PendingAddress) -> Markup {
    let email = pending.email.as_str();
    let told = view.text(LENGTH_OF_TIME);
    let text = if pending.is_mailed {
        let (lifetime, pause) = (told(EMAIL_TOKEN_LIFETIME), told(MAIL_PAUSE));
        view.text(PENDING_MAIL)(email, &lifetime, &pause)
    } else {
        view.text(PENDING)(email)
    };
    let call_off = Form {
        action: PATH,
        hidden: &[("_method", "DELETE")],
        fields: &[],
        has_focus: false,
        button: Button::Secondary(CALL_OFF),
    };
    html! {
        p.notice role="status" { (text) }
        (call_off.markup(view, None))
    }
}

/// What stands behind the link.
fn confirm_page(view: &View, email: &Email, new_email: &Email, token: &str) -> Page {
    let form = Form {
        action: PATH,
        hidden: &[("_method", "PUT"), ("email_token", token)],
        fields: &[sessions::remember_box(false)],
        has_focus: false,
        button: Button::Primary(CONFIRM),
    };
    let content = html! {
        dl {
            dt { (view.text(EMAIL)) }
            dd { (email.as_str()) }
            dt { (view.text(NEW_EMAIL)) }
            dd { (new_email.as_str()) }
        }
        p { (view.text(CONFIRM_TEXT)) }
        (form.markup(view, None))
        (links(view, &[("/profile", TO_PROFILE)]))
    };
    titled(view, CONFIRM_TITLE, None, &content).holding_token()
}
