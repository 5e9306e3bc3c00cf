//! Connections to a mail server, on which only so much is listened to.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
// There is no other way to a stream that is encrypted from the start and that we made.
#[expect(deprecated)]
use lettre::transport::smtp::client::AsyncNetworkStream;
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::compat::FuturesAsyncReadCompatExt;

/// How much is read on one connection, which is for one mail: some ten answers, of lines with 512 bytes at most
/// (RFC 5321, 4.5.3.1.5), and certificates. `lettre` alone reads a line until it ends, however long it is.
const MOST_KIB: usize = 64;

/// What connects to a mail server.
pub struct Connector {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub login: Option<Credentials>,
    /// By which name we introduce ourselves.
    pub our_name: ClientId,
}

/// How a connection is encrypted.
pub enum Tls {
    FromTheStart(TlsParameters),
    /// By STARTTLS.
    Upgraded(TlsParameters),
    None,
}

/// Why a mail server cannot be handed any mail.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no connection to it.
    #[error("no connection")]
    Unreachable(#[from] io::Error),
    /// It does not let us come as far as the first mail.
    #[error(transparent)]
    Refused(#[from] smtp::Error),
}

/// The server said too much to be a mail server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mail server says more than {MOST_KIB} KiB")]
pub struct TooMuch;

impl Connector {
    /// Connects, encrypts and logs in: all that comes before the first mail.
    pub async fn connect(&self) -> Result<AsyncSmtpConnection, ConnectError> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        let address = stream.peer_addr()?;
        let mut stream: Box<dyn AsyncTokioStream> = Box::new(Bounded::new(stream, address));
        if let Tls::FromTheStart(parameters) = &self.tls {
            #[expect(deprecated)]
            let mut encrypted = AsyncNetworkStream::use_existing_tokio1(stream);
            encrypted.upgrade_tls(parameters.clone()).await?;
            stream = Box::new(Bounded::new(encrypted.compat(), address));
        }
        let mut connection =
            AsyncSmtpConnection::connect_with_transport(stream, &self.our_name).await?;
        if let Tls::Upgraded(parameters) = &self.tls {
            // On top of the same stream.
            connection
                .starttls(parameters.clone(), &self.our_name)
                .await?;
        }
        if let Some(login) = &self.login {
            connection.auth(DEFAULT_MECHANISMS, login).await?;
        }
        Ok(connection)
    }
}

impl TooMuch {
    /// Whether this is why something failed.
    pub fn is_cause_of(error: &io::Error) -> bool {
        error
            .get_ref()
            .is_some_and(<dyn Error + Send + Sync>::is::<Self>)
    }
}

/// A stream that fails when more was read than a mail server has to say.
#[derive(Debug)]
struct Bounded<S> {
    stream: S,
    address: SocketAddr,
    left: usize,
}

impl<S> Bounded<S> {
    fn new(stream: S, address: SocketAddr) -> Self {
        Self {
            stream,
            address,
            left: MOST_KIB * 1024,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(Err(io::Error::other(TooMuch)));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        let read = buffer.filled().len() - before;
        this.left = this.left.saturating_sub(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

impl<S> AsyncTokioStream for Bounded<S>
where
    S: AsyncRead + AsyncWrite + Send + Sync + Unpin + fmt::Debug,
{
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
