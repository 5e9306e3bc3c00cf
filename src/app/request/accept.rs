//! Whether a client prefers pages or JSON, and in which language.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, ACCEPT_LANGUAGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use crate::app::error::Error;
use crate::app::pages::View;
use crate::auth;
use crate::language::Language;

/// Whether `Accept` gives HTML more weight than JSON (RFC 9110, 12.5.1). Browsers name `text/html`;
/// curl's `*/*` and a client that does not say give both the same.
pub fn prefers_html(headers: &HeaderMap) -> bool {
    weight_of(headers, "text", "html") > weight_of(headers, "application", "json")
}

/// Whether `Accept` names HTML, as browsers do of what they show.
pub fn names_html(headers: &HeaderMap) -> bool {
    let mut ranges = weighted(headers, &ACCEPT);
    ranges.any(|(range, weight)| range.eq_ignore_ascii_case("text/html") && weight > 0)
}

/// The weight that the client gives a media type, in thousandths: that of the most precise range
/// which the type is in.
fn weight_of(headers: &HeaderMap, kind: &str, subtype: &str) -> u16 {
    let precision = |range: &str| match range.split_once('/')? {
        ("*", "*") => Some(1),
        (a, "*") if a.eq_ignore_ascii_case(kind) => Some(2),
        (a, b) if a.eq_ignore_ascii_case(kind) && b.eq_ignore_ascii_case(subtype) => Some(3),
        _ => None,
    };
    weighted(headers, &ACCEPT)
        .filter_map(|(range, weight)| Some((precision(range)?, weight)))
        .max()
        .map_or(0, |(_, weight)| weight)
}

/// The language that the client likes best (RFC 9110, 12.5.4, looked up as by RFC 4647, 3.4, but that
/// regions make no difference); the first of all languages if it likes none of them.
pub fn language(headers: &HeaderMap) -> Language {
    let in_range = |range: &str| {
        let wanted = range.split('-').next().unwrap_or_default();
        let mut languages = Language::ALL.into_iter();
        languages.find(|each| wanted == "*" || wanted.eq_ignore_ascii_case(each.tag()))
    };
    let [default, ..] = Language::ALL;
    let mut best = (default, 0);
    for (range, weight) in weighted(headers, &ACCEPT_LANGUAGE) {
        if let Some(language) = in_range(range)
            && weight > best.1
        {
            best = (language, weight);
        }
    }
    best.0
}

/// The language of a client, program or person.
impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(language(&parts.headers))
    }
}

/// The view that was chosen for a request. Handlers for people have it always.
impl<S: Send + Sync> FromRequestParts<S> for View {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Error> {
        let view = Self::of(&parts.extensions).cloned();
        let missing = || auth::Error::Internal("a page was asked for without a view".into());
        Ok(view.ok_or_else(missing)?)
    }
}

/// The members of a list with their weights in thousandths. Leaves out what cannot be read.
fn weighted<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'a str, u16)> {
    let lines = headers.get_all(name).iter();
    let members = lines.flat_map(|line| split(line.to_str().unwrap_or_default(), ','));
    members.filter_map(|member| {
        let mut parts = split(member, ';').map(str::trim);
        let range = parts.next()?;
        let weight = parts.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.eq_ignore_ascii_case("q").then_some(value)
        });
        Some((range, weight.map_or(Some(1000), thousandths)?))
    })
}

/// Splits at a separator, but not inside of quotes (RFC 9110, 5.6.4).
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |letter| {
        let was_escaped = is_escaped;
        is_escaped = is_quoted && !was_escaped && letter == '\\';
        if letter == '"' && !was_escaped {
            is_quoted = !is_quoted;
        }
        letter == separator && !is_quoted
    })
}

