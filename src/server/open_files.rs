//! How many files, which connections count among, the system lets the process have open.

#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is left for the database, its files, the log, and connections that are being closed when every
/// connection is taken.
#[cfg(target_os = "linux")]
const RESERVED: u64 = 96;

/// Asks the system for enough open files for so many connections; returns how many it allows.
///
/// Programs start with a soft limit of 1,024 open files, which is for those that cannot count
/// further, and a hard one that they may raise it to. Where that is too low, fewer connections are
/// better than a database that cannot open its files.
#[cfg(target_os = "linux")]
pub(super) fn allow_for(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + RESERVED;
    let most = limit.maximum.unwrap_or(u64::MAX);
    let mut allowed = limit.current.unwrap_or(u64::MAX);
    if allowed < wanted {
        let raised = Rlimit {
            current: Some(wanted.min(most)),
            ..limit
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            allowed = wanted.min(most);
        }
    }
    let reserved = RESERVED.min(allowed / 2);
    usize::try_from(allowed - reserved).map_or(connections, |allowed| allowed.min(connections))
}

/// Elsewhere the system is taken at its word: that there will be enough.
#[cfg(not(target_os = "linux"))]
pub(super) fn allow_for(connections: usize) -> usize {
    connections
}
