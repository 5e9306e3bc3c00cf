//! The host that a request is for.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::Version;
use axum::http::header::HOST;

use crate::app::error::Error;

/// A host and a port, as in `Host: auth.example.org:5000`.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` for what is no `uri-host [":" port]` (RFC 9110, 7.2), and for the letters in it that
    /// no real name has and that two readers may understand in two ways, such as `@` and `,`.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.rfind(':') {
            Some(colon) if !text[colon..].contains(']') => {
                (&text[..colon], Some(&text[colon + 1..]))
            }
            _ => (text, None),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let is_host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(is_name),
        };
        let port = match port {
            None | Some("") => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok()?)
            }
            Some(_) => return None,
        };
        is_host.then_some(Self { host, port })
    }

    /// Whether both are the same, if a missing port means this one.
    pub fn equals(self, other: Self, default_port: u16) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.unwrap_or(default_port) == other.port.unwrap_or(default_port)
    }

    /// Whether no name server has a say in where this leads: it is an address, or this machine.
    pub fn is_fixed(self) -> bool {
        let name = self.host.to_ascii_lowercase();
        name.starts_with('[')
            || name.parse::<Ipv4Addr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
    }
}

/// The host of a request; `None` for HTTP/1.0, which has none.
///
/// # Errors
///
/// [`Error::BadHost`] without exactly one well-formed `Host` (RFC 9112, 3.2): where a proxy before us
/// believes another one than we do, they are two requests.
pub fn of(request: &Request) -> Result<Option<Authority<'_>>, Error> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_10 => return Ok(None),
        (Some(host), None) => host.to_str().ok().and_then(Authority::parse),
        _ => None,
    };
    host.map(Some).ok_or(Error::BadHost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_with_and_without_a_port_are_hosts() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("auth.example.org:5000", "auth.example.org", Some(5000)),
            ("auth.example.org:", "auth.example.org", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[::1]:65535", "[::1]", Some(65535)),
            ("my_service", "my_service", None),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host, authority.port), (host, port), "{text}");
        }
    }

    #[test]
    fn nothing_else_is_a_host() {
        for text in [
            "", ":80", " ", "a b", "a,b", "me@a", "a/b", "a?b", "a#b", "a\\b", "a:b", "a:80:80",
            "a:-1", "a:+1", "a:65536", "[::1", "::1]", "::1", "[]", "[a]", "[::1]x", "a]", "é",
        ] {
            assert!(Authority::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn only_addresses_and_this_machine_lead_where_no_name_server_sends_them() {
        for (text, is_fixed) in [
            ("127.0.0.1:5000", true),
            ("[::1]:5000", true),
            ("LOCALHOST:5000", true),
            ("auth.localhost", true),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org", false),
            ("evil.example:5000", false),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!(authority.is_fixed(), is_fixed, "{text}");
        }
    }
}
