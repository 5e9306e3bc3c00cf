//! The command line: every setting with its flag, its environment variable and its default.
//!
//! Read once, in `main`, and passed in. The comments on [`Config`] are what `--help` shows.

#![expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, not in a browser"
)]

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, Parser, ValueEnum};
use tracing_subscriber::filter::Targets;

use crate::auth::Lifetimes;
use crate::db::DatabaseUrl;
use crate::password::Cost;

/// A user authentication service: sign up, log in, log out, who is it, reset a password.
///
/// Without any option it serves on http://127.0.0.1:5000 and keeps its data in the file
/// bienvenue.db of the current folder, which it creates. Stop it with Ctrl-C or SIGTERM: requests
/// that have arrived are answered first.
///
/// Every option can also be set by the environment variable beside it; the option wins. Times are
/// written like 90s, 30m, 12h or 14d.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  bienvenue
  bienvenue --listen 127.0.0.1:8080 --database-url sqlite:/var/lib/bienvenue/users.db
  DATABASE_URL=postgres://bienvenue:secret@db.example.org/bienvenue bienvenue --log-format json

Try it:
  curl -d email=bob@example.org -d password=b4l0u http://127.0.0.1:5000/users"
)]
pub struct Config {
    /// Where to listen. Loopback only: the answer to a password reset carries the reset token, so
    /// whoever can reach the service can take over accounts
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
        value_parser = DatabaseUrlParser
    )]
    pub database_url: DatabaseUrl,

    /// The work that a password hash takes, for us and for whoever steals it: each step doubles
    /// it. Hashes of a lower cost are replaced at the next login
    #[arg(
        long,
        env = "BIENVENUE_BCRYPT_COST",
        value_name = "4-16",
        default_value_t = Cost::DEFAULT,
        value_parser = parse_cost
    )]
    pub bcrypt_cost: Cost,

    /// The longest that a login, a sign-up or a password reset may wait for its turn to be hashed.
    /// Whoever would wait longer is told at once to come back later
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

    fn check(&self) -> Result<(), &'static str> {
        if self.session_idle_timeout > self.session_lifetime {
            return Err(
                "--session-idle-timeout is longer than --session-lifetime, so it would never \
                 be reached: make it the shorter one",
            );
        }
        Ok(())
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
    let address = address.ok_or("give an address and a port, such as 127.0.0.1:5000")?;
    if address.ip().to_canonical().is_loopback() {
        Ok(address)
    } else {
        Err(format!(
            "{} can be reached from other machines, and the answer to a password reset carries \
             the reset token: give 127.0.0.1 or [::1]. Other addresses need the public exposure \
             (--public-url), which this version does not have",
            address.ip()
        ))
    }
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

/// Parses a database URL. Unlike a plain function, it does not repeat a refused one, which may hold
/// a password, on the terminal.
#[derive(Clone)]
struct DatabaseUrlParser;

impl TypedValueParser for DatabaseUrlParser {
    type Value = DatabaseUrl;

    fn parse_ref(
        &self,
        command: &Command,
        _argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<DatabaseUrl, clap::Error> {
        let refuse = |reason: &str| {
            let text = format!("invalid value for '--database-url <URL>': {reason}");
            command.clone().error(ErrorKind::ValueValidation, text)
        };
        let text = value.to_str().ok_or_else(|| refuse("not UTF-8"))?;
        text.parse::<DatabaseUrl>()
            .map_err(|error| refuse(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Config, String> {
        let config = Config::try_parse_from([&["bienvenue"], arguments].concat())
            .map_err(|error| error.to_string())?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn the_command_line_is_sound() {
        Config::command().debug_assert();
    }

    #[test]
    fn loopback_addresses_are_taken() {
        for (text, address) in [
            ("127.0.0.1:5000", "127.0.0.1:5000"),
            ("127.8.9.1:80", "127.8.9.1:80"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::1]:5000", "[::1]:5000"),
            ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1"),
        ] {
            let config = parse(&["--listen", text]).unwrap();
            assert_eq!(config.listen, address.parse().unwrap(), "{text}");
        }
    }

    #[test]
    fn other_addresses_are_refused_with_the_way_out() {
        for text in [
            "0.0.0.0:5000",
            "[::]:5000",
            "192.168.1.2:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            let message = parse(&["--listen", text]).unwrap_err();
            assert!(message.contains("--public-url"), "{message}");
        }
    }

    #[test]
    fn bad_values_are_refused_with_what_would_be_right() {
        for (option, value, hint) in [
            ("--listen", "5000", "127.0.0.1:5000"),
            ("--listen", "localhost:x", "127.0.0.1:5000"),
            ("--bcrypt-cost", "3", "4 to 16"),
            ("--bcrypt-cost", "17", "4 to 16"),
            ("--bcrypt-cost", "twelve", "4 to 16"),
            ("--session-lifetime", "0s", "14d"),
            ("--session-lifetime", "soon", "14d"),
            ("--session-idle-timeout", "31d", "--session-lifetime"),
            ("--reset-token-lifetime", "25h", "24h"),
            ("--log", "loud=very", "info,sqlx=debug"),
            ("--log-format", "xml", "json"),
            ("--database-url", "mysql://host/db", "postgres://"),
        ] {
            let message = parse(&[option, value]).unwrap_err();
            assert!(message.contains(hint), "{option} {value}: {message}");
        }
    }

    #[test]
    fn a_refused_database_url_is_not_repeated() {
        let message = parse(&["--database-url", "mysql://me:s3cret@host/db"]).unwrap_err();
        assert!(!message.contains("s3cret"), "{message}");
    }
}
