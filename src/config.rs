//! The command line: every setting with its flag, its environment variable and its default.
//!
//! Read once, in `main`, and passed in. The comments on [`Config`] are what `--help` shows.

#![expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, not in a browser"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, ValueEnum};
use tracing_subscriber::filter::Targets;

use crate::app::Settings;
use crate::auth::Lifetimes;
use crate::db::DatabaseUrl;
use crate::password::Cost;
use crate::throttle::Limits;

mod brand;
mod connections;
mod exposure;
mod mail;
mod secret;
mod throttle;

pub use brand::BrandOptions;
pub use exposure::ExposureOptions;
pub use mail::{MailOptions, MailWay};

use connections::ConnectionOptions;
use secret::SecretParser;
use throttle::ThrottleOptions;

/// A user authentication service: sign up, log in, log out, who is it, reset a password.
///
/// Without any option it serves on http://127.0.0.1:5000 and keeps its data in the file
/// bienvenue.db of the current folder, which it creates. Stop it with Ctrl-C or SIGTERM: requests
/// that have arrived are answered first.
///
/// Every option can also be set by the environment variable beside it; the option wins. Times are
/// written like 90s, 30m, 12h or 14d, and rates like 10/m, 5/15m or 100/h: so many at once, and as
/// many again evenly over the time. The rate off is no limit.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  bienvenue
  bienvenue --listen 127.0.0.1:8080 --database-url sqlite:/var/lib/bienvenue/users.db
  DATABASE_URL=postgres://bienvenue:secret@db.example.org/bienvenue?sslmode=verify-full bienvenue
  bienvenue --listen 0.0.0.0:5000 --public-url https://auth.example.org \\
            --smtp-url-file /etc/bienvenue/smtp-url --mail-from 'Example <noreply@example.org>'
  bienvenue --public-url http://localhost:5000 --mail-dir mails

