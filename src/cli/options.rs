//! The options: each with its flag, its environment variable and its default.
//!
//! Read once and passed in. The comments on options are what `--help` shows.
//!
//! - `accounts`, `exposure`, `rate_limits`, `connections`, `mail`, `brand`, `database`, `log`: options by
//!   what they are about.
//! - `secret`: how options with passwords are read, from a file too, and not repeated.
//! - `setting`: which options are settings, which the environment and the configuration file can give;
//!   `environment`: their variables; `config_file`: the file; `effective`: what they come to.

#![expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, not in a browser"
)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use clap::{Args, Command};

use crate::app::{Brand, SessionCookie, Settings};
use crate::auth::rate_limit::RateLimits;
use crate::auth::{Lifetimes, SignUpMode};
use crate::protected_app::ProtectedApps;
use crate::server::{ConnectionLimits, ListenAddress};

mod accounts;
mod brand;
pub mod config_file;
mod connections;
mod database;
pub mod effective;
pub mod environment;
mod exposure;
mod log;
mod mail;
mod rate_limits;
pub mod secret;
pub mod setting;
mod time;

pub use accounts::AccountOptions;
pub use database::DatabaseOptions;
pub use log::LogOptions;
pub use mail::MailTransport;

use brand::BrandOptions;
use connections::ConnectionOptions;
use exposure::ExposureOptions;
use mail::MailOptions;
use rate_limits::RateLimitOptions;
use time::{format_time, parse_time};

/// How long a session that is not used lives, unless set.
const SESSION_IDLE_TIMEOUT: Duration = Duration::from_hours(14 * 24);

/// How to serve.
#[derive(Clone, Debug, Args)]
pub struct ServeOptions {
    /// Where to listen: an address and a port, or a Unix socket such as unix:/run/bienvenue/http.sock
    ///
    /// Without --public-url loopback only: the answer to a password reset carries the reset token,
    /// so anyone who reaches the service can take over accounts.
    ///
    /// A Unix socket can be opened by its owner and its group: make the proxy's user a member of that.
    /// It is believed about where a request comes from, as a --trusted-proxy. A socket that systemd has
    /// opened (a socket unit) takes the place of this option.
    #[arg(
        long,
        env = "BIENVENUE_LISTEN",
        value_name = "ADDRESS:PORT|unix:PATH",
        default_value = "127.0.0.1:5000"
    )]
    pub listen: ListenAddress,

    /// Where to answer /metrics, /livez, /readyz and /openapi.json, for who operates the service; nowhere
    /// unless set
    ///
    /// On a listener of its own: who can reach it learns how many users there are and what happens, so
    /// listen on loopback, in a private network or on a Unix socket, such as 127.0.0.1:9000 or
    /// unix:/run/bienvenue/operations.sock.
    #[arg(
        long,
        env = "BIENVENUE_OPERATIONS",
        value_name = "ADDRESS:PORT|unix:PATH"
    )]
    pub operations: Option<ListenAddress>,

    /// Where the data is.
    #[command(flatten)]
    pub database: DatabaseOptions,

    /// Change no schema at the start, but wait until it is there: bienvenue migrate creates it, or brings it
    /// up to date
    ///
    /// For several instances that are upgraded one after the other. Meanwhile /livez answers 200, /readyz
    /// 503, and connections wait to be accepted.
    #[arg(long, env = "BIENVENUE_NO_MIGRATE")]
    pub no_migrate: bool,

    /// What bears on accounts.
    #[command(flatten)]
    pub accounts: AccountOptions,

    /// The time in which all logins, sign-ups and password resets that wait to be hashed are to be done
    ///
    /// What does not fit is told at once to come back later. Sources of requests take turns and have
    /// equal shares of it.
    #[arg(
        long,
        env = "BIENVENUE_LOGIN_WAIT",
        value_name = "TIME",
        default_value = "5s",
        value_parser = parse_time
    )]
    pub login_wait: Duration,

    /// A session that is not used for this long ends [default: 14d, or --session-lifetime if that is
    /// shorter]
    #[arg(
        long,
        env = "BIENVENUE_SESSION_IDLE_TIMEOUT",
        value_name = "TIME",
        value_parser = parse_time
    )]
    session_idle_timeout: Option<Duration>,

    /// A session ends this long after the login, used or not
    #[arg(
        long,
        env = "BIENVENUE_SESSION_LIFETIME",
        value_name = "TIME",
        default_value = "30d",
        value_parser = parse_time
    )]
    session_lifetime: Duration,

    /// What cannot be undone, such as deleting the account, takes a login within this time, from 1m to 1h
    ///
    /// Who logged in longer ago logs in again for it. Changing the password takes the old one instead.
    #[arg(
        long,
        env = "BIENVENUE_FRESH_LOGIN",
        value_name = "TIME",
        default_value = "10m",
        value_parser = parse_fresh_login
    )]
    fresh_login: Duration,

    /// A reset token works for this long; at most 24h
    #[arg(
        long,
        env = "BIENVENUE_RESET_TOKEN_LIFETIME",
        value_name = "TIME",
        default_value = "30m",
        value_parser = parse_reset_token_lifetime
    )]
    reset_token_lifetime: Duration,

    /// How the log is written.
    #[command(flatten)]
    pub log: LogOptions,

    /// Who can reach the service, and what that takes.
    #[command(flatten)]
    pub exposure: ExposureOptions,

    /// How often one may try.
    #[command(flatten)]
    rate_limits: RateLimitOptions,

    /// How long a client may keep the service waiting.
    #[command(flatten)]
    connections: ConnectionOptions,

    /// How mails leave.
    #[command(flatten)]
    pub mail: MailOptions,

    /// What the pages look like.
    #[command(flatten)]
    brand: BrandOptions,
}

