//! Origins of other pages whose scripts may use the service.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer, Vary};
use url::{Host, Url};

use crate::app::response::REQUEST_ID;
use crate::public_url::{PublicUrl, is_this_machine};

/// How long a browser may remember what it may send, which is as long as Chrome does at most.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_hours(2);

/// A scheme, a host and a port, as browsers write them in `Origin` (RFC 6454, 6.2), such as
/// `https://app.example.org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin {
    url: Url,
    header: HeaderValue,
}

/// Why a text is not an [`AllowedOrigin`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAllowedOrigin {
    /// It is no origin of a page on the web.
    #[error("give an origin such as https://app.example.org")]
    Malformed,
    /// It is a pattern.
    #[error(
        "name each origin, such as https://app.example.org: with * other sites act as your users"
    )]
    Pattern,
    /// It is the origin of all pages that have none.
    #[error(
        "null is the origin of every sandboxed page and every local file: name one, such as \
         https://app.example.org"
    )]
    Null,
    /// Its pages are not encrypted, and come from other machines.
    #[error(
        "give an https origin: who is between an http page and its reader can change it, and act as them"
    )]
    Insecure,
    /// It has more than a scheme, a host and a port.
    #[error(
        "give a scheme, a host and a port alone, such as https://app.example.org without a slash at \
         its end"
    )]
    TooMuch,
}

impl AllowedOrigin {
    /// Whether this is what a browser says.
    pub fn is(&self, origin: &HeaderValue) -> bool {
        self.header == origin
    }

    /// Whether these are pages of the service itself.
    pub fn is_of(&self, public_url: &PublicUrl) -> bool {
        public_url.origin() == self.to_string()
    }

    /// Whether its pages come from the machine that reads them.
    pub fn is_local(&self) -> bool {
        self.url.host().is_some_and(|host| is_this_machine(&host))
    }

    /// Whether browsers take its pages for another site than the service, as far as that can be told
    /// without a list of the domains under which anyone can register names.
    pub fn is_other_site_than(&self, public_url: &PublicUrl) -> bool {
        let scheme_differs = (self.url.scheme() == "https") != public_url.is_https();
        let host = self.url.host_str().unwrap_or_default();
        scheme_differs || !may_be_one_site(host, public_url.host())
    }
}

/// Whether two hosts are one, or may be below one domain.
fn may_be_one_site(one: &str, other: &str) -> bool {
    let is_name = |host| matches!(Host::parse(host), Ok(Host::Domain(_)));
    let labels = one.rsplit('.').zip(other.rsplit('.'));
    let shared = labels.take_while(|(one, other)| one == other).count();
    one == other || (is_name(one) && is_name(other) && shared >= 2)
}

/// Lets scripts of these origins read answers, with their users' cookies; `None` if there are none.
///
/// What `Vary` says is not its business: the answer to whom it is not asked about varies too.
pub fn cors_layer(origins: &[AllowedOrigin]) -> Option<CorsLayer> {
    let origins: Vec<_> = origins.iter().map(|origin| origin.header.clone()).collect();
    let layer = CorsLayer::new()
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([CONTENT_TYPE])
        .expose_headers([RETRY_AFTER, REQUEST_ID])
        .max_age(PREFLIGHT_MAX_AGE)
        .vary(Vary::list([]));
    (!origins.is_empty()).then(|| layer.allow_origin(AllowOrigin::list(origins)))
}

impl FromStr for AllowedOrigin {
    type Err = InvalidAllowedOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidAllowedOrigin> {
        if text.contains('*') {
            return Err(InvalidAllowedOrigin::Pattern);
        }
        if text == "null" {
            return Err(InvalidAllowedOrigin::Null);
        }
        let malformed = |_| InvalidAllowedOrigin::Malformed;
        let url: Url = text.parse().map_err(malformed)?;
        let host = url.host().ok_or(InvalidAllowedOrigin::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if is_this_machine(&host) => {}
            "http" => return Err(InvalidAllowedOrigin::Insecure),
            _ => return Err(InvalidAllowedOrigin::Malformed),
        }
        // What is parsed has a slash at its end, whether it was given or not.
        let (_, authority) = text
            .split_once("://")
            .ok_or(InvalidAllowedOrigin::Malformed)?;
        if authority.contains(['/', '\\', '?', '#', '@']) {
            return Err(InvalidAllowedOrigin::TooMuch);
        }
        let header = url.origin().ascii_serialization();
        let header = HeaderValue::try_from(header).map_err(|_| InvalidAllowedOrigin::Malformed)?;
        Ok(Self { url, header })
    }
}

