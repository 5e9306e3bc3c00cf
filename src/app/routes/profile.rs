//! `/profile`: whose session it is, and for people what they can do with their account.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use maud::html;
use serde_json::json;

use super::sessions::{self, LoggedIn};
use super::{account, address, password, session_list};
use crate::app::pages::form::{EMAIL, done, links, titled};
use crate::app::pages::{Page, TO_HOME, View};
use crate::app::refusal::FormRefusal;
use crate::app::request::query::Query;
use crate::app::request::session::CurrentUser;
use crate::app::response::Json;
use crate::app::state::AppState;
use crate::language::{Text, text};

pub const TITLE: Text = text("Your account", "Votre compte");
const PASSWORD_UPDATED: Text = text(
    "Your password has been changed. You are logged out everywhere else.",
    "Votre mot de passe a été changé. Vous êtes déconnecté partout ailleurs.",
);
const APPS: Text = text("Your apps", "Vos applications");

const ADDRESS_CHANGED: Text = text(
    "Your email address has been changed. You are logged out everywhere else.",
    "Votre adresse e‑mail a été changée. Vous êtes déconnecté partout ailleurs.",
);
const CALLED_OFF: Text = text(
    "The change of your email address has been called off.",
    "Le changement de votre adresse e‑mail a été annulé.",
);

pub async fn profile(CurrentUser(user): CurrentUser) -> impl IntoResponse {
    Json(json!({ "email": user.email.as_str() }))
}

pub async fn profile_page(
    State(state): State<Arc<AppState>>,
    view: View,
    LoggedIn(user): LoggedIn,
    query: Query,
) -> Result<Page, FormRefusal> {
    let apps = state.auth.apps_of(&user).await?;
    let content = html! {
        @if query.text("password") == Some("updated") {
            (done(&view, PASSWORD_UPDATED))
        }
        @match query.text("address") {
            Some("changed") => (done(&view, ADDRESS_CHANGED)),
            Some("called_off") => (done(&view, CALLED_OFF)),
            _ => {},
        }
        dl {
            dt { (view.text(EMAIL)) }
            dd { (user.email.as_str()) }
        }
        @if !apps.is_empty() {
            h2 #apps { (view.text(APPS)) }
            ul.apps aria-labelledby="apps" {
                @for host in apps {
                    li { a href=(state.auth.apps().origin(host)) { (host) } }
                }
            }
        }
        // One for each thing that can be changed.
        (links(&view, &[
            (address::PATH, address::TITLE),
            (password::PATH, password::TITLE),
            (session_list::PATH, session_list::TITLE),
            (account::DELETE_PATH, account::DELETE_TITLE),
        ]))
        (sessions::log_out_button(&view))
        (links(&view, &[("/", TO_HOME)]))
    };
    Ok(titled(&view, TITLE, None, &content))
}
