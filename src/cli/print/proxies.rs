//! `bienvenue print nginx`, `caddy` and `traefik`: how a proxy is set up in front of the service and of apps.
//!
//! The files beside this one are whole configurations for hosts that stand for others, `auth.example.org` for
//! the service and `wiki.example.org` for an app. What the options say takes their places.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::app::SessionCookie;
use crate::cli::options::ServeOptions;
use crate::public_url::PublicUrl;
use crate::server::ListenAddress;

/// What stands in the files for the service, where it listens, and an app.
const SERVICE: &str = "auth.example.org";
const LISTEN: &str = "127.0.0.1:5000";
const APP: &str = "wiki.example.org";

/// How nginx listens in the files.
const LISTEN_TLS: &str = "    listen 443 ssl;\n    listen [::]:443 ssl;\n";

/// What the cookies of the files begin with, over TLS.
const HOST_PREFIX: &str = "__Host-";

/// The first parts of the service's paths. On a host that it shares with an app they are its own.
const OWN_PATHS: [&str; 6] = [
    "_bienvenue",
    "users",
    "sessions",
    "profile",
    "reset_password",
    "undo_email_change",
];

/// Paths of the service whose first part is an app's too. By the second, which nobody serves, browsers see
/// whether the first is served (<https://w3c.github.io/webappsec-change-password-url/>).
const WELL_KNOWN: [&str; 2] = [
    ".well-known/change-password",
    ".well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200",
];

/// The paths of the service on a host that it shares with an app, for people.
pub fn own_paths() -> String {
    let [change_password, _] = WELL_KNOWN;
    format!("/{}, /{change_password}", OWN_PATHS.join(", /"))
}

/// A proxy that can be set up.
#[derive(Clone, Copy, Debug)]
pub enum Proxy {
    Nginx,
    Caddy,
    Traefik,
}

/// What the options say of the service and the apps.
struct Setup {
    is_https: bool,
    has_host_cookie: bool,
    service: Host,
    listen: ListenAddress,
    apps: Vec<Host>,
}

/// A host, with its port if that is not the usual one.
#[derive(Clone, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<String>,
}

impl Host {
    fn new(text: &str) -> Self {
        // Not the colon inside of an IPv6 address.
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port.to_owned())),
            _ => (text, None),
        };
        Self {
            name: name.to_owned(),
            port,
        }
    }

    /// With the port, as it stands in a URL.
    fn authority(&self) -> String {
        let port = self.port.as_ref().map(|port| format!(":{port}"));
        self.name.clone() + &port.unwrap_or_default()
    }

    /// Where it is on this machine, without TLS.
    fn loopback_addresses(&self) -> Vec<&str> {
        let is_address = self.name.starts_with('[') || self.name.parse::<Ipv4Addr>().is_ok();
        if is_address {
            vec![&self.name]
        } else {
            vec!["127.0.0.1", "[::1]"]
        }
    }

    /// A name for files.
    fn file_name(&self) -> String {
        self.name.replace('*', "_")
    }
}

impl Setup {
    fn new(options: &ServeOptions) -> Self {
        let public_url = options.accounts.public_url.as_ref();
        let mut apps: Vec<Host> = options.app_hosts().map(|host| Host::new(&host)).collect();
        if apps.is_empty() {
            apps.push(Host::new(APP));
        }
        Self {
            is_https: public_url.is_none_or(PublicUrl::is_https),
            has_host_cookie: public_url.is_none()
                || options.session_cookie() != SessionCookie::Plain,
            service: Host::new(public_url.map_or(SERVICE, |url| url.authority())),
            listen: options.listen.clone(),
            apps,
        }
    }

    /// Where a proxy on the same machine reaches the service: `127.0.0.1:5000`, or `unix:/run/http.sock`.
    fn upstream(&self) -> String {
        match &self.listen {
            ListenAddress::Tcp(address) if address.ip().is_unspecified() => {
                let loopback: IpAddr = match address.ip() {
                    IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                    IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                };
                SocketAddr::new(loopback, address.port()).to_string()
            }
            address => address.to_string(),
        }
    }

    /// The apps on hosts of their own; the service has its host for itself if no app is there.
    fn has_own_host(&self) -> bool {
        !self.apps.contains(&self.service)
    }

    /// A file of nginx for a host, which it is written for as this name.
    fn nginx_server(&self, file: &str, written: &str, host: &Host) -> String {
        let file = file.replace(&format!("/{written}"), &format!("/{}", host.file_name()));
        let mut file = file.replace(written, &host.name);
        if let Some(port) = &host.port {
            file = file.replace("$host", &format!("$host:{port}"));
        }
        let port = host.port.as_deref();
        let listen = if self.is_https {
            LISTEN_TLS.replace("443", port.unwrap_or("443"))
        } else {
            file = without_lines(&file, "    ssl_certificate");
            let port = port.unwrap_or("80");
            let addresses = host.loopback_addresses().into_iter();
            let lines = addresses.map(|address| format!("    listen {address}:{port};\n"));
            lines.collect::<Vec<_>>().concat()
        };
        file.replace(LISTEN_TLS, &listen)
    }

