//! What a request is sent by.

use std::convert::Infallible;

use axum::extract::OptionalFromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use crate::client::ClientName;

/// `None` if there is no `User-Agent`, several, or none that begins with the name of a program.
impl<S: Send + Sync> OptionalFromRequestParts<S> for ClientName {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        let mut headers = parts.headers.get_all(USER_AGENT).iter();
        let (Some(header), None) = (headers.next(), headers.next()) else {
            return Ok(None);
        };
        let user_agent = String::from_utf8_lossy(header.as_bytes());
        Ok(Self::of_user_agent(&user_agent))
    }
}