Try it:
  curl -d email=bob@example.org -d password=b4l0u http://127.0.0.1:5000/users"
)]
pub struct Config {
    /// Where to listen. Without --public-url loopback only: the answer to a password reset carries
    /// the reset token, so whoever can reach the service can take over accounts
    #[arg(
        long,
        env = "BIENVENUE_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:5000",
        value_parser = parse_listen
    )]
    pub listen: SocketAddr,

    /// Where the data is: sqlite:FILE, created if absent, or postgres://USER:PASSWORD@HOST/DATABASE.
    /// Set it by the environment variable if it holds a password, which other users of the machine
    /// can see in a command line
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite:bienvenue.db",
        value_parser = SecretParser::<DatabaseUrl>::of_value()
    )]
    database_url: DatabaseUrl,

    /// The same out of a file, which other users of the machine need not be able to read
    #[arg(
        long,
        env = "DATABASE_URL_FILE",
        value_name = "FILE",
        value_parser = SecretParser::<DatabaseUrl>::of_file(),
        conflicts_with = "database_url"
    )]
    database_url_file: Option<DatabaseUrl>,

    /// The work that a password hash takes, for us and for whoever steals it: each step doubles
    /// it. Hashes of a lower cost are replaced at the next login. Those of a higher cost stay; then a
    /// wrong password takes longer for them than for an address without an account
    #[arg(
        long,
        env = "BIENVENUE_BCRYPT_COST",
        value_name = "4-16",
        default_value_t = Cost::DEFAULT,
        value_parser = parse_cost
    )]
    pub bcrypt_cost: Cost,

    /// The time in which all logins, sign-ups and password resets that wait to be hashed are to be
    /// done. What does not fit is told at once to come back later. Sources of requests take turns and
    /// have equal shares of it
    #[arg(
        long,
        env = "BIENVENUE_LOGIN_WAIT",
        value_name = "TIME",
        default_value = "5s",
        value_parser = parse_time
    )]
    pub login_wait: Duration,

    /// A session that is not used for this long ends
    #[arg(
        long,
        env = "BIENVENUE_SESSION_IDLE_TIMEOUT",
        value_name = "TIME",
        default_value = "14d",
        value_parser = parse_time
    )]
    pub session_idle_timeout: Duration,

    /// A session ends this long after the login, used or not
    #[arg(
        long,
        env = "BIENVENUE_SESSION_LIFETIME",
        value_name = "TIME",
        default_value = "30d",
        value_parser = parse_time
    )]
    pub session_lifetime: Duration,

    /// A reset token works for this long; at most 24h
    #[arg(
        long,
        env = "BIENVENUE_RESET_TOKEN_LIFETIME",
        value_name = "TIME",
        default_value = "30m",
        value_parser = parse_reset_token_lifetime
    )]
    pub reset_token_lifetime: Duration,

    /// What to log to standard error: error, warn, info, debug or trace; also by module, such as
    /// info,sqlx=debug
    #[arg(
        long,
        env = "BIENVENUE_LOG",
        value_name = "LEVEL",
        default_value = "info",
        value_parser = parse_log
    )]
    pub log: Targets,

    /// How to write the log: text for people, json for machines
    #[arg(
        long,
        env = "BIENVENUE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub log_format: LogFormat,

    /// Who can reach the service, and what that takes.
    #[command(flatten)]
    pub exposure: ExposureOptions,

    /// How often one may try.
    #[command(flatten)]
    throttle: ThrottleOptions,

    /// How long a client may keep the service waiting.
    #[command(flatten)]
    connections: ConnectionOptions,

    /// How mails leave.
    #[command(flatten)]
    pub mail: MailOptions,

    /// What the pages look like.
    #[command(flatten)]
    pub brand: BrandOptions,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the command line and the environment. Prints what is wrong, or the help that was
    /// asked for, and ends the process.
    #[must_use]
    pub fn from_command_line() -> Self {
        let config = Self::parse();
        if let Err(reason) = config.check() {
            Self::command()
                .error(ErrorKind::ArgumentConflict, reason)
                .exit();
        }
        config
    }

    /// The lifetimes, together.
    #[must_use]
    pub fn lifetimes(&self) -> Lifetimes {
        Lifetimes {
            session_idle: self.session_idle_timeout,
            session: self.session_lifetime,
            reset_token: self.reset_token_lifetime,
        }
    }

    /// Where the data is.
    #[must_use]
    pub fn database_url(&self) -> &DatabaseUrl {
        self.database_url_file
            .as_ref()
            .unwrap_or(&self.database_url)
    }

    /// How the service shows itself to those who reach it.
    #[must_use]
    pub fn settings(&self) -> Settings {
        Settings {
            public_url: self.exposure.public_url.clone(),
            session_cookie: self.exposure.session_cookie(),
            trusted_proxies: self.exposure.trusted_proxies.clone(),
            connection_limits: self.connections.limits(),
            brand: self.brand.brand(),
        }
    }

    /// How often one may try: as suits the exposure, but for what is set.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.throttle.limits(match self.exposure.public_url {
            Some(_) => Limits::public(),
            None => Limits::local(),
        })
    }

    fn check(&self) -> Result<(), String> {
        if self.session_idle_timeout > self.session_lifetime {
            return Err(
                "--session-idle-timeout is longer than --session-lifetime, so it would never \
                 be reached: make it the shorter one"
                    .to_owned(),
            );
        }
        self.mail.check()?;
        self.check_exposure()
    }

    /// Says no to what would give accounts away, unless it is asked for by its name.
    fn check_exposure(&self) -> Result<(), String> {
        let is_public = self.exposure.public_url.is_some();
        let gives_tokens = self.exposure.give_reset_tokens_to_anyone;
        let sends_mails = self.mail.way().is_some();
        let is_local_address = self.listen.ip().to_canonical().is_loopback();
        let reason = match (is_public, gives_tokens, sends_mails) {
            (false, _, _) if !is_local_address => {
                return Err(format!(
                    "{} can be reached from other machines, and the answer to a password reset \
                     carries the reset token: listen on 127.0.0.1 or [::1], or give --public-url \
                     with the URL by which the world reaches the service",
                    self.listen.ip()
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

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => port
            .parse()
            .map(|port| (Ipv4Addr::LOCALHOST, port).into())
            .ok(),
        None => text.parse::<SocketAddr>().ok(),
    };
    address.ok_or_else(|| "give an address and a port, such as 127.0.0.1:5000".to_owned())
}

fn parse_cost(text: &str) -> Result<Cost, String> {
    let cost = text.parse().ok().and_then(Cost::new);
    cost.ok_or_else(|| format!("give a number from {} to {}", Cost::MIN, Cost::MAX))
}

fn parse_time(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time >= Duration::from_secs(1) => Ok(time),
        _ => Err("give a time of a second or more, such as 90s, 30m, 12h or 14d".to_owned()),
    }
}

/// NIST SP 800-63B, 4.2.2.2: a recovery code that is mailed is good for 24 hours at most.
fn parse_reset_token_lifetime(text: &str) -> Result<Duration, String> {
    match parse_time(text)? {
        time if time <= Duration::from_hours(24) => Ok(time),
        _ => Err("give at most 24h: a token that lies around is an open door".to_owned()),
    }
}

fn parse_log(text: &str) -> Result<Targets, String> {
    Targets::from_str(text)
        .map_err(|_| "give error, warn, info, debug or trace, such as info,sqlx=debug".to_owned())
}

#[cfg(test)]
mod tests;
