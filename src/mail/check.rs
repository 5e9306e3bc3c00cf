//! Whether a mail server would take mails: everything up to the first of them.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use lettre::transport::smtp;
use lettre::transport::smtp::commands::Noop;
use tokio::time::timeout;

use super::connection::{ConnectError, TooMuch};
use super::smtp::{Authority, SmtpUrl};
use super::without_secrets;
use crate::error_chain::ErrorChain;

/// Why a mail server would take no mails. Shows no address and no password, whatever the server quotes.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// There is no connection to it.
    #[error("cannot be reached ({0})")]
    Unreachable(String),
    /// It was silent for so long.
    #[error("does not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// It does not encrypt, or in another way, or its certificate is not trusted.
    #[error("cannot be talked to by TLS ({0})")]
    Encryption(String),
    /// It does not know us by this user and password.
    #[error("refuses the user and the password ({0})")]
    Login(String),
    /// It wants none of us.
    #[error("refuses to talk ({0})")]
    Refused(String),
    /// It does not stop talking.
    #[error("does not talk as a mail server does ({0})")]
    TooMuch(String),
}

/// Connects to a mail server, encrypts as its URL says, logs in and hangs up.
///
/// # Errors
///
/// How far it came within this time.
pub async fn check(
    url: &SmtpUrl,
    authority: Option<Authority>,
    within: Duration,
) -> Result<(), CheckError> {
    let connector = url.connector(authority).map_err(|error| reason(&error))?;
    let talk = async {
        let mut connection = match connector.connect().await {
            Ok(connection) => connection,
            Err(ConnectError::Unreachable(error)) => {
                return Err(CheckError::Unreachable(ErrorChain(&error).to_string()));
            }
            Err(ConnectError::Refused(error)) => return Err(reason(&error)),
        };
        let answer = connection.command(Noop).await;
        connection.abort().await;
        match answer.map_err(|error| reason(&error)) {
            Err(CheckError::Unreachable(_)) => Err(CheckError::Refused(
                "it hangs up after the login".to_owned(),
            )),
            outcome => outcome.map(drop),
        }
    };
    timeout(within, talk)
        .await
        .unwrap_or(Err(CheckError::Silent(within)))
}

fn reason(error: &smtp::Error) -> CheckError {
    let text = without_secrets(&ErrorChain(error).to_string());
    let code = error.status().map(|code| code.to_string());
    if code.is_some_and(|code| code.starts_with("53")) {
        CheckError::Login(text)
    } else if has_cause(error, TooMuch::is_cause_of) {
        CheckError::TooMuch(text)
    } else if error.is_tls() || text.contains("STARTTLS") || has_cause(error, is_nonsense) {
        CheckError::Encryption(text)
    } else if error.is_client() || error.is_response() || error.status().is_some() {
        CheckError::Refused(text)
    } else {
        CheckError::Unreachable(text)
    }
}

/// Whether it may be the encryption that failed: what TLS cannot make sense of is invalid data.
fn is_nonsense(error: &io::Error) -> bool {
    error.kind() == ErrorKind::InvalidData
}

/// Whether an error of the system of this kind is behind another.
fn has_cause(error: &smtp::Error, is_it: fn(&io::Error) -> bool) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if error.downcast_ref().is_some_and(is_it) {
            return true;
        }
        cause = error.source();
    }
    false
}
