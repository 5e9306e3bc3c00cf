//! `/sessions`, `/sessions/{id}`, `/sessions/others`: the sessions of who is logged in, and ending them.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::password::{self, TO_PROFILE};
use super::sessions::{self, presented, to_log_in};
use crate::app::error::Error;
use crate::app::pages::form::{Button, Form, done, links, titled};
use crate::app::pages::messages::Messages;
use crate::app::pages::{Page, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::query::Query;
use crate::app::request::session::{CurrentUser, PresentedSession};
use crate::app::response::{Json, see_other_with};
use crate::app::settings::SessionCookie;
use crate::app::state::AppState;
use crate::auth::{self, ListedSession};
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::language::{Text, Translated, text};
use crate::rfc3339;
use crate::source::Source;
use crate::token::ListedSessionId;

pub const PATH: &str = "/sessions";
pub const TITLE: Text = text("Where you are logged in", "Où vous êtes connecté");
const ABOUT: Text = text(
    "These browsers and programs can use your account. If you do not recognise one, end its session \
     and change your password.",
    "Ces navigateurs et programmes peuvent utiliser votre compte. Si l’un d’eux vous est inconnu, \
     terminez sa session et changez de mot de passe.",
);
const THIS_ONE: Text = text("This session", "Cette session");
const ON: Translated<fn(&str, &str) -> String> = Translated {
    en: |program, system| format!("{program} on {system}"),
    fr: |program, system| format!("{program} sur {system}"),
};
const UNKNOWN_CLIENT: Text = text("Unknown program", "Programme inconnu");
/// Stands before how long ago it was.
const LOGGED_IN: Text = text("Logged in", "Connexion");
/// Stands before how long ago it was.
const LAST_USED: Text = text("Last used", "Dernière utilisation");
const FROM: Translated<fn(Source) -> String> = Translated {
    en: |source| format!("From {source}"),
    fr: |source| format!("Depuis {source}"),
};
/// How long ago, in whole minutes, hours or days, rounded down.
const AGO: Translated<fn(Duration) -> String> = Translated {
    en: |time| match in_largest_unit(time, ["minute", "hour", "day"]) {
        Some(time) => format!("{time} ago"),
        None => "just now".to_owned(),
    },
    fr: |time| match in_largest_unit(time, ["minute", "heure", "jour"]) {
        Some(time) => format!("il y a {time}"),
        None => "à l’instant".to_owned(),
    },
};
const END: Text = text("End session", "Terminer la session");
const END_OTHERS: Text = text(
    "End all other sessions",
    "Terminer toutes les autres sessions",
);
const ENDED: Text = text("The session has ended.", "La session est terminée.");
const NONE_ENDED: Text = text(
    "You can end sessions now. None has ended yet.",
    "Vous pouvez maintenant terminer des sessions. Aucune n’est encore terminée.",
);
/// Where who must log in again to end a session chooses it once more: what they had chosen is not kept.
const NONE_ENDED_PATH: &str = "/sessions?ended=none";
const OTHERS_ENDED: Text = text(
    "All other sessions have ended.",
    "Toutes les autres sessions sont terminées.",
);

pub async fn sessions(
    State(state): State<Arc<AppState>>,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse, Error> {
    let sessions = state.auth.list_sessions(&session_id).await?;
    let sessions: Vec<Value> = sessions.iter().map(described).collect();
    Ok(Json(json!({ "sessions": sessions })))
}

fn described(session: &ListedSession) -> Value {
    json!({
        "id": session.id.to_string(),
        "current": session.is_current,
        "client": session.client.as_ref().map(ClientName::as_str),
        "source": session.source.map(|source| source.to_string()),
        "begun": rfc3339::write(session.began_at),
        "seen": rfc3339::write(session.last_seen_at),
    })
}

pub async fn end(
    State(state): State<Arc<AppState>>,
    source: Source,
    cookie: SessionCookie,
    PresentedSession(session_id): PresentedSession,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Error> {
    let id = ListedSessionId::parse(&id);
    let is_current = state.auth.end_session(&session_id, id, source).await?;
    let cleared = is_current.then(|| sessions::clear_session(cookie, &state.settings));
    Ok((cleared, Json(json!({ "message": "session ended" }))))
}

pub async fn end_others(
    State(state): State<Arc<AppState>>,
    source: Source,
    PresentedSession(session_id): PresentedSession,
) -> Result<impl IntoResponse, Error> {
    let ended = state.auth.end_other_sessions(&session_id, source).await?;
    Ok(Json(json!({
        "message": "other sessions ended",
        "ended": ended,
    })))
}

/// The page to log in on, for who is not logged in or is to go on to another page; else the list.
pub async fn sessions_page(
    State(state): State<Arc<AppState>>,
    view: View,
    user: Option<CurrentUser>,
    session: Option<PresentedSession>,
    query: Query,
) -> Response {
    let user = user.map(|user| user.0);
    let (Some(PresentedSession(session_id)), Some(_), None) = (session, &user, query.text("next"))
    else {
        return sessions::log_in_page(&view, user.as_ref(), &query).into_response();
    };
    let notice = match query.text("ended") {
        Some("session") => Some(ENDED),
        Some("others") => Some(OTHERS_ENDED),
        Some("none") => Some(NONE_ENDED),
        _ => None,
    };
    match state.auth.list_sessions(&session_id).await {
        Ok(sessions) => page(&view, state.auth.now(), &sessions, notice, None).into_response(),
        Err(error) => to_log_in(error, &view, PATH),
    }
}

pub async fn end_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    cookie: SessionCookie,
    session: Option<PresentedSession>,
    Path(id): Path<String>,
) -> Response {
    let (_, session_id) = match presented(&state, session).await {
        Ok(presented) => presented,
        Err(error) => return to_log_in(error, &view, NONE_ENDED_PATH),
    };
    let id = ListedSessionId::parse(&id);
    match state.auth.end_session(&session_id, id, source).await {
        Ok(is_current) => {
            let cleared = is_current.then(|| sessions::clear_session(cookie, &state.settings));
            let next = see_other_with(PATH, [("ended", "session")]);
            (cleared, next).into_response()
        }
        Err(error @ auth::Error::UnknownSession) => {
            match state.auth.list_sessions(&session_id).await {
                Ok(sessions) => FormRefusal::new(error.into(), &view, |messages| {
                    page(&view, state.auth.now(), &sessions, None, Some(messages))
                })
                .into_response(),
                Err(error) => to_log_in(error, &view, NONE_ENDED_PATH),
            }
        }
        Err(error) => to_log_in(error, &view, NONE_ENDED_PATH),
    }
}

pub async fn end_others_form(
    State(state): State<Arc<AppState>>,
    view: View,
    source: Source,
    session: Option<PresentedSession>,
) -> Response {
    let ended = async {
        let (_, session_id) = presented(&state, session).await?;
        state.auth.end_other_sessions(&session_id, source).await
    };
    match ended.await {
        Ok(_) => see_other_with(PATH, [("ended", "others")]).into_response(),
        Err(error) => to_log_in(error, &view, NONE_ENDED_PATH),
    }
}

fn page(
    view: &View,
    now: UnixTime,
    sessions: &[ListedSession],
    notice: Option<Text>,
    messages: Option<&Messages>,
) -> Page {
    let others = Form {
        action: "/sessions/others",
        hidden: &[("_method", "DELETE")],
        fields: &[],
        has_focus: false,
        button: Button::Secondary(END_OTHERS),
    };
    let content = html! {
        @if let Some(notice) = notice {
            (done(view, notice))
        }
        p { (view.text(ABOUT)) }
        ul.sessions {
            @for session in sessions {
                li { (item(view, now, session)) }
            }
        }
        @if sessions.len() > 1 {
            (others.markup(view, None))
        }
        (links(view, &[
            (password::PATH, password::TITLE),
            ("/profile", TO_PROFILE),
        ]))
    };
    titled(view, TITLE, messages, &content)
}

/// A session, with what ends it unless it is the one that asks.
fn item(view: &View, now: UnixTime, session: &ListedSession) -> Markup {
    let client = session.client.as_ref().map(ClientName::program_and_system);
    let client = match client {
        Some((program, Some(system))) => view.text(ON)(program, system),
        Some((program, None)) => program.to_owned(),
        None => view.text(UNKNOWN_CLIENT).to_owned(),
    };
    let heading = format!("session-{}", session.id);
    let ago = |time: UnixTime| {
        let seconds = u64::try_from(now.0 - time.0).unwrap_or_default();
        html! {
            time datetime=(rfc3339::write(time)) { (view.text(AGO)(Duration::from_secs(seconds))) }
        }
    };
    html! {
        h2 #(heading) { (client) }
        @if session.is_current {
            p.current { (view.text(THIS_ONE)) }
        }
        p {
            (view.text(LOGGED_IN)) " " (ago(session.began_at))
            @if !session.is_current {
                br; (view.text(LAST_USED)) " " (ago(session.last_seen_at))
            }
            @if let Some(source) = session.source {
                br; (view.text(FROM)(source))
            }
        }
        @if !session.is_current {
            form method="post" action=(format!("/sessions/{}", session.id)) {
                input type="hidden" name="_method" value="DELETE";
                button.secondary aria-describedby=(heading) { (view.text(END)) }
            }
        }
    }
}

/// A time such as `3 days`; `None` for less than a minute.
fn in_largest_unit(time: Duration, [minute, hour, day]: [&str; 3]) -> Option<String> {
    let minutes = time.as_secs() / 60;
    let (number, unit) = match minutes {
        0 => return None,
        1..60 => (minutes, minute),
        60..1440 => (minutes / 60, hour),
        _ => (minutes / 1440, day),
    };
    let plural = if number == 1 { "" } else { "s" };
    Some(format!("{number} {unit}{plural}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn how_long_ago_it_was_is_told_in_whole_minutes_hours_or_days() {
        for (seconds, en, fr) in [
            (0, "just now", "à l’instant"),
            (59, "just now", "à l’instant"),
            (60, "1 minute ago", "il y a 1 minute"),
            (3599, "59 minutes ago", "il y a 59 minutes"),
            (2 * 3600 + 1800, "2 hours ago", "il y a 2 heures"),
            (24 * 3600, "1 day ago", "il y a 1 jour"),
            (30 * 24 * 3600, "30 days ago", "il y a 30 jours"),
        ] {
            let time = Duration::from_secs(seconds);
            let told = Language::ALL.map(|language| AGO.in_language(language)(time));
            assert_eq!(told, [en, fr]);
        }
    }
}
