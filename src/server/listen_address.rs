//! Where to listen: a TCP address or a Unix socket.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen. Written `127.0.0.1:5000`, `[::1]:5000`, `localhost:5000` or `unix:/run/http.sock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// A TCP address; port 0 stands for a free one.
    Tcp(SocketAddr),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// What was given is no address to listen on.
#[derive(Debug, thiserror::Error)]
#[error(
    "give an address and a port, such as 127.0.0.1:5000, or the path of a Unix socket, such as \
     unix:/run/bienvenue/http.sock"
)]
pub struct InvalidListenAddress;

impl ListenAddress {
    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

impl FromStr for ListenAddress {
    type Err = InvalidListenAddress;

    fn from_str(text: &str) -> Result<Self, InvalidListenAddress> {
        if let Some(path) = text.strip_prefix("unix:") {
            let is_file = !path.is_empty() && !path.ends_with('/');
            return is_file
                .then(|| Self::Unix(path.into()))
                .ok_or(InvalidListenAddress);
        }
        let address = match text.strip_prefix("localhost:") {
            Some(port) => port
                .parse()
                .map(|port| (Ipv4Addr::LOCALHOST, port).into())
                .ok(),
            None => text.parse().ok(),
        };
        address.map(Self::Tcp).ok_or(InvalidListenAddress)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}
