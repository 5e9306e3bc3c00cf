//! Who can reach the service, and what that takes.

#![allow(
    rustdoc::bare_urls,
    reason = "the help is read on a terminal, not in a browser"
)]

use clap::{Args, ValueEnum};

use crate::app::{AllowedOrigin, SessionCookie, TrustedProxy};
use crate::auth::SignUpMode;
use crate::protected_app::{ProtectedApp, ProtectedApps};
use crate::public_url::PublicUrl;
use crate::server::ListenAddress;

/// How the service faces the world. Without a public URL it serves this machine alone.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Public exposure")]
pub struct ExposureOptions {
    /// Which cookie keeps a session [default: host if the public URL is https, else plain]
    #[arg(long, env = "BIENVENUE_SESSION_COOKIE", value_name = "KIND")]
    session_cookie: Option<CookieKind>,

    /// How people sign up [default: verified where mails are sent, else unverified]
    ///
    /// Where no mails are sent, the token of the link for "verified" is in the answer, as reset tokens are.
    /// "bienvenue users add" adds users in each case.
    #[arg(long, env = "BIENVENUE_SIGN_UP", value_name = "HOW")]
    sign_up: Option<SignUpOption>,

    /// With a public URL, put reset tokens into answers instead of mails
    ///
    /// Anyone who reaches the service can then take over every account: only for a service that
    /// nothing but your own back end reaches.
    #[arg(long, env = "BIENVENUE_GIVE_RESET_TOKENS_TO_ANYONE")]
    pub give_reset_tokens_to_anyone: bool,

    /// Another origin whose scripts may use the service, such as https://app.example.org for a single-page app
    ///
    /// They may do there what the pages of the service may, in their users' names, by fetch() with
    /// credentials: "include". Pages below the same domain share the session with those of the service; for
    /// those of another site browsers keep a session apart. May be given several times, or as a list with
    /// commas.
    #[arg(
        long = "allow-origin",
        env = "BIENVENUE_ALLOW_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allowed_origins: Vec<AllowedOrigin>,

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

    /// An app that only users may reach: its host, and after a colon who may use it [default: every user]
    ///
    /// The --trusted-proxy in front of the app asks at /_bienvenue/forward_auth or /_bienvenue/auth_request
    /// whether a request may pass. Who may use it are addresses, @domain for all addresses in one, and
    /// group:name (bienvenue groups), with commas between them, as in
    /// "wiki.example.org: bob@example.org, @example.com, group:staff". "*.example.org" stands for all hosts
    /// with one more label. May be given several times, or as a list with semicolons.
    #[arg(
        long = "app",
        env = "BIENVENUE_APP",
        value_name = "HOST[: WHO,...]",
        value_parser = parse_apps
    )]
    apps: Vec<AppList>,
}

/// The apps that one value of the option gives.
#[derive(Clone, Debug)]
struct AppList(Vec<ProtectedApp>);

/// Reads apps with semicolons between them, of which one may also stand behind the last.
fn parse_apps(text: &str) -> Result<AppList, String> {
    let text = text.trim();
    let items: Vec<&str> = text.strip_suffix(';').unwrap_or(text).split(';').collect();
    let count = items.len();
    let apps = (1..).zip(items).map(|(number, item)| {
        item.trim().parse().map_err(|reason| match count {
            1 => format!("{reason}"),
            _ => format!("app {number} of {count}: {reason}"),
        })
    });
    apps.collect::<Result<_, String>>().map(AppList)
}

/// How browsers keep a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CookieKind {
    /// session_id, over plain HTTP too.
    Plain,
    /// __Host-session_id, over TLS only.
    Host,
}

/// How people sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SignUpOption {
    /// By a link that is mailed to the address, behind which they choose a password. The answer does not tell
    /// whether the address has an account.
    Verified,
    /// At once, with any address. The answer tells whether it has an account.
    Unverified,
    /// Not at all.
    Closed,
}

impl ExposureOptions {
    /// The apps, for a service that is reached at this URL and listens there.
    ///
    /// # Errors
    ///
    /// Says what is missing, or why they do not go together.
    pub fn apps(
        &self,
        public_url: Option<&PublicUrl>,
        listen: &ListenAddress,
    ) -> Result<ProtectedApps, String> {
        if self.apps.is_empty() {
            return Ok(ProtectedApps::default());
        }
        let Some(public_url) = public_url else {
            return Err(
                "--app: people are sent to the public URL to log in: give --public-url too, such as \
                 https://auth.example.org"
                    .to_owned(),
            );
        };
        // Whatever connects to a Unix socket is trusted.
        if self.trusted_proxies.is_empty() && matches!(listen, ListenAddress::Tcp(_)) {
            return Err(
                "--app: whether a request may pass is answered to a proxy that is trusted, and to nobody \
                 else: give --trusted-proxy with its address, or --listen unix:PATH"
                    .to_owned(),
            );
        }
        ProtectedApps::new(self.given_apps().cloned().collect(), public_url.clone())
            .map_err(|error| format!("--app: {error}"))
    }

    fn given_apps(&self) -> impl Iterator<Item = &ProtectedApp> {
        self.apps.iter().flat_map(|AppList(apps)| apps)
    }

    /// The hosts of the apps, as they were given.
    pub fn app_hosts(&self) -> impl Iterator<Item = String> {
        self.given_apps().map(ProtectedApp::hosts)
    }

    /// Whether an address lets its user use an app.
    pub fn goes_by_address(&self) -> bool {
        self.given_apps().any(ProtectedApp::goes_by_address)
    }

    /// How people sign up, if mails are sent or not.
    ///
    /// Without mail the token would be in the answer, and confirm nothing.
    pub fn sign_up_mode(&self, sends_mails: bool) -> SignUpMode {
        match self.sign_up {
            Some(SignUpOption::Verified) => SignUpMode::Verified,
            None if sends_mails => SignUpMode::Verified,
            Some(SignUpOption::Unverified) | None => SignUpMode::Unverified,
            Some(SignUpOption::Closed) => SignUpMode::Closed,
        }
    }

    /// The same, by the name that the option has for it.
    pub fn sign_up_name(&self, sends_mails: bool) -> &'static str {
        match self.sign_up_mode(sends_mails) {
            SignUpMode::Verified => "verified",
            SignUpMode::Unverified => "unverified",
            SignUpMode::Closed => "closed",
        }
    }

    /// Which cookie keeps a session, if clients come over TLS or not.
    ///
    /// At `http://localhost` the plain one: some browsers keep a `Secure` cookie from there, some
    /// (Safari) do not, and nothing crosses a network that TLS would have to protect.
    pub fn session_cookie(&self, is_https: bool) -> SessionCookie {
        match self.session_cookie {
            Some(CookieKind::Host) => SessionCookie::HostOnly,
            None if is_https => SessionCookie::HostOnly,
            Some(CookieKind::Plain) | None => SessionCookie::Plain,
        }
    }

    /// The kind of the cookie, by the name that the option has for it.
    pub fn cookie_kind(&self, is_https: bool) -> &'static str {
        match self.session_cookie(is_https) {
            SessionCookie::Plain => "plain",
            SessionCookie::HostOnly | SessionCookie::Partitioned => "host",
        }
    }
}
