//! Requests that a page of another site makes its reader's browser send (CWE-352).

use axum::extract::Request;
use axum::http::Method;
use axum::http::header::ORIGIN;

use crate::app::error::Error;
use crate::app::request::host::Authority;
use crate::app::request::other_origin::{OtherOrigin, SEC_FETCH_SITE, Several, one_value};
use crate::public_url::PublicUrl;

/// A scheme, a host and a port, as in `Origin: https://auth.example.org`.
#[derive(Clone, Copy)]
struct Origin<'a> {
    is_https: bool,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    /// `None` for `null` and for whatever else is not one origin (RFC 6454, 7).
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_https = match scheme {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        Some(Self {
            is_https,
            authority: Authority::parse(authority)?,
        })
    }

    fn equals(self, other: Self) -> bool {
        let default_port = if self.is_https { 443 } else { 80 };
        self.is_https == other.is_https && self.authority.equals(other.authority, default_port)
    }
}

/// Refuses what a page of another site may have sent.
///
/// | method | `Sec-Fetch-Site` | `Origin` | |
/// |---|---|---|---|
/// | `GET`, `HEAD`, `OPTIONS` | | | passes: they change nothing |
/// | others | | one that is [allowed](OtherOrigin), by a script | passes |
/// | | `same-origin`, `none` | | passes: a page of ours, or no page |
/// | | anything else, or several | | refused |
/// | | none | none | passes: no browser, so no cookies are used without their owner's knowledge |
/// | | none | ours | passes |
/// | | none | anything else, or several | refused |
///
/// These are the steps of Go's `http.CrossOriginProtection` with one exception, the origins that
/// `--allow-origin` names, and no path left out (CVE-2025-47910). Stricter than there, our origin is the public
/// URL's, with its scheme. Without one it is that of `Host`, over plain HTTP, and only if `Host` is an
/// address or this machine: a foreign name can be made to lead here (DNS rebinding), and then its
/// pages are of the same origin as we seem to be.
///
/// Where both fields are given, `Origin` has no say. No page can forge either, and a browser that
/// says `same-origin` may well add `Origin: null`: it does so for the forms of a page whose referrer
/// policy is `no-referrer`.
///
/// # Errors
///
/// [`Error::CrossSite`].
pub fn check(
    request: &Request,
    host: Option<Authority<'_>>,
    public_url: Option<&PublicUrl>,
) -> Result<(), Error> {
    if is_allowed(request, host, public_url) {
        Ok(())
    } else {
        Err(Error::CrossSite)
    }
}

fn is_allowed(
    request: &Request,
    host: Option<Authority<'_>>,
    public_url: Option<&PublicUrl>,
) -> bool {
    if matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    ) {
        return true;
    }
    if request.extensions().get::<OtherOrigin>().is_some() {
        return true;
    }
    match one_value(request.headers(), &SEC_FETCH_SITE) {
        Ok(Some(site)) => return site == "same-origin" || site == "none",
        Err(Several) => return false,
        Ok(None) => {}
    }
    let origin = match one_value(request.headers(), &ORIGIN) {
        Ok(Some(origin)) => origin.to_str().ok().and_then(Origin::parse),
        Err(Several) => return false,
        Ok(None) => return true,
    };
    let Some(origin) = origin else {
        return false;
    };
    if let Some(public_url) = public_url {
        let ours = public_url.origin();
        return Origin::parse(&ours).is_some_and(|ours| ours.equals(origin));
    }
    host.filter(|host| host.is_fixed())
        .is_some_and(|authority| {
            let ours = Origin {
                is_https: false,
                authority,
            };
            ours.equals(origin)
        })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    const PUBLIC: &str = "https://auth.example.org";

    /// Whether a `POST` with these fields passes.
    fn passes(public_url: Option<&str>, host: &str, fields: &[(&HeaderName, &str)]) -> bool {
        let mut request = Request::default();
        *request.method_mut() = Method::POST;
        for (name, value) in fields {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            request.headers_mut().append(*name, value);
        }
        let public_url = public_url.map(|url| url.parse::<PublicUrl>().unwrap());
        check(&request, Authority::parse(host), public_url.as_ref()).is_ok()
    }

    #[test]
    fn one_origin_is_ours_in_public_whatever_the_host() {
        for (origin, is_ours) in [
            (PUBLIC, true),
            ("https://auth.example.org:443", true),
            ("https://AUTH.example.org", true),
            ("https://auth.example.org:8443", false),
            ("https://auth.example.org:80", false),
            ("http://auth.example.org", false),
            ("http://auth.example.org:443", false),
            ("https://example.org", false),
            ("https://evil.auth.example.org", false),
            ("https://auth.example.org.evil.example", false),
            ("http://127.0.0.1:5000", false),
        ] {
            for host in ["auth.example.org", "127.0.0.1:5000", "evil.example"] {
                let passed = passes(Some(PUBLIC), host, &[(&ORIGIN, origin)]);
                assert_eq!(passed, is_ours, "{origin} {host}");
            }
        }
    }

    #[test]
    fn without_a_public_url_the_origin_must_be_that_of_the_host() {
        for (host, origin, is_ours) in [
            ("127.0.0.1:5000", "http://127.0.0.1:5000", true),
            ("localhost:5000", "http://localhost:5000", true),
            ("LOCALHOST:5000", "http://localhost:5000", true),
            ("[::1]:5000", "http://[::1]:5000", true),
            ("localhost", "http://localhost:80", true),
            ("localhost:80", "http://localhost", true),
            ("localhost:5000", "http://127.0.0.1:5000", false),
            ("localhost:5000", "http://localhost:3000", false),
            ("localhost:5000", "http://localhost", false),
            ("localhost:5000", "https://localhost:5000", false),
            ("localhost:443", "https://localhost", false),
            // A name of the attacker's that leads here.
            ("evil.example:5000", "http://evil.example:5000", false),
        ] {
            let passed = passes(None, host, &[(&ORIGIN, origin)]);
            assert_eq!(passed, is_ours, "{host} {origin}");
        }
    }

    #[test]
    fn what_is_no_origin_is_not_ours() {
        for origin in [
            "",
            "null",
            "auth.example.org",
            "//auth.example.org",
            "https://",
            "https://auth.example.org/",
            "https://me@auth.example.org",
            "https://auth.example.org https://auth.example.org",
            "https://auth.example.org, https://evil.example",
            "ftp://auth.example.org",
            "HTTPS://auth.example.org",
            "\u{FF}",
        ] {
            for public_url in [None, Some(PUBLIC)] {
                let fields = [(&ORIGIN, origin)];
                assert!(!passes(public_url, "localhost", &fields), "{origin:?}");
            }
        }
    }

    #[test]
    fn two_values_are_none_that_counts() {
        for fields in [
            [(&ORIGIN, PUBLIC), (&ORIGIN, PUBLIC)],
            [
                (&SEC_FETCH_SITE, "same-origin"),
                (&SEC_FETCH_SITE, "same-origin"),
            ],
            [(&SEC_FETCH_SITE, "none"), (&SEC_FETCH_SITE, "cross-site")],
        ] {
            assert!(!passes(Some(PUBLIC), "auth.example.org", &fields));
        }
    }
}
