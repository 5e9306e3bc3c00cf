//! Where a request comes from: the machine that is connected, or, behind proxies that are trusted,
//! the one that they speak for. What is connected over a Unix socket is such a proxy.
//!
//! What a client writes into a header about itself counts for nothing, however it is written; so it
//! can neither dodge a limit nor use up another's.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Once};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use tracing::warn;

use crate::app::error::Error;
use crate::app::settings::{TrustedProxy, is_proxy};
use crate::app::state::AppState;
use crate::auth;
use crate::source::{Peer, Source};

/// Refuses to go on if the server does not say who is connected: a limit that cannot tell one from
/// another is none.
impl FromRequestParts<Arc<AppState>> for Source {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<AppState>) -> Result<Self, Error> {
        let Some(&ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<Peer>>() else {
            let reason = "the server does not say who is connected";
            return Err(auth::Error::Internal(reason.into()).into());
        };
        let trusted = &state.settings.trusted_proxies;
        if state.settings.public_url.is_some() {
            warn_of_proxy(peer, &parts.headers, trusted);
        }
        Ok(client_address(peer, &parts.headers, trusted).into())
    }
}

/// The address of the client, seen from a socket whose other end is `peer`.
///
/// A trusted peer says for whom it speaks by `X-Forwarded-For` or, where that is absent, by
/// `Forwarded` (RFC 7239). Each proxy adds to the end whom it was connected with; so the list is read
/// from its end, up to the first address that is not trusted. What stands before that is hearsay. If
/// an entry cannot be read, is `unknown` or a made-up name, then the proxy that added it stands for
/// its client.
///
/// If both headers are there and do not agree, the peer itself is the source. A proxy writes one of
/// them and lets the other pass, and which one that is, is not known here; so a client that sends
/// the other one gains no address of its choice, and at most loses its own.
fn client_address(peer: Peer, headers: &HeaderMap, trusted: &[TrustedProxy]) -> IpAddr {
    let is_proxy = is_proxy(peer, trusted);
    let peer = peer.address();
    if !is_proxy {
        return peer;
    }
    let is_trusted = |address| trusted.iter().any(|proxy| proxy.contains(address));
    let nearest_stranger = |hops: Vec<Hop>| {
        let mut nearest = peer;
        for hop in hops.into_iter().rev() {
            let Hop::Address(address) = hop else {
                break;
            };
            nearest = address;
            if !is_trusted(address) {
                break;
            }
        }
        nearest
    };
    let told_by = [x_forwarded_for(headers), forwarded(headers)];
    match told_by.map(|hops| hops.map(nearest_stranger)) {
        [Some(one), Some(other)] if one != other => peer,
        [Some(address), _] | [None, Some(address)] => address,
        [None, None] => peer,
    }
}

/// Warns, of each once in the life of the process, of a proxy that is not trusted, and of one that
/// does not say for whom it forwards. Behind either, all clients count as one source.
///
/// Only requests that are counted by their source come here, so no check of a proxy's own health does.
fn warn_of_proxy(peer: Peer, headers: &HeaderMap, trusted: &[TrustedProxy]) {
    static UNTRUSTED: Once = Once::new();
    static SILENT: Once = Once::new();
    let address = peer.address();
    match (is_proxy(peer, trusted), is_told(headers)) {
        (false, true) => UNTRUSTED.call_once(|| {
            warn!(
                "{address} sends X-Forwarded-For or Forwarded and is not trusted: if it is your proxy, \
                 give --trusted-proxy {address}, else all its clients count as one source"
            );
        }),
        (true, false) => SILENT.call_once(|| {
            let proxy = match peer {
                Peer::Machine(_) => format!("{address} is a --trusted-proxy and"),
                Peer::UnixSocket => "the proxy at the Unix socket".to_owned(),
            };
            warn!(
                "{proxy} sends neither X-Forwarded-For nor Forwarded: all its clients count as one \
                 source"
            );
        }),
        (true, true) | (false, false) => {}
    }
}

