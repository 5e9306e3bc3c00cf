//! What proxies write down about those for whom they forward requests.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;

/// Whom a proxy was connected with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// A machine at this address.
    Address(IpAddr),
    /// The proxy does not say, or not so that we understand it.
    Unknown,
}

impl Hop {
    /// Reads an address as proxies write them: alone, or with a port; an IPv6 one also in brackets.
    fn parse(text: &str) -> Self {
        let bracketed = || -> Option<Ipv6Addr> {
            let address = text.strip_prefix('[')?.strip_suffix(']')?;
            address.parse().ok()
        };
        let address = text
            .parse::<IpAddr>()
            .or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()))
            .ok()
            .or_else(|| bracketed().map(IpAddr::V6));
        address.map_or(Self::Unknown, |address| {
            Self::Address(address.to_canonical())
        })
    }
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// Whether there is anything about hops.
pub fn is_told(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// The hops of `X-Forwarded-For`, that of the nearest proxy last; `None` without the header.
pub fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Hop>> {
    hops(headers, X_FORWARDED_FOR, Hop::parse)
}

/// The hops of `Forwarded` (RFC 7239), that of the nearest proxy last; `None` without the header.
///
/// Cut at every comma and semicolon, even in quotes: no address has one, and a quote that a client
/// leaves open must not swallow what a proxy adds behind it.
pub fn forwarded(headers: &HeaderMap) -> Option<Vec<Hop>> {
    hops(headers, FORWARDED, hop_of_element)
}

/// The hop of an element such as `for=192.0.2.43;proto=https`.
fn hop_of_element(element: &str) -> Hop {
    let mut hop = None;
    for pair in element.split(';').map(str::trim_ascii) {
        match pair.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("for") => {
                let quoted = value
                    .strip_prefix('"')
                    .and_then(|rest| rest.strip_suffix('"'));
                if hop.replace(Hop::parse(quoted.unwrap_or(value))).is_some() {
                    return Hop::Unknown;
                }
            }
            None if !pair.is_empty() => return Hop::Unknown,
            _ => {}
        }
    }
    hop.unwrap_or(Hop::Unknown)
}

/// The elements of a list that may go on over several lines of a header, without empty ones.
fn hops(headers: &HeaderMap, name: &str, hop: fn(&str) -> Hop) -> Option<Vec<Hop>> {
    if !headers.contains_key(name) {
        return None;
    }
    let lines = headers.get_all(name).iter();
    let elements = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let elements = elements.map(<[u8]>::trim_ascii);
    let hops = elements
        .filter(|element| !element.is_empty())
        .map(|element| std::str::from_utf8(element).map_or(Hop::Unknown, hop));
    Some(hops.collect())
}
