//! Whether a mail server would take mails: everything up to the first of them.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use lettre::transport::smtp;
use tokio::time::timeout;

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
    let transport = url.transport(authority).map_err(|error| reason(&error))?;
    match timeout(within, transport.test_connection()).await {
        Err(_) => Err(CheckError::Silent(within)),
        Ok(Err(error)) => Err(reason(&error)),
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err(CheckError::Refused(
            "it hangs up after the login".to_owned(),
        )),
    }
}

fn reason(error: &smtp::Error) -> CheckError {
    let text = without_secrets(&ErrorChain(error).to_string());
    let code = error.status().map(|code| code.to_string());
    if code.is_some_and(|code| code.starts_with("53")) {
        CheckError::Login(text)
    } else if error.is_tls() || text.contains("STARTTLS") || is_handshake(error) {
        CheckError::Encryption(text)
    } else if error.is_client() || error.is_response() || error.status().is_some() {
        CheckError::Refused(text)
    } else {
        CheckError::Unreachable(text)
    }
}

/// Whether it is the encryption that failed: what TLS cannot make sense of is invalid data.
fn is_handshake(error: &smtp::Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let error_of_io = error.downcast_ref::<io::Error>();
        if error_of_io.is_some_and(|error| error.kind() == ErrorKind::InvalidData) {
            return true;
        }
        cause = error.source();
    }
    false
}
