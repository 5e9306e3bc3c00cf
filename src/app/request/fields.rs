//! The fields of a request body: from an HTML form, from JSON, or from `multipart/form-data`.

use std::fmt;
use std::str::FromStr;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum_extra::extract::Multipart;
use percent_encoding::percent_decode;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::app::error::{Error, FieldError, FieldProblem, MAX_FIELDS};
use crate::email::Email;

pub const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data";

/// Names with what was sent under them, in the order of the body. Holds passwords, so it has no
/// `Debug`. A clone is never made: the extensions of a request ask for the trait.
#[derive(Clone)]
pub struct Fields(Vec<(String, Content)>);

#[derive(Clone)]
enum Content {
    Text(String),
    /// A number, a list, … in JSON.
    Other,
}

/// What becomes of a text that is not an address, where an address is looked up.
#[derive(Clone, Copy)]
pub enum Malformed {
    /// It is an address that no user has: the HTTP contract for programs.
    IsUnknown,
    /// It is refused by the name of its field, so that a person can correct it.
    IsRefused,
}

impl Fields {
    /// The text of a field.
    ///
    /// Refuses a field that is missing, empty, repeated or not a text. Of a repeated one neither the
    /// first nor the last is taken: what checked the request before us may have taken the other
    /// (CVE-2023-7028).
    pub fn text(&self, name: &'static str) -> Result<&str, FieldError> {
        let refuse = |problem| Err(FieldError { name, problem });
        let mut contents = self.0.iter().filter(|(other, _)| other == name);
        match (contents.next(), contents.next()) {
            (None, _) => refuse(FieldProblem::Missing),
            (_, Some(_)) => refuse(FieldProblem::Repeated),
            (Some((_, Content::Other)), _) => refuse(FieldProblem::NotText),
            (Some((_, Content::Text(text))), _) if text.is_empty() => refuse(FieldProblem::Empty),
            (Some((_, Content::Text(text))), _) => Ok(text),
        }
    }

