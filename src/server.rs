//! Sockets and connections: serves a router over HTTP/1.1 until told to stop.
//!
//! Knows no route, and of [`app`](crate::app) only how long a body is that it reads.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::select;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

mod connection;
mod connections;
mod limits;
mod open_files;
mod wait;

pub use limits::ConnectionLimits;

use connections::Connections;

/// How long requests that have arrived may take to be answered after the order to stop. A second less
/// than whatever runs the service usually waits before it kills it, for the rest that is to be ended.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(9);

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

/// How long connections are still accepted and read as ever after the order to stop. What had arrived
/// in the system's queues by then is a request to be answered, though it was not accepted yet.
const LAST_CALL: Duration = Duration::from_millis(100);

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `shutdown` completes and the requests that have arrived by then are answered, or
/// [`DRAIN_DEADLINE`] later, whichever is first: a client that never finishes its request must not
/// keep the process alive.
///
/// A request carries its sender's address as [`axum::extract::ConnectInfo`] in its extensions.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    let most = open_files::allow_for(limits.connections);
    if most < limits.connections {
        warn!(
            "the system allows too few open files: serving {most} connections at once instead of {}",
            limits.connections
        );
    }
    let (stopping, stopped) = watch::channel(false);
    let serve = |stream, peer, wait| {
        connection::serve(stream, peer, router.clone(), limits, stopped.clone(), wait)
    };
    let mut connections = Connections::new(most);
    // The one that waits for room. Others wait in the system's queue.
    let mut newcomer = None;
    let mut last_call = pin!(async {
        shutdown.await;
        info!("stopping: no new requests, those that have arrived are answered");
        let deadline = Instant::now() + DRAIN_DEADLINE;
        sleep(LAST_CALL).await;
        deadline
    });
    let deadline = loop {
        if newcomer.is_some()
            && connections.make_room()
            && let Some((stream, peer)) = newcomer.take()
        {
            connections.spawn(peer, |wait| serve(stream, peer, wait));
        }
        select! {
            deadline = &mut last_call => break deadline,
            () = connections.changed() => {}
            accepted = accept(&listener), if newcomer.is_none() => newcomer = Some(accepted),
            () = sleep(connections::RETRY), if newcomer.is_some() => {}
        }
    };
    // On a busy machine what had come by then may not have been accepted yet.
    let came_in_time = std::iter::from_fn(|| accept(&listener).now_or_never());
    for (stream, peer) in newcomer.into_iter().chain(came_in_time) {
        if !connections.make_room() {
            break;
        }
        connections.spawn(peer, |wait| serve(stream, peer, wait));
    }
    drop(listener);
    stopping.send_replace(true);
    if timeout_at(deadline, connections.all_ended()).await.is_err() {
        warn!("some clients did not finish their requests in time and were cut off");
    }
    connections.shutdown().await;
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Replies are small and complete; holding them back to fill a packet only delays them.
                let _ = stream.set_nodelay(true);
                return (stream, peer);
            }
            // This client has gone already; the next one waits.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                error!(%error, "cannot accept connections");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
