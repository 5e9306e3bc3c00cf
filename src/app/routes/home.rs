//! `/`: what this is, and for people who they are.

use axum::response::IntoResponse;
use maud::html;
use serde_json::json;

use super::{profile, sessions};
use crate::app::pages::form::{links, titled};
use crate::app::pages::{Page, View};
use crate::app::request::session::CurrentUser;
use crate::app::response::Json;
use crate::email::Email;
use crate::language::{Text, text};

const TITLE: Text = text("Welcome", "Bonjour");
/// Stands before the address.
const LOGGED_IN_AS: Text = text("You are logged in as", "Vous êtes connecté avec l’adresse");

pub async fn greet() -> impl IntoResponse {
    Json(json!({ "message": "Bienvenue" }))
}

pub async fn home_page(view: View, user: Option<CurrentUser>) -> Page {
    match user {
        Some(CurrentUser(user)) => who_you_are(&view, &user.email),
        None => titled(
            &view,
            TITLE,
            None,
            &sessions::Form::default().markup(&view, None),
        ),
    }
}

/// The page of those who are logged in.
fn who_you_are(view: &View, email: &Email) -> Page {
    let content = html! {
        p { (view.text(LOGGED_IN_AS)) " " strong { (email.as_str()) } }
        (sessions::log_out_button(view))
        (links(view, &[("/profile", profile::TITLE)]))
    };
    titled(view, TITLE, None, &content)
}
