//! Apps in front of which a proxy asks the service who is there: by which hosts they are reached, and who may
//! use them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use url::Host;

use crate::email::Email;
use crate::public_url::{PublicUrl, is_this_machine};
use crate::user::{GroupList, GroupName};

/// The longest name of a host, in bytes (RFC 1035, 2.3.4), and the longest label of it.
const MAX_NAME_BYTES: usize = 253;
const MAX_LABEL_BYTES: usize = 63;

/// The usual port of each scheme, which a host is written without.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// A host by which an app is reached, such as `wiki.example.org`, or `wiki.example.org:8443` where the port is
/// not the usual one. In lower case, without a dot at its end: each host has one spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AppHost(String);

impl AppHost {
    /// The host that a request is for, as `Host` or a proxy tells it; `None` if it is not one name with one
    /// port at most. Without a port it has the usual one of the scheme.
    pub fn of_request(authority: &str, is_https: bool) -> Option<Self> {
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, Some(port_of(port)?)),
            None => (authority, None),
        };
        let usual = if is_https { HTTPS_PORT } else { HTTP_PORT };
        Self::new(name, port.filter(|port| *port != usual))
    }

    /// The host that was stored as this text; `None` if none was.
    pub fn from_stored(text: &str) -> Option<Self> {
        let host = match text.split_once(':') {
            Some((name, port)) => Self::new(name, Some(port_of(port)?)),
            None => Self::new(text, None),
        };
        host.filter(|host| host.as_str() == text)
    }

    fn new(name: &str, port: Option<u16>) -> Option<Self> {
        let is_name = name.len() <= MAX_NAME_BYTES && name.split('.').all(is_label);
        let name = is_name.then(|| name.to_ascii_lowercase())?;
        Some(Self(match port {
            Some(port) => format!("{name}:{port}"),
            None => name,
        }))
    }

    /// The host, with its port if that is not the usual one.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands below the first label, with the port: `example.org` of `wiki.example.org`.
    fn parent(&self) -> Option<&str> {
        Some(self.0.split_once('.')?.1)
    }

    /// Whether it is the machine of the browser that asks for it, so that nothing crosses a network.
    fn is_this_machine(&self) -> bool {
        let name = self.0.split(':').next().unwrap_or_default();
        is_this_machine(&match name.parse::<Ipv4Addr>() {
            Ok(address) => Host::Ipv4(address),
            Err(_) => Host::Domain(name),
        })
    }
}

impl fmt::Display for AppHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_label(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_LABEL_BYTES).contains(&text.len()) && text.bytes().all(is_allowed)
}

fn port_of(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port > 0)
}

/// An app: its hosts, and who may use it. Written as `HOST` for every user, or as `HOST: ITEM,…`, where an item
/// is the address of a user, `@` and the domain of addresses, or `group:` and the name of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedApp {
    hosts: Hosts,
    /// Who may use it; every user for `None`, and never an empty list.
    rule: Option<Vec<Allowed>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Hosts {
    One(AppHost),
    /// Those with one more label before this name.
    Below(AppHost),
}

/// Who may use an app.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    Address(Email),
    /// The users of the addresses in this domain, but not of those in domains below it.
    Domain(String),
    Group(GroupName),
}

/// Why a text is not a [`ProtectedApp`], with what would be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProtectedApp {
    /// It has a scheme or a path.
    #[error("give the host alone, such as wiki.example.org, without https:// and without a path")]
    Url,
    /// It has a dot at its end.
    #[error("leave out the dot at the end of the host: it is the same host as without")]
    Dot,
    /// The host is an IPv6 address.
    #[error("an IPv6 address cannot be the host of an app: give a name, or an IPv4 address")]
    Ipv6,
    /// The port is none.
    #[error("the port of a host is a number from 1 to 65535, such as wiki.example.org:8443")]
    Port,
    /// It begins with no host.
    #[error(
        "begin with a host, such as wiki.example.org or *.example.org, in ASCII (xn--… for other letters)"
    )]
    Host,
    /// Behind a host stands something else than a colon.
    #[error(
        "behind a host put a colon and who may use the app, or a semicolon and the next app, as in \
         wiki.example.org: bob@example.org; tube.example.org"
    )]
    Separator,
    /// The star stands for more or less than one label.
    #[error("a * stands for one label, at the start and above two others: *.example.org")]
    Star,
    /// A colon is followed by nothing.
    #[error(
        "say behind the colon who may use the app, or leave out the colon to let every user use it"
    )]
    Nobody,
    /// Behind the colon stands something else than users.
    #[error(
        "behind the colon give addresses, @domain or group:name, with commas between them, such as \
         bob@example.org, @example.com, group:staff; a semicolon comes before the next app"
    )]
    Item,
    /// Behind the colon stands a star.
    #[error(
        "behind the colon a * stands for nothing: @example.com stands for every address there, and a host \
         without a colon lets every user use the app"
    )]
    StarInRule,
}

