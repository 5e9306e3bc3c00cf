//! The lines in the log about what an administrator has changed: of the same target as those about
//! requests, with who did it in the place of where it came from.

use tracing::info;

use crate::auth::audit::AUDIT_TARGET;
use crate::user::{GroupName, UserId};

/// Who changes something, and by what.
#[derive(Clone, Debug)]
pub struct Actor {
    /// The login name of the user of the operating system.
    pub login: String,
    /// The login name of who became that user by `sudo`; `None` if nobody did.
    pub sudo_user: Option<String>,
    /// The command, such as `users lock`.
    pub command: &'static str,
}

/// What was changed of a user.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Added,
    ResetLinkMade,
    PasswordSet,
    Locked,
    Unlocked,
    Deleted,
    AddressConfirmed,
}

impl Change {
    fn name(self) -> &'static str {
        match self {
            Self::Added => "user_added",
            Self::ResetLinkMade => "reset_link_made",
            Self::PasswordSet => "password_set",
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::Deleted => "user_deleted",
            Self::AddressConfirmed => "address_confirmed",
        }
    }
}

impl Actor {
    /// Writes down a change of a user.
    pub fn log(&self, change: Change, UserId(user): UserId) {
        let Self {
            login,
            sudo_user,
            command,
        } = self;
        let event = change.name();
        info!(target: AUDIT_TARGET, event, actor = login, sudo_user, command, user);
    }

    /// Writes down that a user was put into a group or taken out of it.
    pub fn log_group(&self, UserId(user): UserId, group: &GroupName, is_added: bool) {
        let Self {
            login,
            sudo_user,
            command,
        } = self;
        let event = if is_added {
            "group_added"
        } else {
            "group_removed"
        };
        let group = group.as_str();
        info!(target: AUDIT_TARGET, event, actor = login, sudo_user, command, user, group);
    }

    /// Writes down that so many sessions were ended: those of a user, or of all for `None`.
    pub fn log_sessions(&self, user: Option<UserId>, sessions: u64) {
        let Self {
            login,
            sudo_user,
            command,
        } = self;
        let event = "sessions_revoked";
        let user = user.map(|id| id.0);
        info!(target: AUDIT_TARGET, event, actor = login, sudo_user, command, user, sessions);
    }
}
