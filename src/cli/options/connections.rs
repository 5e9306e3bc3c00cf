//! How long a client may keep the service waiting, and how many may come at once.

use std::time::Duration;

use clap::Args;

use super::time::parse_time;
use crate::app::TrustedProxy;
use crate::server::ConnectionLimits;

/// How long a client may keep the service waiting. A client that exceeds a time is cut off.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connections")]
pub struct ConnectionOptions {
    /// How long a client may take to send the head of a request: its first line and header fields
    ///
    /// Also how long it may stay silent after it has connected.
    #[arg(
        long,
        env = "BIENVENUE_HEAD_TIMEOUT",
        value_name = "TIME",
        default_value = "10s",
        value_parser = parse_time
    )]
    head_timeout: Duration,

    /// How long a client may take to send the body of a request
    #[arg(
        long,
        env = "BIENVENUE_BODY_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = parse_time
    )]
    body_timeout: Duration,

    /// How long a client may take to receive an answer
    #[arg(
        long,
        env = "BIENVENUE_ANSWER_TIMEOUT",
        value_name = "TIME",
        default_value = "30s",
        value_parser = parse_time
    )]
    answer_timeout: Duration,

    /// How long a connection stays open between two requests
    ///
    /// Behind a proxy it must be longer than the proxy keeps its own unused connections.
    #[arg(
        long,
        env = "BIENVENUE_KEEP_ALIVE_TIMEOUT",
        value_name = "TIME",
        default_value = "75s",
        value_parser = parse_time
    )]
    keep_alive_timeout: Duration,

    /// How many connections are served at once; for another, the one is closed that has kept the
    /// service waiting longest, of the address that has most
    #[arg(
        long,
        env = "BIENVENUE_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "4096",
        value_parser = parse_max_connections
    )]
    max_connections: usize,
}

impl ConnectionOptions {
    /// How long the body of a request may take.
    pub fn body_timeout(&self) -> Duration {
        self.body_timeout
    }

    /// All that a server has to know, behind these proxies.
    pub fn limits(&self, trusted_proxies: &[TrustedProxy]) -> ConnectionLimits {
        ConnectionLimits {
            head: self.head_timeout,
            keep_alive: self.keep_alive_timeout,
            answer: self.answer_timeout,
            connections: self.max_connections,
            trusted_proxies: trusted_proxies.into(),
        }
    }
}

fn parse_max_connections(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if (1..=1_000_000).contains(&number) => Ok(number),
        _ => Err("give a number from 1 to 1000000".to_owned()),
    }
}
