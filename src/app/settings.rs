//! How the service shows itself to those who reach it.

use std::time::Duration;

use super::brand::{BrandColor, Logo, SiteName};
use super::client_address::TrustedProxy;
use super::session::SessionCookie;
use crate::public_url::PublicUrl;

/// How the service shows itself. The default is the local exposure: for clients on this machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the world reaches the service; `None` in local exposure.
    pub public_url: Option<PublicUrl>,
    /// How browsers keep a session.
    pub session_cookie: SessionCookie,
    /// Who is believed about where a request comes from.
    pub trusted_proxies: Vec<TrustedProxy>,
    /// From the header fields of a request to the end of its body.
    pub body_timeout: Duration,
    /// What its pages look like.
    pub brand: Brand,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            public_url: None,
            session_cookie: SessionCookie::default(),
            trusted_proxies: Vec::new(),
            body_timeout: Duration::from_secs(30),
            brand: Brand::default(),
        }
    }
}

impl Settings {
    /// Whether clients come over TLS.
    pub(super) fn is_over_tls(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }
}

/// Whose pages they are, as people see it.
#[derive(Clone, Debug, Default)]
pub struct Brand {
    /// The name on every page.
    pub site_name: SiteName,
    /// The colour of buttons and links.
    pub color: BrandColor,
    /// The picture in the place of the name; `None` for the name itself.
    pub logo: Option<Logo>,
}
