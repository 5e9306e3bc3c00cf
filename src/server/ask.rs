//! Asks a listener of another process of this program, which answers in a few words: where it listens, or by
//! the URL under which the world reaches it.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::listen_address::ListenAddress;
use super::listener::Stream;
use crate::public_url::PublicUrl;

/// How much of an answer is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 16_384;

/// Names a file with certificates of authorities that are trusted beside those of browsers, as for OpenSSL.
const CERTIFICATES_VARIABLE: &str = "SSL_CERT_FILE";

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The header fields, a line each.
    pub head: String,
    /// The body as it was sent; it may have the marks of chunks in it.
    pub body: String,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no connection, or it broke.
    #[error(transparent)]
    Unreachable(#[from] io::Error),
    /// Nothing was said for so long.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The connection cannot be encrypted, or the certificate is not trusted.
    #[error(transparent)]
    Tls(io::Error),
    /// What was said is not HTTP.
    #[error("what listens there does not speak HTTP")]
    NotHttp,
}

/// Sends a GET request for a path, and returns the answer. An address that stands for all of this machine's
/// is asked on loopback.
///
/// # Errors
///
/// Nothing answers there, not within this time, or not by HTTP.
pub async fn ask(
    address: &ListenAddress,
    path: &str,
    within: Duration,
) -> Result<Answer, AskError> {
    let exchange = async {
        let stream = connect(address).await?;
        // HTTP/1.0, so that the answer comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        exchange(stream, &request).await
    };
    in_time(within, exchange).await
}

/// The same by a public URL, as a program: with TLS if it is `https`, and a certificate that browsers trust
/// or one by the authorities in the file that the environment variable `SSL_CERT_FILE` names.
///
/// # Errors
///
/// Nothing answers there, not within this time, not by HTTP or not by TLS that is trusted.
pub async fn ask_public(url: &PublicUrl, path: &str, within: Duration) -> Result<Answer, AskError> {
    // An IPv6 address has brackets around it in a URL, and in a request.
    let host = url.host().trim_matches(['[', ']']);
    // The resolver of the system need not know the names below it, as browsers do.
    let place = if host.ends_with(".localhost") {
        "localhost"
    } else {
        host
    };
    // Some proxies refuse HTTP/1.0.
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\nConnection: close\r\n\r\n",
        url.authority()
    );
    let exchange = async {
        let stream = TcpStream::connect((place, url.port())).await?;
        if !url.is_https() {
            return exchange(stream, &request).await;
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(tls().map_err(AskError::Tls)?));
        let stream = connector.connect(name, stream).await;
        exchange(stream.map_err(AskError::Tls)?, &request).await
    };
    in_time(within, exchange).await
}

/// Whom to trust.
fn tls() -> io::Result<ClientConfig> {
    let browsers = webpki_roots::TLS_SERVER_ROOTS.iter().cloned();
    let mut roots: RootCertStore = browsers.collect();
    if let Some(file) = std::env::var_os(CERTIFICATES_VARIABLE) {
        let unusable = |error: &dyn std::fmt::Display| {
            io::Error::other(format!("cannot use {CERTIFICATES_VARIABLE}: {error}"))
        };
        let certificates = CertificateDer::pem_file_iter(file);
        for certificate in certificates.map_err(|error| unusable(&error))? {
            let added = roots.add(certificate.map_err(|error| unusable(&error))?);
            added.map_err(|error| unusable(&error))?;
        }
    }
    let config = ClientConfig::builder_with_provider(ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

async fn in_time(
    within: Duration,
    exchange: impl Future<Output = Result<Answer, AskError>>,
) -> Result<Answer, AskError> {
    let answer = timeout(within, exchange).await;
    answer.unwrap_or(Err(AskError::Silent(within)))
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    request: &str,
) -> Result<Answer, AskError> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let read = stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await;
    match read {
        // Many servers end a connection without the last word of TLS.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {}
        read => {
            read?;
        }
    }
    read_answer(&String::from_utf8_lossy(&answer)).ok_or(AskError::NotHttp)
}

async fn connect(address: &ListenAddress) -> io::Result<Stream> {
    Ok(match address {
        ListenAddress::Tcp(address) => Stream::Left(TcpStream::connect(reachable(*address)).await?),
        ListenAddress::Unix(path) => Stream::Right(UnixStream::connect(path).await?),
    })
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// The parts of an answer; `None` if it is not HTTP.
fn read_answer(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (first, head) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = first.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some(Answer {
        status: status.parse().ok()?,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

impl Answer {
    /// Whether there is a header field of this name, in small letters.
    pub fn has_header(&self, name: &str) -> bool {
        let mut names = self.head.lines().filter_map(|line| line.split_once(':'));
        names.any(|(other, _)| other.eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_the_body_are_read_of_http_alone() {
        let read_as = |status, head: &str, body: &str| {
            Some(Answer {
                status,
                head: head.to_owned(),
                body: body.to_owned(),
            })
        };
        for (answer, expected) in [
            (
                "HTTP/1.0 200 OK\r\na: b\r\n\r\nready\n",
                read_as(200, "a: b", "ready\n"),
            ),
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\n",
                read_as(503, "", ""),
            ),
            ("HTTP/1.1 200 OK\r\na: b", None),
            ("HTTP/1.1 OK\r\n\r\n", None),
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(read_answer(answer), expected, "{answer}");
        }
        let answer = read_answer("HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\n\r\n").unwrap();
        assert!(answer.has_header("x-request-id"));
        assert!(!answer.has_header("x-request"));
    }

    #[test]
    fn an_address_that_stands_for_all_is_asked_on_loopback() {
        for (given, asked) in [
            ("0.0.0.0:9000", "127.0.0.1:9000"),
            ("[::]:9000", "[::1]:9000"),
            ("192.0.2.1:9000", "192.0.2.1:9000"),
        ] {
            let reached = reachable(given.parse().unwrap());
            assert_eq!(reached.to_string(), asked);
        }
    }
}
