//! `/`: what this is, and for people who they are.

use axum::response::IntoResponse;
use serde_json::json;

use super::sessions;
use crate::app::pages::form::titled;
use crate::app::pages::{Page, View};
use crate::app::request::session::CurrentUser;
use crate::app::response::Json;

pub async fn greet() -> impl IntoResponse {
    Json(json!({ "message": "Bienvenue" }))
}

pub async fn home_page(view: View, user: Option<CurrentUser>) -> Page {
    match user {
        Some(CurrentUser(user)) => sessions::who_you_are(&view, &user.email),
        None => titled(
            &view,
            sessions::WELCOME,
            None,
            &sessions::Form::default().markup(&view, None),
        ),
    }
}
