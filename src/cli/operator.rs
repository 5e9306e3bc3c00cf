//! Who runs a command, for the audit lines.

use crate::auth::administration::Actor;

/// Who runs the command of this name.
pub fn actor(command: &'static str) -> Actor {
    // A claim of the environment, like any in it; beside the login name, which is the system's.
    let sudo_user = std::env::var("SUDO_USER").ok();
    Actor {
        login: login_name(),
        sudo_user: sudo_user.filter(|name| !name.is_empty()),
        command,
    }
}

/// The login name of the user of the operating system, or their number if they have none.
#[cfg(unix)]
fn login_name() -> String {
    use nix::unistd::{Uid, User};

    let user = Uid::current();
    match User::from_uid(user) {
        Ok(Some(user)) => user.name,
        _ => format!("#{user}"),
    }
}

#[cfg(not(unix))]
fn login_name() -> String {
    std::env::var("USERNAME").unwrap_or_default()
}
