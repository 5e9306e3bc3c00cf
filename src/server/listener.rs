//! A socket to serve on, over TCP or on this machine alone.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;
use tokio_util::either::Either;
use tracing::error;

use super::inherited_socket::{Inheritance, InheritedSocket};
use super::listen_address::ListenAddress;
use super::socket_file::SocketFile;
use crate::source::Peer;

/// How many connections may wait to be accepted; the system may allow fewer. With the usual 1,024,
/// some of 2,000 clients who come at once are reset.
const BACKLOG: u32 = 4096;

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// A connection that was accepted.
pub(super) type Stream = Either<TcpStream, UnixStream>;

/// A socket to serve on.
pub struct Listener {
    /// The file of a Unix socket, if it is to be removed at the end.
    _file: Option<SocketFile>,
    socket: Socket,
    address: ListenAddress,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Opens a socket to serve on.
///
/// A Unix socket can be opened by its owner and its group, and is removed when the listener is dropped.
/// One that a process left behind that has ended is replaced.
///
/// # Errors
///
/// Why the address cannot be had.
pub fn listen(address: &ListenAddress) -> io::Result<Listener> {
    match address {
        ListenAddress::Tcp(address) => listen_tcp(*address),
        ListenAddress::Unix(path) => {
            let (socket, file) = SocketFile::listen(path, BACKLOG)?;
            Ok(Listener {
                _file: Some(file),
                socket: Socket::Unix(socket),
                address: address.clone(),
            })
        }
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A server that starts again does not wait until the connections of the last one are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let socket = socket.listen(BACKLOG)?;
    Ok(Listener {
        _file: None,
        address: ListenAddress::Tcp(socket.local_addr()?),
        socket: Socket::Tcp(socket),
    })
}

impl Listener {
    /// Serves on a socket that was inherited. Its file, if it has one, is not removed at the end.
    ///
    /// # Errors
    ///
    /// The socket cannot be used; the system says why.
    pub fn inherit(inherited: InheritedSocket) -> io::Result<Self> {
        let address = inherited.address().clone();
        let socket = match inherited.into_inner() {
            Inheritance::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                Socket::Tcp(TcpListener::from_std(socket)?)
            }
            Inheritance::Unix(socket) => {
                socket.set_nonblocking(true)?;
                Socket::Unix(UnixListener::from_std(socket)?)
            }
        };
        Ok(Self {
            _file: None,
            socket,
            address,
        })
    }

    /// Where it listens, with the port that was free if that was asked for.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> (Stream, Peer) {
        loop {
            match self.try_accept().await {
                Ok(accepted) => return accepted,
                // This client has gone already; the next one waits.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    error!(%error, "cannot accept connections");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<(Stream, Peer)> {
        match &self.socket {
            Socket::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                // Replies are small and complete; holding them back to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                Ok((Either::Left(stream), Peer::Machine(peer.ip())))
            }
            Socket::Unix(socket) => {
                let (stream, _) = socket.accept().await?;
                Ok((Either::Right(stream), Peer::UnixSocket))
            }
        }
    }
}
