//! Serving a router on a socket until told to stop.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{info, warn};

/// How long requests that have arrived may take to be answered after the order to stop.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

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
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(shutdown) => served,
        () = deadline => {
            warn!("some clients did not finish their requests in time and were cut off");
            Ok(())
        }
    }
}
