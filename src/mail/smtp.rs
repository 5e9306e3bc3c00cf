//! Which mail server takes our mails, and how it is talked to.

use std::fmt;
use std::str::FromStr;

use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, SUBMISSION_PORT, SUBMISSIONS_PORT};
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use super::connection::{Connector, Tls};
use crate::public_url::is_this_machine;

/// A mail server, with the name and password that it knows us by. Shows itself without them.
#[derive(Clone, PartialEq, Eq)]
pub struct SmtpUrl {
    host: Host,
    port: u16,
    encryption: Encryption,
    login: Option<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encryption {
    /// From the first byte.
    FromTheStart,
    /// Before anything is said that matters (RFC 3207). A server that does not offer it gets nothing.
    StartTls,
    /// None: nothing leaves this machine.
    None,
}

/// Why a text is no [`SmtpUrl`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSmtpUrl {
    /// It has a control character, such as a line break.
    #[error("give the URL alone, on one line, without control characters")]
    ControlCharacter,
    /// It is no URL of a mail server.
    #[error(
        "give smtps://USER:PASSWORD@HOST:465, or smtp://USER:PASSWORD@HOST:587 for a server that \
         encrypts by STARTTLS"
    )]
    Malformed,
    /// It goes on after the host and the port.
    #[error("give a host and a port alone: there is nothing to choose after them")]
    TooMuch,
    /// One of the two is missing.
    #[error("give a user and a password, or neither")]
    HalfLogin,
    /// The user or the password has bytes that are not UTF-8, after its `%XX` are read.
    #[error("the user or the password is not UTF-8: write signs such as @ and / as %40 and %2F")]
    NotUtf8,
}

/// Signs certificates of mail servers that no public authority has signed.
#[derive(Clone, Debug)]
pub struct Authority(Certificate);

/// Why a text is no [`Authority`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give a file with certificates in PEM form")]
pub struct InvalidAuthority;

impl SmtpUrl {
    /// What connects to this server. Certificates are checked against those that browsers trust and,
    /// if given, one authority more.
    pub(super) fn connector(&self, authority: Option<Authority>) -> Result<Connector, smtp::Error> {
        let host = match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let tls_parameters = || {
            let mut builder = TlsParameters::builder(host.clone());
            if let Some(Authority(certificate)) = authority {
                builder = builder.add_root_certificate(certificate);
            }
            builder.build()
        };
        let tls = match self.encryption {
            Encryption::FromTheStart => Tls::FromTheStart(tls_parameters()?),
            Encryption::StartTls => Tls::Upgraded(tls_parameters()?),
            Encryption::None => Tls::None,
        };
        let login = self.login.clone();
        Ok(Connector {
            host,
            port: self.port,
            tls,
            login: login.map(|(user, password)| Credentials::new(user, password)),
            our_name: ClientId::default(),
        })
    }
}