    /// The text of a field as the type that knows its rules.
    pub fn parse<T>(&self, name: &'static str) -> Result<T, FieldError>
    where
        T: FromStr<Err: Into<FieldProblem>>,
    {
        self.text(name)?.parse().map_err(|error: T::Err| {
            let problem = error.into();
            FieldError { name, problem }
        })
    }

    /// The same of a field that need not be there.
    pub fn parse_if_given<T>(&self, name: &'static str) -> Result<Option<T>, FieldError>
    where
        T: FromStr<Err: Into<FieldProblem>>,
    {
        match self.parse(name) {
            Err(FieldError {
                problem: FieldProblem::Missing,
                ..
            }) => Ok(None),
            parsed => parsed.map(Some),
        }
    }

    /// The address in the field `email`; `None` for a malformed one where that is an unknown one.
    pub fn address(&self, malformed: Malformed) -> Result<Option<Email>, FieldError> {
        match malformed {
            Malformed::IsUnknown => Ok(self.text("email")?.parse().ok()),
            Malformed::IsRefused => self.parse("email").map(Some),
        }
    }

    /// The text of a field to show again; empty for one that cannot be used.
    pub fn shown(&self, name: &'static str) -> String {
        self.text(name).unwrap_or_default().to_owned()
    }

    /// Reads an HTML form.
    pub fn of_form(body: &[u8]) -> Result<Self, Error> {
        Self::from_form(body)?.within_bounds()
    }

    fn within_bounds(self) -> Result<Self, Error> {
        if self.0.len() > MAX_FIELDS {
            return Err(Error::TooManyFields);
        }
        Ok(self)
    }

    async fn read<S: Send + Sync>(request: Request, state: &S) -> Result<Self, Error> {
        let content_type = content_type(request.headers());
        if content_type.as_deref() == Some(MULTIPART) {
            return Self::from_multipart(request).await;
        }
        let body = Bytes::from_request(request, state)
            .await
            .map_err(|_| malformed(FORM))?;
        match content_type.as_deref() {
            Some(FORM) => Self::from_form(&body),
            Some(JSON) => Self::from_json(&body),
            // Nothing was sent, so nothing needs a type: what is missing is the fields.
            None if body.is_empty() => Ok(Self(Vec::new())),
            _ => Err(Error::UnsupportedMediaType),
        }
    }

    /// Reads `name=value` pairs as the URL Standard says (5.1), but for one thing: bytes that are
    /// not UTF-8 are refused, not replaced. Replacing would make one password of many.
    fn from_form(body: &[u8]) -> Result<Self, Error> {
        let decode = |text: &[u8]| -> Result<String, Error> {
            let spaced: Vec<u8> = text
                .iter()
                .map(|&byte| if byte == b'+' { b' ' } else { byte })
                .collect();
            let decoded = percent_decode(&spaced).decode_utf8();
            decoded.map(String::from).map_err(|_| malformed(FORM))
        };
        let pairs = body
            .split(|&byte| byte == b'&')
            .filter(|pair| !pair.is_empty());
        let fields = pairs.map(|pair| {
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let text = decode(halves.next().unwrap_or_default())?;
            Ok((name, Content::Text(text)))
        });
        Ok(Self(fields.collect::<Result<_, Error>>()?))
    }

    fn from_json(body: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(body).map_err(|_| malformed("json object"))
    }

    async fn from_multipart(request: Request) -> Result<Self, Error> {
        let malformed = || malformed(MULTIPART);
        let mut parts = Multipart::from_request(request, &())
            .await
            .map_err(|_| malformed())?;
        let mut fields = Vec::new();
        while let Some(part) = parts.next_field().await.map_err(|_| malformed())? {
            let name = part.name().unwrap_or_default().to_owned();
            let bytes = part.bytes().await.map_err(|_| malformed())?;
            let text = String::from_utf8(bytes.into()).map_err(|_| malformed())?;
            fields.push((name, Content::Text(text)));
        }
        Ok(Self(fields))
    }
}

/// The fields that were read to find the method of a form, else those in the body.
impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = Error;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Error> {
        if let Some(fields) = request.extensions_mut().remove() {
            return Ok(fields);
        }
        Self::read(request, state).await?.within_bounds()
    }
}

/// The content type in lower case and without its parameters; `None` if there is not exactly one.
pub fn content_type(headers: &HeaderMap) -> Option<String> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let essence = value.to_str().ok()?.split(';').next()?;
    Some(essence.trim().to_ascii_lowercase())
}

fn malformed(expected: &'static str) -> Error {
    Error::MalformedBody { expected }
}

