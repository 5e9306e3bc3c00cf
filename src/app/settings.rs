//! How the service shows itself to those who reach it.

use std::time::Duration;

use super::pages::Brand;
use crate::public_url::PublicUrl;

mod allowed_origin;
mod session_cookie;
mod trusted_proxy;

pub use allowed_origin::{AllowedOrigin, InvalidAllowedOrigin, cors_layer};
pub use session_cookie::SessionCookie;
pub use trusted_proxy::{InvalidTrustedProxy, TrustedProxy, is_proxy};

/// How the service shows itself. The default is the local exposure: for clients on this machine.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the world reaches the service; `None` in local exposure.
    pub public_url: Option<PublicUrl>,
    /// How browsers keep a session.
    pub session_cookie: SessionCookie,
    /// Other origins whose scripts may use the service.
    pub allowed_origins: Vec<AllowedOrigin>,
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
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            body_timeout: Duration::from_secs(30),
            brand: Brand::default(),
        }
    }
}

impl Settings {
    /// Whether clients come over TLS.
    pub fn is_over_tls(&self) -> bool {
        self.public_url.as_ref().is_some_and(PublicUrl::is_https)
    }
}
