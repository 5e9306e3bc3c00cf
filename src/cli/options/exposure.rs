//! Who can reach the service, and what that takes.

#![allow(
    rustdoc::bare_urls,
    reason = "the help is read on a terminal, not in a browser"
)]

use clap::{Args, ValueEnum};

use crate::app::{SessionCookie, TrustedProxy};
use crate::password::PasswordRule;
use crate::public_url::PublicUrl;

/// How the service faces the world. Without a public URL it serves this machine alone.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Public exposure")]
pub struct ExposureOptions {
    /// Where the world reaches the service, such as https://auth.example.org
    ///
    /// Switches everything at once to what is safe there: any address to listen on, reset links by
    /// mail to the owner instead of tokens in answers (--smtp-url), a rule for new passwords
    /// (--password-min), session cookies for TLS only (--session-cookie). Links in mails begin with
    /// it. Plain http only for http://localhost and the like.
    #[arg(long, env = "BIENVENUE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<PublicUrl>,

    /// Which cookie keeps a session [default: host if the public URL is https, else plain]
    #[arg(long, env = "BIENVENUE_SESSION_COOKIE", value_name = "KIND")]
    session_cookie: Option<CookieKind>,

    /// How many characters a new password must have, from 8 to 64 [default: 8 with a public URL, else
    /// none]
    ///
    /// It must then also not be close to one of the most used ones, the email address or the name of
    /// the site. With none, every password that is not empty will do; existing ones always do.
    #[arg(
        long,
        env = "BIENVENUE_PASSWORD_MIN",
        value_name = "8-64|none",
        value_parser = parse_password_min
    )]
    password_min: Option<PasswordMin>,

    /// With a public URL, put reset tokens into answers instead of mails
    ///
    /// Anyone who reaches the service can then take over every account: only for a service that
    /// nothing but your own back end reaches.
    #[arg(long, env = "BIENVENUE_GIVE_RESET_TOKENS_TO_ANYONE")]
    pub give_reset_tokens_to_anyone: bool,

    /// A proxy in front of the service: an address, or a network such as 10.0.0.0/8
    ///
    /// It is believed, in X-Forwarded-For or Forwarded, about where a request comes from. May be given
    /// several times, or as a list with commas. Without it all clients behind a proxy count as one,
    /// and exhaust one another's attempts.
    #[arg(
        long = "trusted-proxy",
        env = "BIENVENUE_TRUSTED_PROXY",
        value_name = "ADDRESS[/BITS]",
        value_delimiter = ','
    )]
    pub trusted_proxies: Vec<TrustedProxy>,
}

/// How browsers keep a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CookieKind {
    /// session_id, over plain HTTP too.
    Plain,
    /// __Host-session_id, over TLS only.
    Host,
}

/// What is asked of a new password; nothing for `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PasswordMin(Option<PasswordRule>);

impl ExposureOptions {
    /// Whether clients come over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }

    /// Which cookie keeps a session.
    ///
    /// At `http://localhost` the plain one: some browsers keep a `Secure` cookie from there, some
    /// (Safari) do not, and nothing crosses a network that TLS would have to protect.
    pub fn session_cookie(&self) -> SessionCookie {
        match self.session_cookie {
            Some(CookieKind::Host) => SessionCookie::HostOnly,
            None if self.is_https() => SessionCookie::HostOnly,
            Some(CookieKind::Plain) | None => SessionCookie::Plain,
        }
    }

    /// What options come to that are not set and whose defaults depend on others, by their names.
    pub fn derived_defaults(&self) -> [(&'static str, String); 2] {
        let cookie = match self.session_cookie() {
            SessionCookie::Plain => "plain",
            SessionCookie::HostOnly => "host",
        };
        let min = match self.password_rule() {
            Some(rule) => rule.min_characters().to_string(),
            None => "none".to_owned(),
        };
        [("session-cookie", cookie.to_owned()), ("password-min", min)]
    }

    /// What is asked of a new password; `None` for nothing.
    pub fn password_rule(&self) -> Option<PasswordRule> {
        match &self.password_min {
            Some(PasswordMin(rule)) => rule.clone(),
            None => self.public_url.is_some().then(PasswordRule::default),
        }
    }
}

fn parse_password_min(text: &str) -> Result<PasswordMin, String> {
    if text == "none" {
        return Ok(PasswordMin(None));
    }
    match text.parse().ok().and_then(PasswordRule::new) {
        Some(rule) => Ok(PasswordMin(Some(rule))),
        None => Err(format!(
            "give a number from {} to {}, or none",
            PasswordRule::LOWEST_MIN,
            PasswordRule::HIGHEST_MIN
        )),
    }
}
