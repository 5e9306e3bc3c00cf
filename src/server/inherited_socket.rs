//! A socket that whatever started the process has opened for it, as systemd does for a socket unit
//! (`sd_listen_fds(3)`). Connections wait in it while the service is started again.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;

use super::listen_address::ListenAddress;

/// A listening socket that was inherited.
pub struct InheritedSocket {
    socket: Inheritance,
    address: ListenAddress,
}

pub(super) enum Inheritance {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Why what was inherited cannot be served on.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Several were inherited.
    #[error(
        "the service manager hands over {0} sockets, and one is served: leave one ListenStream= in the \
         socket unit"
    )]
    Several(usize),
    /// A datagram socket, a connection or no socket at all was inherited.
    #[error(
        "what the service manager hands over is no stream socket that listens: give ListenStream= with a \
         port, an address or a path, and leave out Accept=yes"
    )]
    WrongKind(#[source] io::Error),
}

impl InheritedSocket {
    /// The socket that this process was given; `None` if it was given none. Takes `LISTEN_FDS` and
    /// `LISTEN_PID` out of the environment, so call it before there are other threads.
    pub fn from_environment() -> Result<Option<Self>, InheritError> {
        let mut inherited = ListenFd::from_env();
        match inherited.len() {
            0 => Ok(None),
            1 => take(&mut inherited).map_err(InheritError::WrongKind),
            several => Err(InheritError::Several(several)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &ListenAddress {
        &self.address
    }

    pub(super) fn into_inner(self) -> Inheritance {
        self.socket
    }
}

fn take(inherited: &mut ListenFd) -> io::Result<Option<InheritedSocket>> {
    if let Ok(Some(socket)) = inherited.take_unix_listener(0) {
        check_listens(&socket)?;
        let address = socket.local_addr()?;
        let path = address.as_pathname().unwrap_or(Path::new("(no path)"));
        return Ok(Some(InheritedSocket {
            address: ListenAddress::Unix(path.to_owned()),
            socket: Inheritance::Unix(socket),
        }));
    }
    let Some(socket) = inherited.take_tcp_listener(0)? else {
        return Ok(None);
    };
    check_listens(&socket)?;
    Ok(Some(InheritedSocket {
        address: ListenAddress::Tcp(socket.local_addr()?),
        socket: Inheritance::Tcp(socket),
    }))
}

/// A connection that was accepted already (`Accept=yes`) is a stream socket too.
fn check_listens(socket: &impl AsFd) -> io::Result<()> {
    if socket_acceptconn(socket)? {
        return Ok(());
    }
    Err(io::Error::other("it is a connection"))
}