    fn nginx(&self) -> String {
        let mut parts = vec![include_str!("nginx/http.conf").replace(LISTEN, &self.upstream())];
        if self.has_own_host() {
            let file = include_str!("nginx/service.conf");
            parts.push(self.nginx_server(file, SERVICE, &self.service));
        }
        parts.push(self.with_cookies(include_str!("nginx/apps.conf")));
        for app in &self.apps {
            let mut file = include_str!("nginx/app.conf").to_owned();
            if *app == self.service {
                let paths = OWN_PATHS.join("|");
                let well_known = WELL_KNOWN.join("|").replace('.', "\\.");
                let paths = format!("location ~ ^/(?:(?:{paths})(?:/|$)|(?:{well_known})$)");
                file = file.replace("location ^~ /_bienvenue/", &paths);
                file = file.replace("$bienvenue_cookie", "$http_cookie");
            }
            parts.push(self.nginx_server(&file, APP, app));
        }
        parts.concat()
    }

    /// A file of Caddy for a host, which it is written for as this name.
    fn caddy_site(&self, file: &str, written: &str, host: &Host) -> String {
        if self.is_https {
            return file.replace(written, &host.authority());
        }
        let addresses = host.loopback_addresses().join(" ");
        let site = format!("http://{} {{\n    bind {addresses}\n", host.authority());
        file.replace(&format!("{written} {{\n"), &site)
    }

    fn caddy(&self) -> String {
        let listen = match &self.listen {
            ListenAddress::Tcp(_) => self.upstream(),
            ListenAddress::Unix(path) => format!("unix/{}", path.display()),
        };
        let mut parts = Vec::new();
        if self.has_own_host() {
            let file = include_str!("caddy/service.caddy");
            parts.push(self.caddy_site(file, SERVICE, &self.service));
        }
        for app in &self.apps {
            let mut file = self.caddy_site(include_str!("caddy/app.caddy"), APP, app);
            if *app == self.service {
                let paths = OWN_PATHS.map(|path| format!("/{path} /{path}/*")).join(" ");
                let well_known = WELL_KNOWN.map(|path| format!("/{path}")).join(" ");
                let paths = format!("path {paths} {well_known}");
                file = file.replace("path /_bienvenue/*", &paths);
            }
            parts.push(file);
        }
        parts.concat().replace(LISTEN, &listen)
    }

    fn traefik(&self) -> String {
        let mut parts = vec![include_str!("traefik/start.yaml").to_owned()];
        if self.has_own_host() {
            let file = include_str!("traefik/service.yaml");
            parts.push(file.replace(SERVICE, &self.service.name));
        }
        let numbered = || (1..).zip(&self.apps);
        parts.extend(numbered().map(|(number, app)| self.traefik_app(number, app)));
        parts.push(include_str!("traefik/check.yaml").to_owned());
        let file = include_str!("traefik/app_server.yaml");
        parts.extend(numbered().map(|(number, _)| numbered_app(file, number)));
        let file = parts.concat().replace(LISTEN, &self.upstream());
        if self.is_https {
            return file;
        }
        without_lines(&file, "      tls:")
            .replace("[websecure]", "[web]")
            .replace("point websecure", "point web")
    }

    /// The routers of an app.
    fn traefik_app(&self, number: usize, app: &Host) -> String {
        let mut file = numbered_app(include_str!("traefik/app.yaml"), number);
        if *app == self.service {
            let paths = OWN_PATHS.join("|");
            let well_known = WELL_KNOWN.join("|").replace('.', "[.]");
            let paths = format!("PathRegexp(`^/(({paths})(/|$)|({well_known})$)`)");
            file = file.replace("PathPrefix(`/_bienvenue/`)", &paths);
        }
        let Some(below) = app.name.strip_prefix("*.") else {
            return file.replace(APP, &app.name);
        };
        // Of several rules that match, the longest would win, and not that of the one host.
        let below = below.replace('.', "[.]");
        file.replace(
            &format!("Host(`{APP}`)"),
            &format!("HostRegexp(`^[^.]+[.]{below}$`)"),
        )
        .replace("      service: b", "      priority: 2\n      service: b")
        .replace("      middlewares", "      priority: 1\n      middlewares")
    }

    fn with_cookies(&self, file: &str) -> String {
        if self.has_host_cookie {
            file.to_owned()
        } else {
            file.replace(HOST_PREFIX, "")
        }
    }
}

/// A part of a file of Traefik, where each app has a name of its own.
fn numbered_app(file: &str, number: usize) -> String {
    if number == 1 {
        return file.to_owned();
    }
    let name = format!("app-{number}");
    file.replace("    app", &format!("    {name}"))
        .replace("service: app", &format!("service: {name}"))
}

fn without_lines(text: &str, start: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines.filter(|line| !line.starts_with(start)).collect()
}

/// Refuses a service that the proxy cannot reach. The error says what to give.
pub fn check(proxy: Proxy, options: &ServeOptions) -> Result<(), String> {
    match (proxy, &options.listen) {
        (Proxy::Traefik, socket @ ListenAddress::Unix(_)) => Err(format!(
            "--listen {socket}: Traefik cannot connect to a Unix socket: give an address and a port, such as \
             {LISTEN}"
        )),
        _ => Ok(()),
    }
}

/// The configuration of a proxy for a service with these options, which were checked.
pub fn render(proxy: Proxy, options: &ServeOptions) -> String {
    let setup = Setup::new(options);
    match proxy {
        Proxy::Nginx => setup.nginx(),
        Proxy::Caddy => setup.caddy(),
        Proxy::Traefik => setup.traefik(),
    }
}