impl ServeOptions {
    /// What is to be said at the start about how the settings were given: environment variables that
    /// look like settings and are none, and files with passwords that others can read.
    pub fn warnings(&self) -> Vec<String> {
        let names = std::env::vars_os().map(|(name, _)| name);
        let options = Self::augment_args(Command::new("bienvenue"));
        let options = config_file::with_option(options);
        let mut warnings = environment::unknown(&options, names);
        warnings.extend(self.database.warning());
        warnings.extend(self.mail.warning());
        warnings
    }

    /// The address of a proxy that must be there and is not trusted: clients come over TLS, which the
    /// service does not speak, and only this machine can connect. `None` if nothing says that there is
    /// one.
    pub fn forgotten_proxy(&self) -> Option<IpAddr> {
        // Over a Unix socket whatever connects is one that is trusted.
        let ListenAddress::Tcp(address) = &self.listen else {
            return None;
        };
        let is_forgotten = self.accounts.is_https()
            && self.listen.is_local()
            && self.exposure.trusted_proxies.is_empty();
        is_forgotten.then(|| match address.ip().to_canonical() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        })
    }

    /// Where operators are answered if that is not this machine or in a private network, as far as the
    /// address tells.
    pub fn exposed_operations(&self) -> Option<&ListenAddress> {
        let is_exposed = |address: &&ListenAddress| match address {
            ListenAddress::Tcp(address) => !is_internal(address.ip()),
            ListenAddress::Unix(_) => false,
        };
        self.operations.as_ref().filter(is_exposed)
    }

    /// The lifetimes, together.
    pub fn lifetimes(&self) -> Lifetimes {
        let session_idle = self.session_idle_timeout.unwrap_or(SESSION_IDLE_TIMEOUT);
        Lifetimes {
            session_idle: session_idle.min(self.session_lifetime),
            session: self.session_lifetime,
            fresh_login: self.fresh_login,
            reset_token: self.reset_token_lifetime,
        }
    }

    /// What options come to that are not set and whose defaults depend on others, by their names.
    pub fn derived_defaults(&self) -> Vec<(&'static str, String)> {
        let idle = format_time(self.lifetimes().session_idle);
        let cookie = self.exposure.cookie_kind(self.accounts.is_https());
        let sign_up = self.exposure.sign_up_name(self.sends_mails());
        let mut defaults = vec![
            ("session-idle-timeout", idle),
            ("session-cookie", cookie.to_owned()),
            ("sign-up", sign_up.to_owned()),
            ("password-min", self.accounts.effective_password_min()),
        ];
        defaults.extend(rate_limits::by_option(&self.limits()));
        defaults
    }

    /// How the service shows itself to those who reach it.
    pub fn settings(&self) -> Settings {
        Settings {
            public_url: self.accounts.public_url.clone(),
            session_cookie: self.session_cookie(),
            allowed_origins: self.exposure.allowed_origins.clone(),
            trusted_proxies: self.exposure.trusted_proxies.clone(),
            body_timeout: self.connections.body_timeout(),
            brand: self.brand(),
        }
    }

    /// How long a client may keep the service waiting, and how many may come at once.
    pub fn connection_limits(&self) -> ConnectionLimits {
        self.connections.limits(&self.exposure.trusted_proxies)
    }

    /// What the pages look like.
    pub fn brand(&self) -> Brand {
        self.brand.brand(&self.accounts.site_name)
    }

    /// Which cookie keeps a session.
    pub fn session_cookie(&self) -> SessionCookie {
        self.exposure.session_cookie(self.accounts.is_https())
    }

    /// How people sign up.
    pub fn sign_up_mode(&self) -> SignUpMode {
        self.exposure.sign_up_mode(self.sends_mails())
    }

    fn sends_mails(&self) -> bool {
        self.mail.transport().is_some()
    }

    /// How often one may try: as suits the exposure, but for what is set.
    pub fn limits(&self) -> RateLimits {
        self.rate_limits.limits(match self.accounts.public_url {
            Some(_) => RateLimits::public(),
            None => RateLimits::local(),
        })
    }

    /// Refuses what does not go together.
    pub fn check(&self) -> Result<(), String> {
        if self.session_idle_timeout > Some(self.session_lifetime) {
            return Err(
                "--session-idle-timeout is longer than --session-lifetime, so it would never \
                 be reached: make it the shorter one"
                    .to_owned(),
            );
        }
        self.mail.check()?;
        self.check_origins()?;
        self.check_exposure()?;
        self.check_apps()
    }

    /// Refuses apps that could not be used, or that anyone could.
    fn check_apps(&self) -> Result<(), String> {
        self.apps()?;
        let mode = self.sign_up_mode();
        let is_confirmed = mode == SignUpMode::Closed
            || (mode == SignUpMode::Verified && !self.exposure.give_reset_tokens_to_anyone);
        if self.exposure.goes_by_address() && !is_confirmed {
            return Err(
                "--app lets addresses in, and anyone can sign up with any address: give --sign-up verified \
                 or closed, or let groups in (group:name)"
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// The apps in front of which a proxy asks.
    ///
    /// # Errors
    ///
    /// Says why they could not be used.
    pub fn apps(&self) -> Result<ProtectedApps, String> {
        let public_url = self.accounts.public_url.as_ref();
        self.exposure.apps(public_url, &self.listen)
    }

    /// Refuses the service's own origin, whose pages need no permission and are not answered as scripts are.
    fn check_origins(&self) -> Result<(), String> {
        let Some(public_url) = &self.accounts.public_url else {
            return Ok(());
        };
        let mut origins = self.exposure.allowed_origins.iter();
        match origins.find(|origin| origin.is_of(public_url)) {
            None => Ok(()),
            Some(origin) => Err(format!(
                "--allow-origin {origin} is the service itself, which --public-url names: leave it out"
            )),
        }
    }

    /// The hosts of the apps, as they were given.
    pub fn app_hosts(&self) -> impl Iterator<Item = String> {
        self.exposure.app_hosts()
    }

    /// Whether one of them is the host of the service itself, where all but some paths are the app's.
    pub fn has_app_on_own_host(&self) -> bool {
        let public_url = self.accounts.public_url.as_ref();
        public_url.is_some_and(|url| self.app_hosts().any(|host| host == url.authority()))
    }

    /// Refuses what would give accounts away, unless it is asked for by its name.
    fn check_exposure(&self) -> Result<(), String> {
        let is_public = self.accounts.public_url.is_some();
        let gives_tokens = self.exposure.give_reset_tokens_to_anyone;
        let reason = match (is_public, gives_tokens, self.sends_mails()) {
            (false, _, _) if !self.listen.is_local() => {
                return Err(format!(
                    "--listen {}: other machines can reach it, and the answer to a password reset \
                     carries the reset token: listen on 127.0.0.1 or [::1], or give --public-url \
                     with the URL by which the world reaches the service",
                    self.listen
                ));
            }
            (false, _, true) => {
                "links in mails begin with the public URL: give --public-url too, such as \
                 https://auth.example.org, or http://localhost:5000 for development"
            }
            (false, true, _) => {
                "--give-reset-tokens-to-anyone changes what --public-url does: without that, \
                 tokens are in the answers anyway"
            }
            (true, true, true) => {
                "--give-reset-tokens-to-anyone puts reset tokens into answers instead of mails: \
                 leave it out, or --smtp-url and --mail-dir"
            }
            (true, false, false) => {
                "with --public-url, reset links go to their owners by mail: give --smtp-url and \
                 --mail-from, or --mail-dir for development"
            }
            _ => return Ok(()),
        };
        Err(reason.to_owned())
    }
}

/// Whether an address is this machine's own or one of a private network: RFC 1918, RFC 3927, RFC 6598
/// (which overlay networks use), RFC 4193 and RFC 4291, 2.5.6.
fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let is_shared = matches!(address.octets(), [100, 64..128, ..]);
            is_shared || address.is_loopback() || address.is_private() || address.is_link_local()
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Long enough for what follows on a login, and short enough that a browser that is left alone gives no
/// account away.
fn parse_fresh_login(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if (Duration::from_mins(1)..=Duration::from_hours(1)).contains(&time) => Ok(time),
        _ => Err("give a time from 1m to 1h".to_owned()),
    }
}

/// NIST SP 800-63B, 4.2.2.2: a recovery code that is mailed is good for 24 hours at most.
fn parse_reset_token_lifetime(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if time <= Duration::from_hours(24) => Ok(time),
        _ => Err("give at most 24h: a token that lies around is an open door".to_owned()),
    }
}
