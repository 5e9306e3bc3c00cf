//! What sessions are asked for by, and what is found.

use crate::db::validity::{Found, SessionCutoffs};
use crate::protected_app::AppHost;
use crate::token::{AppSessionDigest, SessionDigest};
use crate::user::{GroupList, SessionUser};

/// By what a session is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionKey {
    /// By itself.
    Plain(SessionDigest),
    /// By itself, and the groups of its user are wanted too.
    WithGroups(SessionDigest),
    /// By a session of it at an app. The groups of its user are wanted too.
    App(AppSessionDigest),
}

impl SessionKey {
    /// The digest that is looked up.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Plain(digest) | Self::WithGroups(digest) => digest.as_bytes(),
            Self::App(digest) => digest.as_bytes(),
        }
    }
}

/// What the rows of a session and its user say.
#[derive(Clone, Debug)]
pub struct StoredSession {
    /// The user, when the session began, and when it was last in use.
    pub user: SessionUser,
    /// Whether the password was changed since it began.
    pub is_void: bool,
    /// The groups of the user; `None` if they were not looked up.
    pub groups: Option<GroupList>,
}

impl StoredSession {
    /// What the session is worth by these cutoffs.
    pub fn judge(&self, cutoffs: SessionCutoffs) -> Found<()> {
        match cutoffs.judge(self.user.last_seen_at, self.user.began_at, ()) {
            Found::Valid(()) if self.is_void => Found::Void(()),
            found => found,
        }
    }
}

/// A session that is there.
#[derive(Clone, Debug)]
pub struct FoundSession {
    /// The session.
    pub digest: SessionDigest,
    /// What is stored of it.
    pub session: StoredSession,
    /// The host of the app, if it was asked for by a session there.
    pub app: Option<AppHost>,
}