/// Whom a proxy was connected with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hop {
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
fn is_told(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// The hops of `X-Forwarded-For`, that of the nearest proxy last; `None` without the header.
fn x_forwarded_for(headers: &HeaderMap) -> Option<Vec<Hop>> {
    hops(headers, X_FORWARDED_FOR, Hop::parse)
}

/// The hops of `Forwarded` (RFC 7239), that of the nearest proxy last; `None` without the header.
///
/// Cut at every comma and semicolon, even in quotes: no address has one, and a quote that a client
/// leaves open must not swallow what a proxy adds behind it.
fn forwarded(headers: &HeaderMap) -> Option<Vec<Hop>> {
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

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    fn address(peer: &str, headers: &[(&'static str, &[u8])], trusted: &[&str]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            map.append(HeaderName::from_static(name), value);
        }
        let trusted: Vec<_> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        let peer = match peer {
            "unix" => Peer::UnixSocket,
            address => Peer::Machine(address.parse().unwrap()),
        };
        client_address(peer, &map, &trusted).to_string()
    }

    /// Behind proxies at 10.0.0.0/8 and `fd00::/8`, connected with 10.0.0.1.
    fn behind(headers: &[(&'static str, &str)]) -> String {
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        address("10.0.0.1", &headers, &["10.0.0.0/8", "fd00::/8"])
    }

    const XFF: &str = "x-forwarded-for";
    const FORWARDED: &str = "forwarded";

    #[test]
    fn only_trusted_proxies_are_believed() {
        let headers: [(&str, &[u8]); 3] = [
            (XFF, b"192.0.2.1"),
            (FORWARDED, b"for=192.0.2.1"),
            ("x-real-ip", b"192.0.2.1"),
        ];
        assert_eq!(address("198.51.100.7", &headers, &[]), "198.51.100.7");
        assert_eq!(
            address("198.51.100.7", &headers, &["10.0.0.0/8"]),
            "198.51.100.7"
        );
        assert_eq!(
            address("10.0.0.1", &headers[2..], &["10.0.0.0/8"]),
            "10.0.0.1"
        );
    }

    #[test]
    fn the_peer_at_a_unix_socket_is_a_proxy_and_without_its_word_this_machine() {
        assert_eq!(address("unix", &[(XFF, b"192.0.2.1")], &[]), "192.0.2.1");
        assert_eq!(
            address("unix", &[(FORWARDED, b"for=192.0.2.1")], &[]),
            "192.0.2.1"
        );
        let hops: &[u8] = b"203.0.113.9, 192.0.2.1, 10.0.0.3";
        assert_eq!(address("unix", &[(XFF, hops)], &[]), "10.0.0.3");
        assert_eq!(
            address("unix", &[(XFF, hops)], &["10.0.0.0/8"]),
            "192.0.2.1"
        );
        // That the socket is trusted makes no proxy of this machine's other processes.
        let forged: &[u8] = b"203.0.113.9, 127.0.0.1";
        assert_eq!(address("unix", &[(XFF, forged)], &[]), "127.0.0.1");
        assert_eq!(address("unix", &[], &[]), "127.0.0.1");
        assert_eq!(address("unix", &[(XFF, b"unknown")], &[]), "127.0.0.1");
    }

    #[test]
    fn trusted_networks_are_recognized_however_ipv4_is_written() {
        for peer in ["10.0.0.1", "::ffff:10.0.0.1"] {
            for trusted in [
                "10.0.0.0/8",
                "10.0.0.1",
                "::ffff:10.0.0.0/104",
                "::ffff:10.0.0.1",
            ] {
                let told = address(peer, &[(XFF, b"192.0.2.1")], &[trusted]);
                assert_eq!(told, "192.0.2.1", "{peer} {trusted}");
            }
            let told = address(
                peer,
                &[(XFF, b"192.0.2.1")],
                &["10.0.0.2", "::/1", "fd00::/8"],
            );
            assert_eq!(told, "10.0.0.1");
        }
    }

    #[test]
    fn the_last_address_that_is_not_trusted_is_the_client() {
        for (list, client) in [
            ("192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, 192.0.2.1, 10.0.0.3, fd00::1", "192.0.2.1"),
            ("203.0.113.9,192.0.2.1,,  ,\t10.0.0.3 ,", "192.0.2.1"),
            ("10.9.9.9, 10.0.0.3", "10.9.9.9"),
            ("2001:db8::1, fd00::1", "2001:db8::1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("203.0.113.9, ::ffff:10.0.0.3", "203.0.113.9"),
            ("", "10.0.0.1"),
            (" , ", "10.0.0.1"),
        ] {
            assert_eq!(behind(&[(XFF, list)]), client, "{list:?}");
        }
        for (list, client) in [
            ("for=192.0.2.1", "192.0.2.1"),
            (
                "For=203.0.113.9, FOR=192.0.2.1;proto=https;by=10.0.0.1",
                "192.0.2.1",
            ),
            (
                "for=192.0.2.1;host=a;proto=http , for=10.0.0.3;",
                "192.0.2.1",
            ),
            ("proto=https; for=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
            (
                "for=\"[2001:db8:cafe::17]\", for=\"[fd00::1]\"",
                "2001:db8:cafe::17",
            ),
            ("for=192.0.2.1;ext=\"a b\"; , , for=10.0.0.3", "192.0.2.1"),
            ("", "10.0.0.1"),
        ] {
            assert_eq!(behind(&[(FORWARDED, list)]), client, "{list:?}");
        }
    }

    #[test]
    fn several_lines_of_a_header_are_one_list() {
        assert_eq!(
            behind(&[
                (XFF, "203.0.113.9"),
                (XFF, "192.0.2.1, 10.0.0.3"),
                (XFF, "")
            ]),
            "192.0.2.1"
        );
        assert_eq!(
            behind(&[(FORWARDED, "for=203.0.113.9"), (FORWARDED, "for=192.0.2.1")]),
            "192.0.2.1"
        );
    }

    #[test]
    fn where_the_list_cannot_be_read_the_last_trusted_proxy_is_the_client() {
        for hop in [
            "unknown",
            "_hidden",
            "-",
            "192.0.2",
            "192.0.2.1 203.0.113.9",
            "fe80::1%eth0",
            "[2001:db8::1",
            "2001:db8::1]:80",
            "192.0.2.1:x",
            "192.0.2.1:99999",
            "\"192.0.2.1\"",
            "192.0.2.1/32",
            "0x7f000001",
            "010.0.0.1",
            "for=192.0.2.1",
        ] {
            assert_eq!(behind(&[(XFF, hop)]), "10.0.0.1", "{hop}");
            let list = format!("203.0.113.9, {hop}, 10.0.0.3");
            assert_eq!(behind(&[(XFF, &list)]), "10.0.0.3", "{list}");
        }
        for hop in [
            "for=unknown",
            "for=_hidden",
            "for=\"_hidden:80\"",
            "proto=https",
            "by=192.0.2.1",
            "for=",
            "for=\"\"",
            "for",
            "192.0.2.1",
            "for=192.0.2.1;for=203.0.113.9",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\"\"\"",
            "for=\"192.0.2.1\\\"",
            "for =192.0.2.1",
            "=192.0.2.1",
            "for=192.0.2.1;x",
        ] {
            assert_eq!(behind(&[(FORWARDED, hop)]), "10.0.0.1", "{hop}");
            let lines = [
                (FORWARDED, "for=203.0.113.9"),
                (FORWARDED, hop),
                (FORWARDED, "for=10.0.0.3"),
            ];
            assert_eq!(behind(&lines), "10.0.0.3", "{hop}");
        }
        let not_text: &[u8] = b"203.0.113.9, \xFF, 10.0.0.3";
        assert_eq!(
            address("10.0.0.1", &[(XFF, not_text)], &["10.0.0.0/8"]),
            "10.0.0.3"
        );
    }

    #[test]
    fn two_headers_that_disagree_say_nothing() {
        let agreed = [(XFF, "192.0.2.1"), (FORWARDED, "for=192.0.2.1;proto=https")];
        assert_eq!(behind(&agreed), "192.0.2.1");
        for (list, elements) in [
            ("192.0.2.1", "for=203.0.113.9"),
            ("192.0.2.1", "for=unknown"),
            ("garbage", "for=192.0.2.1"),
            ("", "for=192.0.2.1"),
        ] {
            assert_eq!(behind(&[(XFF, list), (FORWARDED, elements)]), "10.0.0.1");
        }
    }

    /// What a client may send, often close to what is well-formed.
    fn header_value() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "for=",
                "\"",
                "\\",
                ",",
                ";",
                " ",
                "=",
                "[",
                "]",
                ":80",
                "6.6.6.6",
                "10.6.6.6",
                "2001:666::1",
                "unknown",
                "proto=http",
            ])
            .prop_map(|text| text.as_bytes().to_vec()),
            "[\\x20-\\x7e]{0,4}".prop_map(String::into_bytes),
            prop::collection::vec(0x80..=0xFF_u8, 0..3),
        ];
        prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_client_behind_a_proxy_chooses_its_address(
            sent in prop::collection::vec(header_value(), 0..3),
            name in prop::sample::select(vec![XFF, FORWARDED]),
            is_ipv6: bool,
            has_own_line: bool,
        ) {
            let real = if is_ipv6 { "2001:db8::1" } else { "192.0.2.1" };
            let added = match (name, is_ipv6) {
                (XFF, _) => real.to_owned(),
                (_, true) => format!("for=\"[{real}]:4711\""),
                (_, false) => format!("for={real}"),
            };
            // The proxy adds a line, or adds to the last one.
            let mut lines = sent;
            match lines.last_mut() {
                Some(last) if !has_own_line => {
                    last.extend_from_slice(b", ");
                    last.extend_from_slice(added.as_bytes());
                }
                _ => lines.push(added.into_bytes()),
            }
            let headers: Vec<_> = lines.iter().map(|line| (name, &line[..])).collect();
            let told = address("10.0.0.1", &headers, &["10.0.0.0/8"]);
            prop_assert_eq!(told, real);
        }
    }
}
