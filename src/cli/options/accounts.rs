//! What bears on accounts, whether the service changes them or a command.

#![allow(
    rustdoc::bare_urls,
    reason = "the help is read on a terminal, not in a browser"
)]

use clap::Args;

use crate::app::SiteName;
use crate::password::{Cost, PasswordRule};
use crate::public_url::PublicUrl;

/// What the service and its commands must be told alike: what links begin with, and what new passwords
/// are.
#[derive(Clone, Debug, Args)]
pub struct AccountOptions {
    /// The work that a password hash takes, for the service and for a thief: each step doubles it
    ///
    /// Hashes of a lower cost are replaced at the next login. Those of a higher cost stay; then a
    /// wrong password takes longer for them than for an address without an account.
    #[arg(
        long,
        env = "BIENVENUE_BCRYPT_COST",
        value_name = "4-16",
        default_value_t = Cost::DEFAULT,
        value_parser = parse_cost
    )]
    pub bcrypt_cost: Cost,

    /// Where the world reaches the service, such as https://auth.example.org
    ///
    /// Switches everything at once to what is safe there: any address to listen on, reset links by
    /// mail to the owner instead of tokens in answers (--smtp-url), a rule for new passwords
    /// (--password-min), session cookies for TLS only (--session-cookie). Links begin with it. Plain
    /// http only for http://localhost and the like.
    #[arg(
        long,
        env = "BIENVENUE_PUBLIC_URL",
        value_name = "URL",
        help_heading = "Public exposure"
    )]
    pub public_url: Option<PublicUrl>,

    /// How many characters a new password must have, from 8 to 64 [default: 8 with a public URL, else
    /// none]
    ///
    /// It must then also not be close to one of the most used ones, the email address or the name of
    /// the site. With none, every password that is not empty will do; existing ones always do.
    #[arg(
        long,
        env = "BIENVENUE_PASSWORD_MIN",
        value_name = "8-64|none",
        value_parser = parse_password_min,
        help_heading = "Public exposure"
    )]
    password_min: Option<PasswordMin>,

    /// The name that people see on every page
    #[arg(
        long,
        env = "BIENVENUE_SITE_NAME",
        value_name = "NAME",
        default_value = "Bienvenue",
        help_heading = "Pages"
    )]
    pub site_name: SiteName,
}

/// What is asked of a new password; nothing for `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PasswordMin(Option<PasswordRule>);

impl AccountOptions {
    /// Whether clients come over TLS.
    pub fn is_https(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }

    /// What is asked of a new password; `None` for nothing.
    pub fn password_rule(&self) -> Option<PasswordRule> {
        let rule = match &self.password_min {
            Some(PasswordMin(rule)) => rule.clone(),
            None => self.public_url.is_some().then(PasswordRule::default),
        };
        let host = self.public_url.as_ref().map(PublicUrl::host);
        Some(rule?.for_site(self.site_name.as_str(), host))
    }

    /// What `--password-min` comes to.
    pub fn effective_password_min(&self) -> String {
        match self.password_rule() {
            Some(rule) => rule.min_characters().to_string(),
            None => "none".to_owned(),
        }
    }
}

fn parse_cost(text: &str) -> Result<Cost, String> {
    let cost = text.parse().ok().and_then(Cost::new);
    cost.ok_or_else(|| format!("give a number from {} to {}", Cost::MIN, Cost::MAX))
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
