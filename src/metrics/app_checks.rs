//! What proxies were told about requests for apps.

/// What a proxy was told when it asked whether a request for an app may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppCheck {
    /// It may pass, with a user.
    Allowed,
    /// Nobody is logged in at the app, whether the proxy was told where to log in or not.
    NotLoggedIn,
    /// The rule of the app does not let the user in.
    Forbidden,
    /// The host is no app's.
    UnknownApp,
    /// Who asked is no trusted proxy.
    Untrusted,
    /// It was not said, in one way only, what was asked for.
    Malformed,
    /// The database did not answer, or the service failed.
    Unavailable,
}

impl AppCheck {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Allowed,
        Self::NotLoggedIn,
        Self::Forbidden,
        Self::UnknownApp,
        Self::Untrusted,
        Self::Malformed,
        Self::Unavailable,
    ];

    /// The word for it in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::NotLoggedIn => "not_logged_in",
            Self::Forbidden => "forbidden",
            Self::UnknownApp => "unknown_app",
            Self::Untrusted => "untrusted",
            Self::Malformed => "malformed",
            Self::Unavailable => "unavailable",
        }
    }
}
