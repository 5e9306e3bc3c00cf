//! How often one may try.

use clap::Args;

use crate::auth::rate_limit::{Rate, RateLimits};

/// How often one may try. A rate is a number and a time, such as 10/m, 5/15m or 100/h: so many at
/// once, and as many again in the course of that time. Or off.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Rate limits (10/m, 5/15m, 100/h; or off)")]
pub struct RateLimitOptions {
    /// How many wrong passwords may be tried for one address [default: 10/h with a public URL, else
    /// 10000/h]
    ///
    /// Counted apart for each place from which the user has logged in within 30 days, so that
    /// strangers cannot lock them out.
    #[arg(
        long,
        env = "BIENVENUE_LOGIN_RATE_PER_ACCOUNT",
        value_name = "RATE|off"
    )]
    login_rate_per_account: Option<Rate>,

    /// How many wrong passwords may be tried from one source [default: 100/h with a public URL, else
    /// off]
    ///
    /// A source is an IPv4 address, or an IPv6 network of 64 bits. Here and for the other rates per
    /// source, the network around it (24 bits of IPv4, 48 of IPv6) may try four times as often.
    #[arg(long, env = "BIENVENUE_LOGIN_RATE_PER_SOURCE", value_name = "RATE|off")]
    login_rate_per_source: Option<Rate>,

    /// How many logins may succeed from one source, to whatever accounts [default: 1000/h with a public
    /// URL, else off]
    #[arg(
        long,
        env = "BIENVENUE_SUCCESSFUL_LOGIN_RATE_PER_SOURCE",
        value_name = "RATE|off"
    )]
    successful_login_rate_per_source: Option<Rate>,

    /// How many may try to sign up from one source [default: 30/h with a public URL, else
    /// off]
    #[arg(
        long,
        env = "BIENVENUE_SIGN_UP_RATE_PER_SOURCE",
        value_name = "RATE|off"
    )]
    sign_up_rate_per_source: Option<Rate>,

    /// How many mails to sign up by may be asked for one address [default: 5/h with a public URL, else
    /// 1000/h]
    #[arg(
        long,
        env = "BIENVENUE_SIGN_UP_RATE_PER_ADDRESS",
        value_name = "RATE|off"
    )]
    sign_up_rate_per_address: Option<Rate>,

    /// How many password resets may be asked for one address, and other addresses by one account
    /// [default: 5/h with a public URL, else 1000/h]
    #[arg(
        long,
        env = "BIENVENUE_RESET_RATE_PER_ADDRESS",
        value_name = "RATE|off"
    )]
    reset_rate_per_address: Option<Rate>,

    /// How many password resets, and how many other addresses of accounts, may be asked for from one
    /// source [default: 30/h with a public URL, else off]
    #[arg(long, env = "BIENVENUE_RESET_RATE_PER_SOURCE", value_name = "RATE|off")]
    reset_rate_per_source: Option<Rate>,
}

impl RateLimitOptions {
    /// These limits, but for those that are set.
    pub fn limits(&self, unless_set: RateLimits) -> RateLimits {
        RateLimits {
            logins_per_account: self
                .login_rate_per_account
                .unwrap_or(unless_set.logins_per_account),
            logins_per_source: self
                .login_rate_per_source
                .unwrap_or(unless_set.logins_per_source),
            successful_logins_per_source: self
                .successful_login_rate_per_source
                .unwrap_or(unless_set.successful_logins_per_source),
            sign_ups_per_source: self
                .sign_up_rate_per_source
                .unwrap_or(unless_set.sign_ups_per_source),
            sign_ups_per_address: self
                .sign_up_rate_per_address
                .unwrap_or(unless_set.sign_ups_per_address),
            resets_per_address: self
                .reset_rate_per_address
                .unwrap_or(unless_set.resets_per_address),
            resets_per_source: self
                .reset_rate_per_source
                .unwrap_or(unless_set.resets_per_source),
        }
    }
}

/// These limits, by the names of their options.
pub fn by_option(limits: &RateLimits) -> [(&'static str, String); 7] {
    let rates = [
        ("login-rate-per-account", limits.logins_per_account),
        ("login-rate-per-source", limits.logins_per_source),
        (
            "successful-login-rate-per-source",
            limits.successful_logins_per_source,
        ),
        ("sign-up-rate-per-source", limits.sign_ups_per_source),
        ("sign-up-rate-per-address", limits.sign_ups_per_address),
        ("reset-rate-per-address", limits.resets_per_address),
        ("reset-rate-per-source", limits.resets_per_source),
    ];
    rates.map(|(option, rate)| (option, rate.to_string()))
}