impl FromStr for ProtectedApp {
    type Err = InvalidProtectedApp;

    fn from_str(text: &str) -> Result<Self, InvalidProtectedApp> {
        let without_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
        if without_scheme.starts_with('[') || without_scheme.parse::<Ipv6Addr>().is_ok() {
            return Err(InvalidProtectedApp::Ipv6);
        }
        let (host, items) = host_and_items(text);
        if host.contains('/') || items.is_some_and(|items| items.starts_with("//")) {
            return Err(InvalidProtectedApp::Url);
        }
        let host = host.trim();
        let hosts = host.parse().map_err(|reason| match reason {
            InvalidProtectedApp::Host if begins_with_host(host) => InvalidProtectedApp::Separator,
            reason => reason,
        })?;
        let rule = match items.map(str::trim) {
            None => None,
            Some("") => return Err(InvalidProtectedApp::Nobody),
            Some(items) => {
                let items = items.split(',').map(|item| item.trim().parse());
                Some(items.collect::<Result<_, _>>()?)
            }
        };
        Ok(Self { hosts, rule })
    }
}

/// Whether a host is followed by what could stand for a colon or a semicolon.
fn begins_with_host(text: &str) -> bool {
    let (host, rest) = text.split_at(text.find([' ', '\t', ',']).unwrap_or(text.len()));
    !rest.is_empty() && host.parse::<Hosts>().is_ok()
}

/// Cuts at the colon that is not the one before a port.
fn host_and_items(text: &str) -> (&str, Option<&str>) {
    let Some(colon) = text.find(':') else {
        return (text, None);
    };
    let behind = &text[colon + 1..];
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    match (digits, &behind[digits..]) {
        (1.., "") => (text, None),
        (1.., rest) if rest.starts_with(':') => {
            let end = colon + 1 + digits;
            (&text[..end], Some(&text[end + 1..]))
        }
        _ => (&text[..colon], Some(behind)),
    }
}

impl FromStr for Hosts {
    type Err = InvalidProtectedApp;

    fn from_str(text: &str) -> Result<Self, InvalidProtectedApp> {
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => {
                let port = port_of(port).ok_or(InvalidProtectedApp::Port)?;
                // Neither is written with a host in a request of its scheme.
                (
                    name,
                    Some(port).filter(|port| ![HTTP_PORT, HTTPS_PORT].contains(port)),
                )
            }
            None => (text, None),
        };
        if name.len() > 1 && name.ends_with('.') {
            return Err(InvalidProtectedApp::Dot);
        }
        let host = |name| AppHost::new(name, port).ok_or(InvalidProtectedApp::Host);
        let Some(below) = name.strip_prefix("*.") else {
            if name.contains('*') {
                return Err(InvalidProtectedApp::Star);
            }
            return host(name).map(Self::One);
        };
        // A single label is a whole top-level domain; `localhost` is this machine.
        let is_wide = !below.contains('.') && !below.eq_ignore_ascii_case("localhost");
        if is_wide || below.contains('*') {
            return Err(InvalidProtectedApp::Star);
        }
        host(below).map(Self::Below)
    }
}

impl FromStr for Allowed {
    type Err = InvalidProtectedApp;

    fn from_str(text: &str) -> Result<Self, InvalidProtectedApp> {
        if text.contains('*') {
            return Err(InvalidProtectedApp::StarInRule);
        }
        let invalid = InvalidProtectedApp::Item;
        if let Some(name) = text.strip_prefix("group:") {
            return name.trim().parse().map(Self::Group).map_err(|_| invalid);
        }
        if let Some(domain) = text.strip_prefix('@') {
            // What is no domain of an address would allow nobody.
            let address = format!("x@{domain}").parse::<Email>();
            let address = address.map_err(|_| invalid)?;
            return Ok(Self::Domain(address.domain().to_owned()));
        }
        text.parse().map(Self::Address).map_err(|_| invalid)
    }
}

impl fmt::Display for Hosts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(host) => host.fmt(formatter),
            Self::Below(host) => write!(formatter, "*.{host}"),
        }
    }
}

impl ProtectedApp {
    /// Whether a user with this address, in these groups, may use the app.
    pub fn allows(&self, email: &Email, groups: &GroupList) -> bool {
        let is_allowed = |allowed: &Allowed| match allowed {
            Allowed::Address(address) => address == email,
            Allowed::Domain(domain) => domain == email.domain(),
            Allowed::Group(group) => groups.contains(group),
        };
        let rule = self.rule.as_ref();
        rule.is_none_or(|rule| rule.iter().any(is_allowed))
    }

