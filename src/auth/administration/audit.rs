//! The lines in the log about what an administrator has changed: of the same target as those about
//! requests, with who did it in the place of where it came from.

use tracing::info;

use crate::auth::audit::AUDIT_TARGET;
use crate::db::Counts;
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

/// What was done with the whole database.
#[derive(Clone, Copy, Debug)]
pub enum WholeDatabase {
    /// All rows went into a file.
    BackupMade,
    /// All rows came from a file.
    Restored,
}

/// What became of the users of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Those who were added.
    pub imported: u64,
    /// Those who were there, and whose hash was replaced.
    pub replaced: u64,
    /// Those who were there, and stayed as they were.
    pub existing: u64,
    /// Those who cannot be added.
    pub unusable: u64,
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
        let event = change.name();
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command, user
        );
    }

    /// Writes down that a user was put into a group or taken out of it.
    pub fn log_group(&self, UserId(user): UserId, group: &GroupName, is_added: bool) {
        let event = if is_added {
            "group_added"
        } else {
            "group_removed"
        };
        let group = group.as_str();
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command, user, group
        );
    }

    /// Writes down that so many sessions were ended: those of a user, or of all for `None`.
    pub fn log_sessions(&self, user: Option<UserId>, sessions: u64) {
        let event = "sessions_revoked";
        let user = user.map(|id| id.0);
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command, user, sessions
        );
    }

    /// Writes down that all rows went into a file, or came from one.
    pub fn log_whole(&self, done: WholeDatabase, file: &str, counts: &Counts) {
        let event = match done {
            WholeDatabase::BackupMade => "backup_made",
            WholeDatabase::Restored => "database_restored",
        };
        let (users, sessions, rows) = (counts.of("users"), counts.of("sessions"), counts.total());
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command, file, users, sessions, rows
        );
    }

    /// Writes down that the schema was brought from this migration, 0 for none, to that one.
    pub fn log_migration(&self, (from, to): (i64, i64)) {
        let event = "schema_migrated";
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command, from, to
        );
    }

    /// Writes down that users were imported, in one line for all.
    pub fn log_import(&self, counts: ImportCounts) {
        let ImportCounts {
            imported,
            replaced,
            existing,
            unusable,
        } = counts;
        let event = "users_imported";
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command,
            imported, replaced, existing, unusable
        );
    }

    /// Writes down that the password hashes of all users are handed out.
    pub fn log_export(&self) {
        let event = "users_exported";
        info!(
            target: AUDIT_TARGET,
            event, actor = self.login, sudo_user = self.sudo_user, command = self.command
        );
    }
}
