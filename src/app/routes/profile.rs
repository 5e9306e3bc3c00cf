//! `/profile`: whose session it is.

use axum::response::IntoResponse;
use maud::html;
use serde_json::json;

use super::sessions::{self, LoggedIn};
use crate::app::pages::form::{EMAIL, links, titled};
use crate::app::pages::{Page, TO_HOME, View};
use crate::app::request::session::CurrentUser;
use crate::app::response::Json;
use crate::language::{Text, text};

pub const TITLE: Text = text("Your profile", "Votre profil");

pub async fn profile(CurrentUser(user): CurrentUser) -> impl IntoResponse {
    Json(json!({ "email": user.email.as_str() }))
}

pub async fn profile_page(view: View, LoggedIn(user): LoggedIn) -> Page {
    let content = html! {
        dl {
            dt { (view.text(EMAIL)) }
            dd { (user.email.as_str()) }
        }
        (sessions::log_out_button(&view))
        (links(&view, &[("/", TO_HOME)]))
    };
    titled(&view, TITLE, None, &content)
}
