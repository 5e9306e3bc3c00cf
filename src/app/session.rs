//! The session of a request: out of the cookie, into the cookie.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::IntoResponseParts;

use super::Edge;
use super::error::Error;
use crate::auth;
use crate::token::SessionId;
use crate::user::SessionUser;

/// Under which name, and on which terms, browsers keep a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionCookie {
    /// `session_id`, over plain HTTP too.
    #[default]
    Plain,
    /// `__Host-session_id`, over TLS only. No other host and no plain page can set a cookie of this
    /// name (RFC 6265bis, 4.1.3.2), so none can slip its own session under a user.
    HostOnly,
}

impl SessionCookie {
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "session_id",
            Self::HostOnly => "__Host-session_id",
        }
    }

    /// Not readable by scripts, not sent along when other sites post here, for every path.
    fn attributes(self) -> &'static str {
        match self {
            Self::Plain => "Path=/; HttpOnly; SameSite=Lax",
            Self::HostOnly => "Path=/; Secure; HttpOnly; SameSite=Lax",
        }
    }

    /// The value of `Set-Cookie` that hands over a session. It lasts as long as the browser runs;
    /// when the session itself ends is decided here.
    pub(super) fn set(self, session_id: &SessionId) -> String {
        format!(
            "{}={}; {}",
            self.name(),
            session_id.reveal(),
            self.attributes()
        )
    }

    /// The value of `Set-Cookie` that makes a client forget its session.
    fn clear(self) -> String {
        format!("{}=; {}; Max-Age=0", self.name(), self.attributes())
    }

    /// The session id that a request presents; `None` for none, for two, and for what is none of
    /// ours.
    ///
    /// Names are compared byte by byte. Cookie libraries trim them, of more kinds of white space
    /// than browsers do, and what they trim is a way around the rules for names (`__Host-`).
    fn presented(self, headers: &HeaderMap) -> Option<SessionId> {
        let mut values = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
            .filter_map(|pair| {
                let pair = pair.strip_prefix(b" ").unwrap_or(pair);
                pair.strip_prefix(self.name().as_bytes())?
                    .strip_prefix(b"=")
            });
        match (values.next(), values.next()) {
            (Some(value), None) => SessionId::parse(std::str::from_utf8(value).ok()?),
            _ => None,
        }
    }
}

/// Browsers obey it over TLS only.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// What has been stored for our origin goes with the session (OWASP ASVS 14.3.1). The pages store
/// nothing, but whatever else is served under the same name may. Not `"cookies"`: that would delete
/// those of every host of the registered domain. Not `"cache"`: all that is about a user is
/// `no-store`, and emptying the cache has taken Chrome seconds.
const STORAGE: HeaderValue = HeaderValue::from_static("\"storage\"");

/// The header fields by which a client forgets a session that has ended.
pub(super) fn forget_session(edge: &Edge) -> impl IntoResponseParts + use<> {
    let settings = &edge.settings;
    (
        [(SET_COOKIE, settings.session_cookie.clear())],
        settings
            .is_over_tls()
            .then_some([(CLEAR_SITE_DATA, STORAGE)]),
    )
}

/// The session id of a request, good or not.
pub(super) struct PresentedSession(pub(super) SessionId);

impl FromRequestParts<Arc<Edge>> for PresentedSession {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, edge: &Arc<Edge>) -> Result<Self, Error> {
        let presented = edge.settings.session_cookie.presented(&parts.headers);
        Ok(Self(presented.ok_or(auth::Error::NoSession)?))
    }
}

/// `None` where there is none to be taken for one of ours.
impl OptionalFromRequestParts<Arc<Edge>> for PresentedSession {
    type Rejection = Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        edge: &Arc<Edge>,
    ) -> Result<Option<Self>, Infallible> {
        let presented = edge.settings.session_cookie.presented(&parts.headers);
        Ok(presented.map(Self))
    }
}

/// The user whose session a request presents. As an argument of a handler it means: only when
/// logged in.
pub(super) struct CurrentUser(pub(super) SessionUser);

impl FromRequestParts<Arc<Edge>> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, edge: &Arc<Edge>) -> Result<Self, Error> {
        let PresentedSession(session_id) =
            <PresentedSession as FromRequestParts<_>>::from_request_parts(parts, edge).await?;
        Ok(Self(edge.auth.get_user_from_session_id(&session_id).await?))
    }
}

/// `None` for whoever is not logged in.
impl OptionalFromRequestParts<Arc<Edge>> for CurrentUser {
    type Rejection = Error;

    async fn from_request_parts(
        parts: &mut Parts,
        edge: &Arc<Edge>,
    ) -> Result<Option<Self>, Error> {
        match <Self as FromRequestParts<_>>::from_request_parts(parts, edge).await {
            Ok(user) => Ok(Some(user)),
            Err(Error::Auth(auth::Error::NoSession)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const UUID: &str = "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44";

    fn is_presented_by(kind: SessionCookie, cookies: &[&[u8]]) -> bool {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        kind.presented(&headers).is_some()
    }

    const KINDS: [SessionCookie; 2] = [SessionCookie::Plain, SessionCookie::HostOnly];

    #[test]
    fn the_session_is_found_among_other_cookies() {
        for kind in KINDS {
            let session = format!("{}={UUID}", kind.name());
            for cookies in [
                vec![session.as_bytes()],
                vec![format!("a=b; {session}; c").as_bytes()],
                vec![format!("a=b;{session}").as_bytes()],
                vec![b"a=b".as_slice(), session.as_bytes()],
                vec![format!("theme=\u{E9}; {session}").as_bytes()],
            ] {
                assert!(is_presented_by(kind, &cookies));
            }
        }
    }

    #[test]
    fn nothing_but_the_exact_name_with_one_id_is_a_session() {
        for kind in KINDS {
            let name = kind.name();
            let session = format!("{name}={UUID}");
            for cookies in [
                vec![],
                vec![format!("{name}=")],
                vec![name.to_owned()],
                vec![format!("{name}=\"{UUID}\"")],
                vec![format!("{name}={UUID} ")],
                vec![format!("{name} = {UUID}")],
                vec![format!("{name} ={UUID}")],
                vec![format!("  {name}={UUID}")],
                vec![format!("\t{name}={UUID}")],
                vec![format!("\u{2000}{name}={UUID}")],
                vec![format!("{}={UUID}", name.to_uppercase())],
                vec![format!("x{name}={UUID}")],
                vec![format!("a={name}={UUID}")],
                vec![format!("{session}; {session}")],
                vec![session.clone(), session.clone()],
                vec![format!("{name}=; {session}")],
                vec![format!("{name}={}", "x".repeat(5000))],
            ] {
                let bytes: Vec<_> = cookies.iter().map(String::as_bytes).collect();
                assert!(!is_presented_by(kind, &bytes), "{cookies:?}");
            }
        }
    }

    #[test]
    fn each_kind_of_cookie_is_nothing_to_the_other() {
        for (kind, other) in [(KINDS[0], KINDS[1]), (KINDS[1], KINDS[0])] {
            let session = format!("{}={UUID}", kind.name());
            assert!(!is_presented_by(other, &[session.as_bytes()]));
        }
    }
}
