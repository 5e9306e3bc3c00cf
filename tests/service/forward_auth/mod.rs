//! A proxy asks, for each request for an app, whether that may pass.

mod all_inputs;
mod browser;
mod checks;
mod ends;
mod hand_over;
mod pages;
mod program;
mod tickets;

use std::fmt::Debug;

pub use browser::{Browser, End};

use crate::support::TestApp;
use crate::support::client::{Call, Client, Reply};

pub const EMAIL: &str = "bob@example.org";
pub const PASSWORD: &str = "b4l0u";

/// The service's own host, as an app of its own.
pub const OWN: &str = "auth.example.org";

/// An app on another host.
pub const WIKI: &str = "wiki.example.org";

/// What browsers say of what they show.
pub const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// How a proxy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ForwardAuth,
    AuthRequest,
}

pub const WAYS: [Way; 2] = [Way::ForwardAuth, Way::AuthRequest];

impl Way {
    pub fn path(self) -> &'static str {
        match self {
            Self::ForwardAuth => "/_bienvenue/forward_auth",
            Self::AuthRequest => "/_bienvenue/auth_request",
        }
    }

    /// The header fields about a request.
    pub fn fields(self, method: &str, host: &str, path: &str) -> Vec<(&'static str, String)> {
        match self {
            Self::ForwardAuth => vec![
                ("x-forwarded-method", method.to_owned()),
                ("x-forwarded-proto", "https".to_owned()),
                ("x-forwarded-host", host.to_owned()),
                ("x-forwarded-uri", path.to_owned()),
            ],
            Self::AuthRequest => vec![
                ("x-original-method", method.to_owned()),
                ("x-original-url", format!("https://{host}{path}")),
            ],
        }
    }

    /// Asks about a request.
    pub fn ask(self, client: &Client, method: &str, host: &str, path: &str) -> Call {
        with(client.get(self.path()), &self.fields(method, host, path))
    }

    /// Asks about the request of a browser that goes to this page.
    pub fn navigate(self, client: &Client, method: &str, host: &str, path: &str) -> Call {
        self.ask(client, method, host, path)
            .header("accept", BROWSER)
    }
}

pub fn with(call: Call, fields: &[(&'static str, String)]) -> Call {
    let add = |call: Call, (name, value): &(&'static str, String)| call.header(name, value);
    fields.iter().fold(call, add)
}

/// That this is the one answer that lets a request pass, with a user.
#[track_caller]
pub fn assert_passes(reply: &Reply, email: &str, groups: &str) {
    assert_eq!(reply.status, 200, "{reply:?}");
    for name in ["remote-user", "remote-email", "remote-name"] {
        assert_eq!(reply.header(name), Some(email), "{reply:?}");
    }
    assert_eq!(reply.header("remote-groups"), Some(groups), "{reply:?}");
    let number = reply.header("remote-sub").unwrap();
    assert!(number.parse::<u64>().unwrap() > 0);
    assert_eq!(reply.header("set-cookie"), None);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.body.is_empty());
}

/// That a request does not pass, and that nothing of a user is said.
#[track_caller]
pub fn assert_blocked(reply: &Reply, status: u16, about: &dyn Debug) {
    assert_eq!(reply.status, status, "{about:?}: {reply:?}");
    for name in [
        "remote-user",
        "remote-email",
        "remote-name",
        "remote-groups",
        "remote-sub",
    ] {
        assert_eq!(reply.header(name), None, "{about:?}: {reply:?}");
    }
    assert_eq!(reply.header("set-cookie"), None, "{about:?}: {reply:?}");
}

/// A user who is logged in.
pub async fn logged_in(app: &TestApp) -> String {
    app.registered(EMAIL, PASSWORD).await;
    app.logged_in(EMAIL, PASSWORD).await
}
