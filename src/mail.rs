//! Mail: what is written to users, and how it is handed over.
//!
//! - `message`: what mails say; `message::sign_up` to who signs up, `message::notices` about what was done.
//! - `sender`: from whom they come.
//! - `smtp`, `folder`: to a mail server, or into a folder.
//! - `connection`: what is said to a mail server before the first mail, and how much it may say.
//! - `check`: whether a mail server would take mails.
//!
//! Every header is put together by `lettre`, so that nothing in an address can become another
//! header, and goes to one address: the one it is given.

use std::error::Error as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use lettre::Address;
use lettre::address::AddressError;
use lettre::message::MultiPart;
use lettre::message::header::{HeaderName, HeaderValue};
use tokio::time::timeout;
use uuid::Uuid;

use crate::clock::UnixTime;
use crate::email::Email;
use crate::error_chain::ErrorChain;

mod check;
mod connection;
mod folder;
mod message;
mod sender;
mod smtp;

pub use check::{CheckError, check};
pub use message::{Login, Message, Site, Undo};
pub use sender::{InvalidSender, Sender};
pub use smtp::{Authority, InvalidAuthority, InvalidSmtpUrl, SmtpUrl};

use connection::{ConnectError, Connector};
use folder::Folder;

/// How long saying goodbye to a mail server may take.
const QUIT_TIME_LIMIT: Duration = Duration::from_secs(1);

/// How long handing over one mail may take. Servers that take longer to say yes are few, and the
/// worker has other mails.
pub const TIME_LIMIT: Duration = Duration::from_secs(20);

/// Tells other programs not to answer (RFC 3834, 5).
const AUTO_SUBMITTED: (HeaderName, &str) = (
    HeaderName::new_from_ascii_str("Auto-Submitted"),
    "auto-generated",
);

/// Sends mails.
pub struct Mailer {
    transport: Transport,
    sender: Sender,
    time_limit: Duration,
}

/// How mails leave.
enum Transport {
    Smtp(Box<Connector>),
    Folder(Folder),
}

/// Why a mail did not leave. Shows no address and no link, whatever the server quotes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server does not want this mail, and will not.
    #[error("refused for good: {0}")]
    Refused(String),
    /// It may go better another time.
    #[error("{0}")]
    Later(String),
    /// The server took too long.
    #[error("the mail server did not take it within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The address is one that mail cannot be sent to.
    #[error("mail cannot be sent to this address")]
    Address(#[from] AddressError),
    /// It cannot be put into words.
    #[error("cannot be written")]
    Unwritable(#[from] lettre::error::Error),
    /// It cannot be put into the folder.
    #[error("cannot be put into the folder")]
    Folder(#[from] io::Error),
}

impl Error {
    /// Whether it is no use to try again.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Address(_) | Self::Unwritable(_)
        )
    }
}

impl From<lettre::transport::smtp::Error> for Error {
    fn from(error: lettre::transport::smtp::Error) -> Self {
        let text = without_secrets(&ErrorChain(&error).to_string());
        if error.is_permanent() && !are_we_refused(&error) {
            Self::Refused(text)
        } else {
            Self::Later(text)
        }
    }
}

impl From<ConnectError> for Error {
    /// No mail was spoken of, so none is refused.
    fn from(error: ConnectError) -> Self {
        Self::Later(without_secrets(&ErrorChain(&error).to_string()))
    }
}

/// Whether it is not this mail that is refused but the service, which its operator can still put right: by the
/// right name and password (RFC 4954, 6), or by leave to send (RFC 3463, 3.8: security or policy).
fn are_we_refused(error: &lettre::transport::smtp::Error) -> bool {
    let is_of_login = (error.status()).is_some_and(|code| code.to_string().starts_with("53"));
    let says_policy = |answer: &dyn std::error::Error| answer.to_string().starts_with("5.7.");
    is_of_login || error.source().is_some_and(says_policy)
}

impl Mailer {
    /// Hands mails to a mail server.
    ///
    /// # Errors
    ///
    /// [`Error::Later`], if no encrypted connection to a host of this name can ever be had.
    pub fn smtp(
        url: &SmtpUrl,
        authority: Option<Authority>,
        sender: Sender,
    ) -> Result<Self, Error> {
        let connector = url.connector(authority)?;
        Ok(Self::new(Transport::Smtp(Box::new(connector)), sender))
    }

    /// Puts mails into a folder, one `.eml` file each, and creates the folder if it is not there.
    ///
    /// # Errors
    ///
    /// Why the folder cannot be had.
    pub fn folder(path: &Path, sender: Sender) -> io::Result<Self> {
        Ok(Self::new(Transport::Folder(Folder::open(path)?), sender))
    }

    fn new(transport: Transport, sender: Sender) -> Self {
        Self {
            transport,
            sender,
            time_limit: TIME_LIMIT,
        }
    }

    /// The same with another limit than [`TIME_LIMIT`].
    pub fn with_time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// Sends a message to one address, as of `now`.
    ///
    /// # Errors
    ///
    /// Why it did not leave. After [`Error::Later`] and [`Error::TimedOut`] it may have left all the
    /// same: a server that falls silent after the last word may have heard it.
    pub async fn send(&self, to: &Email, message: &Message, now: UnixTime) -> Result<(), Error> {
        let id = Uuid::new_v4();
        let to: Address = to.as_str().parse()?;
        let (name, automatic) = AUTO_SUBMITTED;
        let mail = lettre::Message::builder()
            .from(self.sender.mailbox(message.site()))
            .to(to.into())
            .date(message::system_time(now))
            .message_id(Some(format!("<{id}@{}>", self.sender.domain())))
            .subject(message.subject())
            .raw_header(HeaderValue::new(name, automatic.to_owned()))
            .multipart(MultiPart::alternative_plain_html(
                message.text(),
                message.html(),
            ))?;
        let sent = async {
            match &self.transport {
                Transport::Smtp(connector) => {
                    let mut connection = connector.connect().await?;
                    let text = mail.formatted();
                    connection.send(mail.envelope(), &text).await?;
                    // The mail was taken, whatever is said to this: else it would be sent again.
                    let _ = timeout(QUIT_TIME_LIMIT, connection.abort()).await;
                }
                Transport::Folder(folder) => {
                    let name = format!("{}-{id}.eml", now.0);
                    folder.put(name, mail.formatted()).await?;
                }
            }
            Ok(())
        };
        match timeout(self.time_limit, sent).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut(self.time_limit)),
        }
    }
}

/// What a server says, without the words that may be an address or a link: servers like to quote.
fn without_secrets(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let may_be_secret = word.contains('@') || word.contains("://") || word.contains('=');
        if may_be_secret { "***" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_quotes_is_not_repeated() {
        assert_eq!(
            without_secrets("550 5.1.1 <bob@example.org>: unknown\r\nsee https://a/?reset_token=b"),
            "550 5.1.1 *** unknown see ***"
        );
    }
}
