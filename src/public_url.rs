//! The URL under which the world reaches the service.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url, form_urlencoded};

/// Scheme, host and port under which clients reach the service, whatever stands in between.
///
/// Links in mails and the origin of the service's own pages come from here alone, never from what a
/// request says about its host: that is the client's to choose (CWE-640).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(Url);

/// Why a text is not a [`PublicUrl`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// It is no URL with a host.
    #[error("give a URL such as https://auth.example.org")]
    Malformed,
    /// It is not encrypted, and leads to other machines.
    #[error("give an https URL: passwords and sessions must not cross a network in the open")]
    Insecure,
    /// It has more than a scheme, a host and a port.
    #[error("give a scheme, a host and a port alone: the service has paths of its own")]
    TooMuch,
}

impl PublicUrl {
    /// Whether clients come over TLS; else they come from this machine.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it leads to the machine that asks.
    pub fn is_local(&self) -> bool {
        self.0.host().is_some_and(|host| is_this_machine(&host))
    }

    /// The origin of the service's pages, as browsers write it (RFC 6454, 6.2), such as
    /// `https://auth.example.org`.
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// The host, with its port if it is not the usual one, such as `auth.example.org`: how the service
    /// calls itself where people read it.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The host alone, such as `auth.example.org`.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, which is the usual one of the scheme if the URL has none.
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// A link to a path of the service, with a query.
    pub fn link(&self, path: &str, query: &[(&str, &str)]) -> String {
        self.origin() + &path_with_query(path, query)
    }
}

/// A path of the service with a query, such as it stands in a link behind the URL of the service.
pub fn path_with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut text = path.to_owned();
    if !query.is_empty() {
        text.push('?');
        let begin = text.len();
        form_urlencoded::Serializer::for_suffix(&mut text, begin).extend_pairs(query);
    }
    text
}

impl FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let url: Url = text.parse().map_err(|_| InvalidPublicUrl::Malformed)?;
        let host = url.host().ok_or(InvalidPublicUrl::Malformed)?;
        let leads_home = is_this_machine(&host);
        match url.scheme() {
            "https" => {}
            "http" if leads_home => {}
            "http" => return Err(InvalidPublicUrl::Insecure),
            _ => return Err(InvalidPublicUrl::Malformed),
        }
        let has_more = url.path() != "/"
            || url.query().is_some()
            || url.fragment().is_some()
            || url.authority().contains('@');
        if has_more {
            return Err(InvalidPublicUrl::TooMuch);
        }
        Ok(Self(url))
    }
}

/// Whether a host is the machine of the browser that asks for it, so that plain HTTP crosses no network. Browsers
/// ask no DNS for `localhost` and the names below it (RFC 6761, 6.3).
pub fn is_this_machine(host: &Host<&str>) -> bool {
    match *host {
        Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_is_taken_and_plain_http_only_for_this_machine() {
        for (text, origin) in [
            ("https://auth.example.org", "https://auth.example.org"),
            ("https://auth.example.org/", "https://auth.example.org"),
            ("https://AUTH.example.org:443", "https://auth.example.org"),
            (
                "https://auth.example.org:8443",
                "https://auth.example.org:8443",
            ),
            ("http://localhost:5000", "http://localhost:5000"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
            ("http://[::1]:5000", "http://[::1]:5000"),
            ("http://auth.localhost:5000", "http://auth.localhost:5000"),
        ] {
            let url: PublicUrl = text.parse().unwrap();
            assert_eq!(url.origin(), origin);
            assert_eq!(url.is_https(), text.starts_with("https"));
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", InvalidPublicUrl::Malformed),
            ("auth.example.org", InvalidPublicUrl::Malformed),
            ("localhost:5000", InvalidPublicUrl::Malformed),
            ("ftp://auth.example.org", InvalidPublicUrl::Malformed),
            ("javascript:alert(1)", InvalidPublicUrl::Malformed),
            ("http://auth.example.org", InvalidPublicUrl::Insecure),
            ("http://192.168.0.1", InvalidPublicUrl::Insecure),
            ("http://localhost.example.org", InvalidPublicUrl::Insecure),
            ("http://notlocalhost", InvalidPublicUrl::Insecure),
            ("https://auth.example.org/auth", InvalidPublicUrl::TooMuch),
            ("https://auth.example.org/?a=b", InvalidPublicUrl::TooMuch),
            ("https://auth.example.org/#a", InvalidPublicUrl::TooMuch),
            ("https://me@auth.example.org", InvalidPublicUrl::TooMuch),
        ] {
            assert_eq!(text.parse::<PublicUrl>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn a_link_escapes_what_it_carries() {
        let url: PublicUrl = "https://auth.example.org".parse().unwrap();
        assert_eq!(
            url.link("/reset_password", &[("email", "a+b&c@example.org")]),
            "https://auth.example.org/reset_password?email=a%2Bb%26c%40example.org"
        );
    }
}
