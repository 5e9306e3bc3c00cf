//! The query of a page's address.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use url::form_urlencoded;

use crate::app::pages::ReturnPath;
use crate::email::Email;

/// The names and texts of a query. It decides what a page shows, never what is done.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// A text; `None` if it is not there, or more than once.
    pub fn text(&self, name: &str) -> Option<&str> {
        let mut texts = self.0.iter().filter(|(other, _)| other == name);
        match (texts.next(), texts.next()) {
            (Some((_, text)), None) => Some(text),
            _ => None,
        }
    }

    /// The address in `email` to fill in; empty for a text that is none.
    pub fn email(&self) -> String {
        let email: Option<Email> = self.text("email").and_then(|text| text.parse().ok());
        email.map_or_else(String::new, |email| email.to_string())
    }

    /// Where to go on to after logging in.
    pub fn next(&self) -> ReturnPath {
        self.text("next")
            .map_or_else(ReturnPath::home, ReturnPath::parse)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes()).into_owned();
        Ok(Self(pairs.collect()))
    }
}