/// Reads a weight: 0 to 1 with up to three decimals (RFC 9110, 12.4.2).
fn thousandths(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let is_weight = ["0", "1"].contains(&whole)
        && decimals.len() <= 3
        && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !is_weight {
        return None;
    }
    let digits = decimals.bytes().chain(*b"000").take(3);
    let weight = digits.fold(u16::from(whole == "1"), |weight, digit| {
        weight * 10 + u16::from(digit - b'0')
    });
    (weight <= 1000).then_some(weight)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(name: &HeaderName, lines: &[&str]) -> HeaderMap {
        let value = |line: &&str| HeaderValue::from_str(line).unwrap();
        lines
            .iter()
            .map(|line| (name.clone(), value(line)))
            .collect()
    }

    fn is_html(lines: &[&str]) -> bool {
        prefers_html(&headers(&ACCEPT, lines))
    }

    #[test]
    fn browsers_read_pages() {
        for accept in [
            // Firefox, Chromium, Safari, Lynx.
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,\
             image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7",
            "text/html, text/plain, text/sgml, text/css, application/xhtml+xml, */*;q=0.01",
            "text/html",
            "TEXT/HTML",
            "text/*",
            "text/html;charset=utf-8",
            "text/html;q=0.5, application/json;q=0.4",
            "application/json;q=0.999, text/html",
            "text/*;q=0.1, text/html;q=0.9, application/json;q=0.8",
            "*/*, application/json;q=0.5",
            "text/html;note=\"a,b;q=0\", application/json;q=0.5",
            "text/html ; Q=0.9 , application/json ; q=0.8",
        ] {
            assert!(is_html(&[accept]), "{accept}");
        }
        assert!(is_html(&["application/json;q=0.5", "text/html"]));
    }

    #[test]
    fn all_other_clients_read_json() {
        for accept in [
            "",
            "*/*",
            "application/json",
            "application/*",
            "application/json, text/plain, */*",
            "text/html, application/json",
            "text/html, */*",
            "text/html;q=0",
            "text/html;q=0, text/*;q=0.5",
            "text/html;q=0.4, application/json;q=0.5",
            "text/*, text/html;q=0.1, application/json;q=0.2",
            "text/plain",
            "application/xhtml+xml",
            "text/html;q=2",
            "text/html;q=1.001",
            "text/html;q=0.0001",
            "text/html;q=",
            "text/html;q=-1",
            "note=\"text/html, text/html\"",
            "text/htmlx",
            "html",
            "/",
            ",;,=;q",
            "\"\\",
        ] {
            assert!(!is_html(&[accept]), "{accept}");
        }
        assert!(!is_html(&[]));
        let mut unreadable = HeaderMap::new();
        unreadable.insert(ACCEPT, HeaderValue::from_bytes(b"text/html\xFF").unwrap());
        assert!(!prefers_html(&unreadable));
    }

    #[test]
    fn the_language_with_the_greatest_weight_is_picked() {
        for (lines, language) in [
            (&["fr"][..], "fr"),
            (&["fr-CA, en;q=0.5"], "fr"),
            (&["FR-ca"], "fr"),
            (&["en-GB,en;q=0.9,fr;q=0.8"], "en"),
            (&["de, fr;q=0.3, en;q=0.2"], "fr"),
            (&["de", "fr;q=0.3"], "fr"),
            (&["en, fr"], "en"),
            (&["fr, en"], "fr"),
            (&["fr;q=0, de"], "en"),
            (&["*"], "en"),
            (&["*;q=0.1, fr"], "fr"),
            (&["frr"], "en"),
            (&["x-fr"], "en"),
            (&[""], "en"),
            (&[], "en"),
        ] {
            let headers = headers(&ACCEPT_LANGUAGE, lines);
            assert_eq!(super::language(&headers).tag(), language, "{lines:?}");
        }
    }

    #[test]
    fn weights_have_at_most_three_decimals() {
        for (text, weight) in [
            ("0", Some(0)),
            ("0.", Some(0)),
            ("0.5", Some(500)),
            ("0.05", Some(50)),
            ("0.999", Some(999)),
            ("1.000", Some(1000)),
            ("1", Some(1000)),
            ("1.5", None),
            ("01", None),
            (".5", None),
            ("0.1234", None),
            ("0.1x", None),
            ("+1", None),
        ] {
            assert_eq!(thousandths(text), weight, "{text}");
        }
    }
}
