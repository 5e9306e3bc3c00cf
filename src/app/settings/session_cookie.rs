//! The cookies that hold a session id, and for apps on other hosts what takes its place there.

use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::COOKIE;

use crate::token::{App, AppLogin, Session, Token};

/// Under which names, and on which terms, browsers keep a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionCookie {
    /// `session_id`, over plain HTTP too.
    #[default]
    Plain,
    /// `__Host-session_id`, over TLS only. No other host and no plain page can set a cookie of this
    /// name (RFC 6265bis, 4.1.3.2), so none can slip its own session under a user.
    HostOnly,
    /// The same for the pages of another site, in the place of [`Self::HostOnly`], where that would not be
    /// kept. Browsers send it for pages of that site alone (CHIPS), those of the service have another.
    Partitioned,
}

/// What is kept in a cookie of its own.
pub trait Kept {
    /// The name of the cookie, over plain HTTP too.
    const PLAIN: &str;
    /// Its name over TLS only.
    const HOST_ONLY: &str;
}

impl Kept for Session {
    const PLAIN: &str = "session_id";
    const HOST_ONLY: &str = "__Host-session_id";
}

impl Kept for App {
    const PLAIN: &str = "bienvenue_app";
    const HOST_ONLY: &str = "__Host-bienvenue_app";
}

impl Kept for AppLogin {
    const PLAIN: &str = "bienvenue_login";
    const HOST_ONLY: &str = "__Host-bienvenue_login";
}

impl SessionCookie {
    /// What a browser keeps for the pages of another site; nothing over plain HTTP.
    pub fn for_other_site(self) -> Self {
        match self {
            Self::Plain => Self::Plain,
            Self::HostOnly | Self::Partitioned => Self::Partitioned,
        }
    }

    fn name<Kind: Kept>(self) -> &'static str {
        match self {
            Self::Plain => Kind::PLAIN,
            Self::HostOnly | Self::Partitioned => Kind::HOST_ONLY,
        }
    }

    /// Not readable by scripts, not sent along when other sites post here, for every path. One that other
    /// sites send along, since theirs is one of the allowed origins, is theirs alone, and what others post
    /// is refused (`middleware/cross_site`).
    fn attributes(self) -> &'static str {
        match self {
            Self::Plain => "Path=/; HttpOnly; SameSite=Lax",
            Self::HostOnly => "Path=/; Secure; HttpOnly; SameSite=Lax",
            Self::Partitioned => "Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
        }
    }

    /// The value of `Set-Cookie` that gives a browser a token, to be kept for this long; `None` for
    /// as long as the browser runs.
    pub fn set<Kind: Kept>(self, token: &Token<Kind>, kept_for: Option<Duration>) -> String {
        let (name, attributes) = (self.name::<Kind>(), self.attributes());
        let session = format!("{name}={}; {attributes}", token.reveal());
        match kept_for {
            Some(time) => format!("{session}; Max-Age={}", time.as_secs()),
            None => session,
        }
    }

    /// The value of `Set-Cookie` that makes a client forget its session.
    pub fn clear(self) -> String {
        let (name, attributes) = (self.name::<Session>(), self.attributes());
        format!("{name}=; {attributes}; Max-Age=0")
    }

    /// The token of this kind that a request presents; `None` for none, for two, and for what is none of
    /// ours.
    ///
    /// Names are compared byte by byte. Cookie libraries trim them, of more kinds of white space
    /// than browsers do, and what they trim is a way around the rules for names (`__Host-`).
    pub fn presented<Kind: Kept>(self, headers: &HeaderMap) -> Option<Token<Kind>> {
        let mut values = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
            .filter_map(|pair| {
                let pair = pair.strip_prefix(b" ").unwrap_or(pair);
                pair.strip_prefix(self.name::<Kind>().as_bytes())?
                    .strip_prefix(b"=")
            });
        match (values.next(), values.next()) {
            (Some(value), None) => Token::parse(std::str::from_utf8(value).ok()?),
            _ => None,
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
        kind.presented::<Session>(&headers).is_some()
    }

    const KINDS: [SessionCookie; 2] = [SessionCookie::Plain, SessionCookie::HostOnly];

    #[test]
    fn the_session_is_found_among_other_cookies() {
        for kind in KINDS {
            let session = format!("{}={UUID}", kind.name::<Session>());
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
            let name = kind.name::<Session>();
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
            let session = format!("{}={UUID}", kind.name::<Session>());
            assert!(!is_presented_by(other, &[session.as_bytes()]));
        }
    }
}