impl FromStr for SmtpUrl {
    type Err = InvalidSmtpUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSmtpUrl> {
        // `Url::parse` leaves some of them out without a word.
        if text.contains(char::is_control) {
            return Err(InvalidSmtpUrl::ControlCharacter);
        }
        let url: Url = text.parse().map_err(|_| InvalidSmtpUrl::Malformed)?;
        // In URLs of these schemes hosts are opaque: numbers in them are read only now.
        let host = url.host_str().ok_or(InvalidSmtpUrl::Malformed)?;
        let host = Host::parse(host).map_err(|_| InvalidSmtpUrl::Malformed)?;
        let is_here = match &host {
            // Other than a browser, the resolver of the system may ask DNS for names below it.
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => is_this_machine(&Host::Ipv4(*address)),
            Host::Ipv6(address) => is_this_machine(&Host::Ipv6(*address)),
        };
        let (encryption, port) = match url.scheme() {
            "smtps" => (Encryption::FromTheStart, SUBMISSIONS_PORT),
            "smtp" if is_here => (Encryption::None, SUBMISSION_PORT),
            "smtp" => (Encryption::StartTls, SUBMISSION_PORT),
            _ => return Err(InvalidSmtpUrl::Malformed),
        };
        if !["", "/"].contains(&url.path()) || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidSmtpUrl::TooMuch);
        }
        let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
            Ok(text) => Ok(text.into_owned()),
            Err(_) => Err(InvalidSmtpUrl::NotUtf8),
        };
        let login = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err(InvalidSmtpUrl::HalfLogin),
            (user, Some(password)) => Some((decode(user)?, decode(password)?)),
        };
        Ok(Self {
            port: url.port().unwrap_or(port),
            host,
            encryption,
            login,
        })
    }
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.encryption {
            Encryption::FromTheStart => "smtps",
            Encryption::StartTls | Encryption::None => "smtp",
        };
        let login = if self.login.is_some() { "***@" } else { "" };
        write!(formatter, "{scheme}://{login}{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for SmtpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl FromStr for Authority {
    type Err = InvalidAuthority;

    fn from_str(text: &str) -> Result<Self, InvalidAuthority> {
        // `lettre` takes a text without any certificate for none.
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(InvalidAuthority);
        }
        let certificate = Certificate::from_pem(text.as_bytes()).map_err(|_| InvalidAuthority)?;
        Ok(Self(certificate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stays_on_this_machine_may_go_in_plain() {
        for (text, encryption, port) in [
            ("smtps://mail.example.org", Encryption::FromTheStart, 465),
            (
                "smtps://me:pw@mail.example.org:1465",
                Encryption::FromTheStart,
                1465,
            ),
            ("smtps://127.0.0.1", Encryption::FromTheStart, 465),
            ("smtp://mail.example.org", Encryption::StartTls, 587),
            ("smtp://mail.example.org:25", Encryption::StartTls, 25),
            ("smtp://localhost.example.org", Encryption::StartTls, 587),
            ("smtp://mail.localhost", Encryption::StartTls, 587),
            ("smtp://192.168.0.1", Encryption::StartTls, 587),
            ("smtp://[2001:db8::1]", Encryption::StartTls, 587),
            ("smtp://localhost:1025", Encryption::None, 1025),
            ("smtp://127.0.0.1:1025/", Encryption::None, 1025),
            ("smtp://[::1]:1025", Encryption::None, 1025),
        ] {
            let url: SmtpUrl = text.parse().unwrap();
            assert_eq!((url.encryption, url.port), (encryption, port), "{text}");
            assert!(url.connector(None).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        for (text, reason) in [
            ("", InvalidSmtpUrl::Malformed),
            ("mail.example.org", InvalidSmtpUrl::Malformed),
            ("mail.example.org:25", InvalidSmtpUrl::Malformed),
            ("https://mail.example.org", InvalidSmtpUrl::Malformed),
            ("smtp://", InvalidSmtpUrl::Malformed),
            ("smtp://a b", InvalidSmtpUrl::Malformed),
            (
                "smtps://mail.example.org/?tls=none",
                InvalidSmtpUrl::TooMuch,
            ),
            ("smtps://mail.example.org/a", InvalidSmtpUrl::TooMuch),
            ("smtps://me@mail.example.org", InvalidSmtpUrl::HalfLogin),
            ("smtps://:pw@mail.example.org", InvalidSmtpUrl::HalfLogin),
            ("smtps://me:%FF@mail.example.org", InvalidSmtpUrl::NotUtf8),
            (
                "smtps://me:s3\ncret@mail.example.org",
                InvalidSmtpUrl::ControlCharacter,
            ),
            (
                "smtps://mail.example.org\n# the relay",
                InvalidSmtpUrl::ControlCharacter,
            ),
        ] {
            assert_eq!(text.parse::<SmtpUrl>(), Err(reason), "{text}");
        }
    }

    #[test]
    fn the_login_is_read_as_it_was_meant_and_never_shown() {
        let url: SmtpUrl = "smtps://me%40example.org:s3cret%2F@mail.example.org"
            .parse()
            .unwrap();
        let login = ("me@example.org".to_owned(), "s3cret/".to_owned());
        assert_eq!(url.login, Some(login));
        assert_eq!(url.to_string(), "smtps://***@mail.example.org:465");
        assert_eq!(format!("{url:?}"), url.to_string());
    }

    #[test]
    fn an_authority_has_a_certificate() {
        for text in [
            "",
            "certificate",
            "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----",
        ] {
            assert!(text.parse::<Authority>().is_err(), "{text}");
        }
    }
}
