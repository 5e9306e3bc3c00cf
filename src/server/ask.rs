//! Asks a listener of another process of this program, which answers in a few words.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::listen_address::ListenAddress;
use super::listener::Stream;

/// How much of an answer is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 4096;

/// Sends a GET request for a path, and returns the status and the body of the answer. An address that
/// stands for all of this machine's is asked on loopback.
///
/// # Errors
///
/// Nothing answers there, not within this time, or not by HTTP.
pub async fn ask(
    address: &ListenAddress,
    path: &str,
    within: Duration,
) -> io::Result<(u16, String)> {
    let exchange = async {
        let mut stream = connect(address).await?;
        // HTTP/1.0, so that the answer comes in one piece and ends with the connection.
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream
            .take(MAX_ANSWER_BYTES)
            .read_to_end(&mut answer)
            .await?;
        let answer = String::from_utf8_lossy(&answer);
        read(&answer).ok_or_else(|| {
            let reason = "what listens there does not speak HTTP";
            io::Error::new(ErrorKind::InvalidData, reason)
        })
    };
    timeout(within, exchange).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", within.as_secs());
        Err(io::Error::new(ErrorKind::TimedOut, reason))
    })
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

/// The status and the body of an answer; `None` if it is not HTTP.
fn read(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?;
    Some((status.parse().ok()?, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_and_the_body_are_read_of_http_alone() {
        let read_as = |status, body: &str| Some((status, body.to_owned()));
        for (answer, expected) in [
            (
                "HTTP/1.0 200 OK\r\na: b\r\n\r\nready\n",
                read_as(200, "ready\n"),
            ),
            ("HTTP/1.1 503 Service Unavailable\r\n\r\n", read_as(503, "")),
            ("HTTP/1.1 200 OK\r\na: b", None),
            ("HTTP/1.1 OK\r\n\r\n", None),
            ("SSH-2.0-OpenSSH\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(read(answer), expected, "{answer}");
        }
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
