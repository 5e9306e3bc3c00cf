//! Serving a router on a socket until told to stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::oneshot;
use tracing::{info, warn};

/// How long requests that have arrived may take to be answered after the order to stop.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// How many connections may wait to be accepted; the system may allow fewer. With the usual 1,024,
/// some of 2,000 clients who come at once are reset.
const BACKLOG: u32 = 4096;

/// Opens a socket to serve on.
///
/// # Errors
///
/// Why the address cannot be had.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A server that starts again does not wait until the connections of the last one are forgotten.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves until `shutdown` completes and the requests that have arrived by then are answered, or
/// [`DRAIN_DEADLINE`] later, whichever is first: a client that never finishes its request must not
/// keep the process alive.
///
/// # Errors
///
/// Only those of the socket itself.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stopping, stopped) = oneshot::channel();
    let shutdown = async move {
        shutdown.await;
        info!("stopping: no new requests, those that have arrived are answered");
        let _ = stopping.send(());
    };
    // Replies are small and complete; holding them back to fill a packet helps nobody.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    let deadline = async {
        // The sender is dropped unsent only if serving ends, and then nobody waits here.
        let _ = stopped.await;
        tokio::time::sleep(DRAIN_DEADLINE).await;
    };
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
        () = deadline => {
            warn!("some clients did not finish their requests in time and were cut off");
            Ok(())
        }
    }
}