impl fmt::Display for AllowedOrigin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.url.origin().ascii_serialization())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_browsers_send() {
        for (text, origin) in [
            ("https://app.example.org", "https://app.example.org"),
            ("https://app.example.org:443", "https://app.example.org"),
            (
                "https://app.example.org:8443",
                "https://app.example.org:8443",
            ),
            ("HTTPS://APP.Example.org", "https://app.example.org"),
            (
                "https://b\u{FC}cher.example",
                "https://xn--bcher-kva.example",
            ),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://app.localhost:5173", "http://app.localhost:5173"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:5173", "http://[::1]:5173"),
            ("https://192.0.2.1", "https://192.0.2.1"),
        ] {
            let allowed: AllowedOrigin = text.parse().unwrap();
            assert_eq!(allowed.to_string(), origin, "{text}");
            assert!(allowed.is(&origin.parse().unwrap()), "{text}");
        }
        let allowed: AllowedOrigin = "https://app.example.org".parse().unwrap();
        for other in [
            "",
            "null",
            "https://app.example.org:443",
            "https://app.example.org:8443",
            "https://app.example.org.",
            "https://app.example.org/",
            "https://APP.example.org",
            "http://app.example.org",
            "https://example.org",
            "https://evil.app.example.org",
            "https://app.example.org.evil.example",
            "https://app.example.org, https://evil.example",
            "https://app.example.orgx",
        ] {
            assert!(!allowed.is(&other.parse().unwrap()), "{other}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        use InvalidAllowedOrigin::{Insecure, Malformed, Null, Pattern, TooMuch};
        for (text, reason) in [
            ("", Malformed),
            ("app.example.org", Malformed),
            ("localhost:5173", Malformed),
            ("https:app.example.org", Malformed),
            ("https://", Malformed),
            ("https://a b", Malformed),
            ("ftp://app.example.org", Malformed),
            ("capacitor://localhost", Malformed),
            ("file:///app.html", Malformed),
            ("*", Pattern),
            ("https://*", Pattern),
            ("https://*.example.org", Pattern),
            ("null", Null),
            ("http://app.example.org", Insecure),
            ("http://192.168.0.1:5173", Insecure),
            ("http://localhost.example.org", Insecure),
            ("https://app.example.org/", TooMuch),
            ("https://app.example.org/app", TooMuch),
            ("https://app.example.org?", TooMuch),
            ("https://app.example.org#top", TooMuch),
            ("https://me@app.example.org", TooMuch),
            ("https://app.example.org\\", TooMuch),
        ] {
            assert_eq!(text.parse::<AllowedOrigin>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn only_what_is_below_one_domain_and_encrypted_alike_can_be_one_site() {
        for (origin, public_url, is_other) in [
            ("https://app.example.org", "https://auth.example.org", false),
            ("https://example.org", "https://auth.example.org", false),
            (
                "https://a.b.example.org:8443",
                "https://auth.example.org",
                false,
            ),
            (
                "https://auth.example.org:8443",
                "https://auth.example.org",
                false,
            ),
            ("https://app.example.com", "https://auth.example.org", true),
            ("https://org", "https://auth.example.org", true),
            ("http://localhost:5173", "https://auth.example.org", true),
            ("https://192.0.2.1:8443", "https://192.0.2.1", false),
            ("https://192.0.2.1", "https://198.51.2.1", true),
            ("http://localhost:5173", "http://localhost:5000", false),
            ("http://127.0.0.1:5173", "http://localhost:5000", true),
            ("https://localhost:5173", "http://localhost:5000", true),
        ] {
            let origin: AllowedOrigin = origin.parse().unwrap();
            let public_url = public_url.parse().unwrap();
            let told = origin.is_other_site_than(&public_url);
            assert_eq!(told, is_other, "{origin} {public_url}");
        }
    }
}