/// Reads a JSON object pair by pair, because a map would hide that a name is repeated.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;

        impl<'de> Visitor<'de> for Pairs {
            type Value = Fields;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    let content = match value {
                        Value::String(text) => Content::Text(text),
                        _ => Content::Other,
                    };
                    fields.push((name, content));
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::{Index, select};
    use tokio::runtime;

    use super::*;

    /// Reads a body on the way that requests go.
    fn read(content_type: &str, body: impl Into<Bytes>) -> Result<Fields, Error> {
        let request = Request::post("/")
            .header(CONTENT_TYPE, content_type)
            .body(body.into().into())
            .unwrap();
        let runtime = runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Fields::from_request(request, &()))
    }

    const WITH_BOUNDARY: &str = "multipart/form-data; boundary=limit";

    /// The same fields in each of the three ways.
    fn in_each_way(fields: &[(String, String)]) -> [(&'static str, String); 3] {
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let pairs: Vec<String> = fields
            .iter()
            .map(|(name, text)| format!("{}:{}", Value::from(&**name), Value::from(&**text)))
            .collect();
        let parts = fields.iter().map(|(name, text)| {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"");
            format!("--limit\r\n{head}\r\n\r\n{text}\r\n")
        });
        let parts: String = parts.chain(["--limit--\r\n".to_owned()]).collect();
        [
            (FORM, form),
            (JSON, format!("{{{}}}", pairs.join(","))),
            (WITH_BOUNDARY, parts),
        ]
    }

    fn some_fields() -> impl Strategy<Value = Vec<(String, String)>> {
        // A name in a multipart body ends at a quote, and boundaries are lines of dashes.
        vec(("[a-z_]{1,9}", "[^-]{0,20}"), 1..6)
    }

    proptest! {
        #[test]
        fn what_was_sent_is_what_is_read_in_each_way(fields in some_fields()) {
            for (content_type, body) in in_each_way(&fields) {
                let read = read(content_type, body).unwrap_or_else(|error| panic!("{error}"));
                let texts: Vec<_> = read.0.into_iter().map(|(name, content)| match content {
                    Content::Text(text) => (name, text),
                    Content::Other => panic!("{name} is not a text"),
                }).collect();
                prop_assert_eq!(&texts, &fields, "{}", content_type);
            }
        }

        #[test]
        fn no_bytes_are_more_than_a_bad_request(
            body in vec(any::<u8>(), 0..200),
            content_type in select(vec![FORM, JSON, WITH_BOUNDARY, "", "text/plain", "multipart/form-data; boundary=\"\""]),
        ) {
            if let Err(error) = read(content_type, body) {
                prop_assert!(error.into_response().status().is_client_error());
            }
        }

        #[test]
        fn no_mangled_body_is_more_than_a_bad_request(
            fields in some_fields(),
            changes in vec((any::<Index>(), any::<u8>(), 0..3), 1..6),
        ) {
            for (content_type, body) in in_each_way(&fields) {
                let mut body = body.into_bytes();
                for (at, byte, change) in &changes {
                    let at = at.index(body.len() + 1);
                    match change {
                        0 => body.insert(at, *byte),
                        1 => body.truncate(at),
                        _ if at == body.len() => {}
                        _ => body[at] = *byte,
                    }
                }
                if let Err(error) = read(content_type, body) {
                    prop_assert!(error.into_response().status().is_client_error());
                }
            }
        }
    }

    #[test]
    fn more_fields_than_any_form_has_are_refused_in_each_way() {
        let fields = |number| vec![("a".to_owned(), "b".to_owned()); number];
        for (content_type, body) in in_each_way(&fields(MAX_FIELDS)) {
            assert!(read(content_type, body).is_ok(), "{content_type}");
        }
        for (content_type, body) in in_each_way(&fields(MAX_FIELDS + 1)) {
            let error = read(content_type, body).err().unwrap();
            assert_eq!(error.to_string(), "body has more than 32 fields");
            assert_eq!(error.into_response().status(), 400);
        }
    }

    fn problem(outcome: Result<&str, FieldError>) -> String {
        outcome.unwrap_err().to_string()
    }

    #[test]
    fn a_form_is_decoded_as_browsers_encode_it() {
        let fields = Fields::from_form(b"a=1+2%2B3&b=%C3%A9&&c&=d&e=f=g&h=100%sure").unwrap();
        assert_eq!(fields.text("a").unwrap(), "1 2+3");
        assert_eq!(fields.text("b").unwrap(), "é");
        assert_eq!(problem(fields.text("c")), "c is empty");
        assert_eq!(fields.text("e").unwrap(), "f=g");
        assert_eq!(fields.text("h").unwrap(), "100%sure");
    }

    #[test]
    fn a_field_must_be_there_once_with_a_text() {
        let fields = Fields::from_json(
            br#"{"empty": "", "twice": "a", "twice": "a", "number": 1, "null": null, "list": ["a"]}"#,
        )
        .unwrap();
        assert_eq!(problem(fields.text("missing")), "missing is missing");
        assert_eq!(problem(fields.text("empty")), "empty is empty");
        assert_eq!(
            problem(fields.text("twice")),
            "twice is given more than once"
        );
        for name in ["number", "null", "list"] {
            assert_eq!(problem(fields.text(name)), format!("{name} is not a text"));
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_refused_not_replaced() {
        for body in [&b"password=\xFF"[..], b"password=%FF", b"%FF=password"] {
            assert!(Fields::from_form(body).is_err());
        }
        assert!(Fields::from_json(b"{\"password\": \"\xFF\"}").is_err());
    }

    #[test]
    fn json_must_be_one_object() {
        for body in [
            "",
            "null",
            "[]",
            "\"a\"",
            "{",
            "{}{}",
            "{\"a\":\"\\ud800\"}",
        ] {
            assert!(Fields::from_json(body.as_bytes()).is_err(), "{body}");
        }
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
        assert!(Fields::from_json(deep.as_bytes()).is_err());
    }
}