    /// Whether an address of its own lets a user in, so that it must be theirs.
    pub fn goes_by_address(&self) -> bool {
        let is_address = |allowed: &Allowed| !matches!(allowed, Allowed::Group(_));
        let mut rule = self.rule.iter().flatten();
        rule.any(is_address)
    }

    /// Its host, or `*.` and what its hosts are below.
    pub fn hosts(&self) -> String {
        self.hosts.to_string()
    }

    /// Its host; `None` if it has many.
    pub fn host(&self) -> Option<&AppHost> {
        match &self.hosts {
            Hosts::One(host) => Some(host),
            Hosts::Below(_) => None,
        }
    }
}

/// All apps, and where the service is that they belong to.
#[derive(Clone, Debug, Default)]
pub struct ProtectedApps {
    apps: Vec<ProtectedApp>,
    /// There is one if there is an app.
    public_url: Option<PublicUrl>,
}

/// Why apps do not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProtectedApps {
    /// A host is given twice.
    #[error("{0} is given more than once: put all who may use it behind one colon")]
    Twice(String),
    /// The service is reached over plain HTTP, and the app is on another machine.
    #[error(
        "{0} is not this machine: with an http public URL, sessions of apps would cross a network in the \
         open"
    )]
    Insecure(String),
}

impl ProtectedApps {
    /// Apps of the service at this URL.
    ///
    /// # Errors
    ///
    /// Says why they do not go together.
    pub fn new(
        apps: Vec<ProtectedApp>,
        public_url: PublicUrl,
    ) -> Result<Self, InvalidProtectedApps> {
        for (index, app) in apps.iter().enumerate() {
            let (Hosts::One(host) | Hosts::Below(host)) = &app.hosts;
            if !public_url.is_https() && !host.is_this_machine() {
                return Err(InvalidProtectedApps::Insecure(app.hosts.to_string()));
            }
            if apps[..index].iter().any(|other| other.hosts == app.hosts) {
                return Err(InvalidProtectedApps::Twice(app.hosts.to_string()));
            }
        }
        Ok(Self {
            apps,
            public_url: Some(public_url),
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    /// The app at a host: the one that has this host alone, or else the one with all of them. `None` if it is
    /// no app's.
    ///
    /// The service's own host is an app's only if it is given by its name: the account's session itself is
    /// good there.
    pub fn find(&self, host: &AppHost) -> Option<&ProtectedApp> {
        let exact = self.apps.iter().find(|app| app.host() == Some(host));
        let with_all = || {
            let parent = host.parent()?;
            let mut apps = self.apps.iter();
            apps.find(|app| matches!(&app.hosts, Hosts::Below(name) if name.as_str() == parent))
        };
        exact.or_else(|| with_all().filter(|_| !self.is_own_host(host)))
    }

    /// The apps that are at one host each, with it.
    pub fn with_hosts(&self) -> impl Iterator<Item = (&AppHost, &ProtectedApp)> {
        let apps = self.apps.iter();
        apps.filter_map(|app| Some((app.host()?, app)))
    }

    /// Whether it is the host of the service itself.
    pub fn is_own_host(&self, host: &AppHost) -> bool {
        let own = self.public_url.as_ref().map(PublicUrl::authority);
        own == Some(host.as_str())
    }

    /// Whether apps are reached over TLS, as the service is.
    pub fn are_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }

    /// Where the service is reached, for links; `None` if there are no apps.
    pub fn public_url(&self) -> Option<&PublicUrl> {
        self.public_url.as_ref()
    }

    /// The URL of a host, without a path: `https://wiki.example.org`.
    pub fn origin(&self, host: &AppHost) -> String {
        self.with_scheme(host.as_str())
    }

    /// Where apps on other hosts than the service's are, as `form-action` of a content security policy has
    /// it: `https://wiki.example.org`, `https://*.example.org`.
    pub fn other_origins(&self) -> impl Iterator<Item = String> {
        let is_other = |app: &&ProtectedApp| match &app.hosts {
            Hosts::One(host) => !self.is_own_host(host),
            Hosts::Below(_) => true,
        };
        let others = self.apps.iter().filter(is_other);
        others.map(|app| self.with_scheme(&app.hosts.to_string()))
    }

    fn with_scheme(&self, host: &str) -> String {
        let scheme = if self.are_https() { "https" } else { "http" };
        format!("{scheme}://{host}")
    }
}

#[cfg(test)]
mod tests;
