//! Whether a script of another origin sends a request, one that may use the service.

use std::convert::Infallible;

use axum::extract::{OptionalFromRequestParts, Request};
use axum::http::header::ORIGIN;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::app::settings::AllowedOrigin;

/// Browsers set it themselves, on what they send over TLS and to this machine, and no page can.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The same holds for it.
pub const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Marks a request that a script of another origin sends, which `--allow-origin` names.
///
/// It gets JSON, which its script can read, and may do what the pages of the service may. A form of such an
/// origin is not meant, nor what is sent without asking to read the answer: those need no script, so that
/// who can put no more than markup into a page of it can do nothing here.
#[derive(Clone, Copy, Debug)]
pub struct OtherOrigin {
    /// Whether the browser takes it for another site than the service, and so keeps cookies for it only
    /// if they are meant for that.
    pub is_other_site: bool,
}

/// The mark for a request; `None` for one that is not sent in this way.
pub fn of(request: &Request, allowed: &[AllowedOrigin]) -> Option<OtherOrigin> {
    if allowed.is_empty() {
        return None;
    }
    let headers = request.headers();
    let origin = one_value(headers, &ORIGIN).ok()??;
    let mode = one_value(headers, &SEC_FETCH_MODE).ok()?;
    let site = one_value(headers, &SEC_FETCH_SITE).ok()?;
    let is_named = allowed.iter().any(|allowed| allowed.is(origin));
    let is_meant = is_named && mode.is_none_or(|mode| mode == "cors");
    is_meant.then(|| OtherOrigin {
        is_other_site: site.is_some_and(|site| site == "cross-site"),
    })
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for OtherOrigin {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().copied())
    }
}

/// A header field is given more than once.
pub struct Several;

/// The value of a header field that may be given once.
pub fn one_value<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Several> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Several),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(fields: &[(&HeaderName, &str)]) -> Option<bool> {
        let allowed = ["https://app.example.org", "http://localhost:5173"];
        let allowed = allowed.map(|origin| origin.parse().unwrap());
        let mut request = Request::default();
        for (name, value) in fields {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        of(&request, &allowed).map(|origin| origin.is_other_site)
    }

    #[test]
    fn scripts_of_the_origins_are_meant_and_nothing_else() {
        let (app, mode, site) = ("https://app.example.org", &SEC_FETCH_MODE, &SEC_FETCH_SITE);
        let origin = (&ORIGIN, app);
        for (fields, expected) in [
            (&[origin][..], Some(false)),
            (&[(&ORIGIN, "http://localhost:5173")], Some(false)),
            (&[origin, (mode, "cors")], Some(false)),
            (&[origin, (mode, "cors"), (site, "same-site")], Some(false)),
            (&[origin, (mode, "cors"), (site, "cross-site")], Some(true)),
            (&[origin, (site, "cross-site")], Some(true)),
            (&[], None),
            (&[(mode, "cors"), (site, "same-site")], None),
            (&[(&ORIGIN, "null")], None),
            (&[(&ORIGIN, "https://evil.example")], None),
            (&[origin, origin], None),
            (&[origin, (&ORIGIN, "https://evil.example")], None),
            (&[origin, (mode, "navigate")], None),
            (&[origin, (mode, "no-cors")], None),
            (&[origin, (mode, "same-origin")], None),
            (&[origin, (mode, "cors"), (mode, "cors")], None),
            (&[origin, (site, "same-site"), (site, "same-site")], None),
        ] {
            assert_eq!(mark(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn none_is_meant_where_none_is_named() {
        let mut request = Request::default();
        let origin = HeaderValue::from_static("https://app.example.org");
        request.headers_mut().append(ORIGIN, origin);
        assert!(of(&request, &[]).is_none());
    }
}
