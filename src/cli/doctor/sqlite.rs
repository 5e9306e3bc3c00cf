//! An SQLite database: its files, its schema, its disk, and whether it is whole.

use std::path::{Path, PathBuf};

use super::findings::Findings;
use super::{folder, schema};
use crate::db::{self, Contents, DatabaseUrl, Files, Integrity, OpenError};
use crate::error_chain::ErrorChain;

const FILES: &str = "files";
const DISK: &str = "disk";
const JOURNAL: &str = "journal";
const INTEGRITY: &str = "integrity";

/// Looks at the database of this file. `is_in_use` is whether a service is known to run that had it and does not
/// have it now.
pub async fn check(url: &DatabaseUrl, file: &Path, is_in_use: bool, findings: &mut Findings) {
    match db::inspect_files(url) {
        Ok(Some(files)) => {
            let is_ours = check_files(url, file, &files, findings);
            check_disk(&files, findings);
            if is_ours {
                check_contents(url, findings).await;
            }
        }
        Ok(None) => {}
        Err(error) => match *error {
            OpenError::Missing(_) if is_in_use => findings.fail(
                FILES,
                format!(
                    "there is no {url} any more, which the service that runs has open: put the same files \
                     back, or stop the service and restore a backup"
                ),
            ),
            OpenError::Missing(_) => check_folder(url, folder::parent(file), findings),
            error => findings.fail(FILES, ErrorChain(&error).to_string()),
        },
    }
}

/// There is no file yet: whether it can be made.
fn check_folder(url: &DatabaseUrl, folder: &Path, findings: &mut Findings) {
    match folder::check_writable(folder) {
        Ok(()) => findings.warn(
            FILES,
            format!(
                "there is no {url} yet: the start makes it, without users; {}",
                schema::IF_LOST
            ),
        ),
        Err(error) => findings.fail(
            FILES,
            format!(
                "there is no {url}, and it cannot be made in {} ({error}): {}; else create the folder, let \
                 the user who runs the service write to it, or give another --database-url",
                folder.display(),
                schema::IF_LOST
            ),
        ),
    }
}

/// Whether all files are the user's who runs this.
fn check_files(url: &DatabaseUrl, file: &Path, files: &Files, findings: &mut Findings) -> bool {
    if let Some((_, owner)) = files.of_others.first() {
        let names = names(files.of_others.iter().map(|(name, _)| name));
        findings.fail(
            FILES,
            format!(
                "{names} beside {url} belong to the user {owner}, and the service cannot write to them: give \
                 them to the owner of the database (chown)"
            ),
        );
        return false;
    }
    // SQLite also puts files beside it.
    let folder = folder::parent(file);
    let is_writable = folder::check_file_writable(file);
    if let Err(error) = is_writable.and_then(|()| folder::check_writable(folder)) {
        findings.fail(
            FILES,
            format!(
                "{url} cannot be written to ({error}): let the user who runs the service write to the file \
                 and to {}, on a file system that is mounted for writing",
                folder.display()
            ),
        );
    } else if files.open_to_others.is_empty() {
        findings.ok(FILES, format!("{url} is there, for its owner alone"));
    } else {
        let names = names(&files.open_to_others);
        findings.warn(
            FILES,
            format!(
                "other users of this machine can read or change {names}: chmod 600 {names}; the next start \
                 of the service does it too"
            ),
        );
    }
    true
}

fn names<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> String {
    let names = files.into_iter().map(|name| name.display().to_string());
    names.collect::<Vec<_>>().join(" ")
}

fn check_disk(files: &Files, findings: &mut Findings) {
    let (free, wanted) = (size(files.free), size(files.wanted));
    if files.is_full {
        findings.fail(
            DISK,
            format!(
                "{free} are free, and without room nothing is written: make room, or move the database to a \
                 larger disk"
            ),
        );
    } else if files.free >= files.wanted {
        findings.ok(DISK, format!("{free} are free"));
    } else {
        findings.warn(
            DISK,
            format!(
                "{free} are free, and a backup and a copy of the database take {wanted}: make room, or move \
                 the database to a larger disk"
            ),
        );
    }
}

/// A number of bytes for people.
fn size(bytes: u64) -> String {
    format!("{} MiB", bytes / (1024 * 1024))
}

async fn check_contents(url: &DatabaseUrl, findings: &mut Findings) {
    let Contents {
        has_wal,
        schema: tables,
        integrity,
    } = match db::inspect_contents(url).await {
        Ok(Some(contents)) => contents,
        Ok(None) => {
            findings.warn(
                INTEGRITY,
                format!(
                    "not looked at: the -wal of {url} holds data that was not written into the file: start \
                     the service, which does it"
                ),
            );
            return;
        }
        Err(error) => {
            let remedy = match error {
                OpenError::NotADatabase(..) => ": restore a backup (bienvenue restore)",
                _ => "",
            };
            findings.fail(INTEGRITY, format!("{}{remedy}", ErrorChain(&error)));
            return;
        }
    };
    schema::check(url, &tables, findings);
    // Of an empty file SQLite says nothing.
    if has_wal {
        findings.ok(JOURNAL, "commits go to a write-ahead log (WAL)");
    } else if tables.is_ok() {
        findings.warn(
            JOURNAL,
            format!("{url} has no write-ahead log: start the service, which gives it one"),
        );
    }
    match integrity {
        Integrity::Sound => findings.ok(INTEGRITY, "PRAGMA quick_check finds no fault"),
        Integrity::Damaged(faults) => findings.fail(
            INTEGRITY,
            format!(
                "{url} is damaged ({}): stop the service, keep the files, and restore a backup (bienvenue \
                 restore)",
                faults.join("; ")
            ),
        ),
        Integrity::Unfinished => findings.warn(
            INTEGRITY,
            format!(
                "PRAGMA quick_check of {url} was not done within a minute: make a backup, which is checked \
                 to its end (bienvenue backup)"
            ),
        ),
    }
}
