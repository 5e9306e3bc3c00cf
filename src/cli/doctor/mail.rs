//! Whether mails can leave.

use std::path::Path;
use std::time::Duration;

use super::findings::Findings;
use super::folder;
use crate::cli::options::MailTransport;
use crate::mail::{self, CheckError};

const CHECK: &str = "mail";

/// How long the mail server may take until we are logged in. Many wait some seconds before they refuse a
/// password.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Goes as far as a mail would, and sends none. `is_running` is whether a service is known to run.
pub async fn check(transport: MailTransport<'_>, is_running: bool, findings: &mut Findings) {
    match transport {
        MailTransport::Folder(path) => check_folder(path, is_running, findings),
        MailTransport::Smtp { url, authority } => {
            match mail::check(url, authority, TIMEOUT).await {
                Ok(()) => findings.ok(CHECK, format!("{url} takes mails from us")),
                Err(error) => {
                    let remedy = remedy(&error);
                    findings.fail(CHECK, format!("{url} {error}: {remedy}"));
                }
            }
        }
    }
}

fn remedy(error: &CheckError) -> &'static str {
    match error {
        CheckError::Unreachable(_) | CheckError::Silent(_) => {
            "check host and port; many networks let nobody out to port 25"
        }
        CheckError::Encryption(_) => {
            "give smtps:// for a port that encrypts from the start (465) and smtp:// for one with STARTTLS \
             (587), the name that is in the certificate, and --smtp-ca-file for an authority of your own"
        }
        CheckError::Login(_) => {
            "check user and password in the URL, where signs such as @ are written %40"
        }
        CheckError::Refused(_) => {
            "ask who runs the mail server whether this machine may send, with a login or without"
        }
        CheckError::TooMuch(_) => "check host and port, and what listens there",
    }
}

fn check_folder(path: &Path, is_running: bool, findings: &mut Findings) {
    let shown = path.display();
    let (folder, is_there) = match path.try_exists() {
        Ok(false) if path.is_symlink() => {
            let remedy = "remove it, or make the folder that it leads to";
            findings.fail(CHECK, format!("{shown} is a link to nothing: {remedy}"));
            return;
        }
        Ok(false) if is_running => {
            findings.fail(
                CHECK,
                format!(
                    "there is no {shown} any more, and the service that runs cannot put mails there: put the \
                     folder back, or restart the service, which makes it"
                ),
            );
            return;
        }
        Ok(false) => (nearest(path), false),
        _ => (path, true),
    };
    if let Err(error) = folder::check_writable(folder) {
        findings.fail(
            CHECK,
            format!(
                "mails cannot be put into {shown} ({error}): let the user who runs the service write to {}, or \
                 give another --mail-dir",
                folder.display()
            ),
        );
    } else if !is_there {
        findings.ok(
            CHECK,
            format!("there is no {shown}: it is made at the start, so restart a service that runs"),
        );
    } else if is_open_to_others(path) {
        findings.warn(
            CHECK,
            format!("other users of this machine have access to {shown}: chmod 700 {shown}"),
        );
    } else {
        findings.ok(CHECK, format!("mails can be put into {shown}"));
    }
}

/// The nearest folder around a path that is there.
fn nearest(path: &Path) -> &Path {
    let mut folder = folder::parent(path);
    while matches!(folder.try_exists(), Ok(false)) && folder != folder::parent(folder) {
        folder = folder::parent(folder);
    }
    folder
}

#[cfg(unix)]
fn is_open_to_others(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let metadata = folder.metadata();
    metadata.is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Path) -> bool {
    false
}
