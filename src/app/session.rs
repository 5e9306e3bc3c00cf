//! The session of a request: out of the cookie, into the cookie.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::COOKIE;
use axum::http::request::Parts;

use super::error::Error;
use crate::auth::{self, Auth};
use crate::token::SessionId;
use crate::user::User;

const NAME: &str = "session_id";

/// Not readable by scripts, not sent along when other sites post here, for every path.
const ATTRIBUTES: &str = "Path=/; HttpOnly; SameSite=Lax";

/// The value of `Set-Cookie` that hands over a session. It lasts as long as the browser runs; when
/// the session itself ends is decided here.
pub(super) fn set_cookie(session_id: &SessionId) -> String {
    format!("{NAME}={}; {ATTRIBUTES}", session_id.reveal())
}

/// The value of `Set-Cookie` that makes a client forget its session.
pub(super) fn clear_cookie() -> String {
    format!("{NAME}=; {ATTRIBUTES}; Max-Age=0")
}

/// The session id that a request presents; `None` for none, for two, and for what is none of ours.
///
/// Names are compared byte by byte. Cookie libraries trim them, of more kinds of white space than
/// browsers do, and what they trim is a way around the rules for names (`__Host-`).
fn presented(headers: &HeaderMap) -> Option<SessionId> {
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
        .filter_map(|pair| {
            let pair = pair.strip_prefix(b" ").unwrap_or(pair);
            pair.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")
        });
    match (values.next(), values.next()) {
        (Some(value), None) => SessionId::parse(std::str::from_utf8(value).ok()?),
        _ => None,
    }
}

/// The session id of a request, good or not.
pub(super) struct PresentedSession(pub(super) SessionId);

impl<S: Send + Sync> FromRequestParts<S> for PresentedSession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let session_id = presented(&parts.headers).ok_or(auth::Error::NoSession)?;
        Ok(Self(session_id))
    }
}

/// The user whose session a request presents. As an argument of a handler it means: only when
/// logged in.
pub(super) struct CurrentUser(pub(super) User);

impl FromRequestParts<Arc<Auth>> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, auth: &Arc<Auth>) -> Result<Self, Error> {
        let PresentedSession(session_id) =
            PresentedSession::from_request_parts(parts, auth).await?;
        Ok(Self(auth.get_user_from_session_id(&session_id).await?))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const UUID: &str = "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44";

    fn is_presented_by(cookies: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        presented(&headers).is_some()
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        let session = format!("session_id={UUID}");
        for cookies in [
            vec![session.as_bytes()],
            vec![format!("a=b; {session}; c").as_bytes()],
            vec![format!("a=b;{session}").as_bytes()],
            vec![b"a=b".as_slice(), session.as_bytes()],
            vec![format!("theme=\u{E9}; {session}").as_bytes()],
        ] {
            assert!(is_presented_by(&cookies));
        }
    }

    #[test]
    fn nothing_but_the_exact_name_with_one_id_is_a_session() {
        let session = format!("session_id={UUID}");
        for cookies in [
            vec![],
            vec!["session_id=".to_owned()],
            vec!["session_id".to_owned()],
            vec![format!("session_id=\"{UUID}\"")],
            vec![format!("session_id={UUID} ")],
            vec![format!("session_id = {UUID}")],
            vec![format!("session_id ={UUID}")],
            vec![format!("  session_id={UUID}")],
            vec![format!("\tsession_id={UUID}")],
            vec![format!("\u{2000}session_id={UUID}")],
            vec![format!("Session_Id={UUID}")],
            vec![format!("xsession_id={UUID}")],
            vec![format!("a=session_id={UUID}")],
            vec![format!("{session}; {session}")],
            vec![session.clone(), session.clone()],
            vec![format!("session_id=; {session}")],
            vec![format!("session_id={}", "x".repeat(5000))],
        ] {
            let bytes: Vec<_> = cookies.iter().map(String::as_bytes).collect();
            assert!(!is_presented_by(&bytes), "{cookies:?}");
        }
    }
}
