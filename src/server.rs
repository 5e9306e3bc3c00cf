//! Sockets and connections: serves a router over HTTP/1.1 until told to stop, and asks another process of
//! this program a question.
//!
//! Knows no route, and of [`app`](crate::app) only how long a body is that it reads, and who is a trusted
//! proxy.
//!
//! - `listen_address`, `listener`: where to serve, over TCP or a Unix socket; `socket_file` has the file of
//!   the latter, `inherited_socket` a socket that a service manager has opened.
//! - `connection`: one connection; `connections`: all of them, and which are closed when there are too many;
//!   `wait`: what tells them apart; `limits`, `open_files`: how long, and how many.
//! - `stop_order`: how connections are told that the server stops.
//! - `ask`: how another process is asked, by where it listens or by its public URL.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use tokio::select;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use crate::metrics::ConnectionMetrics;

mod ask;
mod connection;
mod connections;
mod inherited_socket;
mod limits;
mod listen_address;
mod listener;
mod open_files;
mod socket_file;
mod stop_order;
mod wait;

pub use ask::{Answer, AskError, ask, ask_public};
pub use inherited_socket::{InheritError, InheritedSocket};
pub use limits::ConnectionLimits;
pub use listen_address::{InvalidListenAddress, ListenAddress};
pub use listener::{Listener, listen};

use connections::Connections;
use listener::Stream;
use stop_order::StopOrders;
use wait::Wait;

use crate::source::Peer;

/// How long requests that have arrived may take to be answered after the order to stop. A second less
/// than whatever runs the service usually waits before it kills it, for the rest that is to be ended.
pub const DRAIN_DEADLINE: Duration = Duration::from_secs(9);

/// How long connections are still accepted after the order to stop. What had arrived in the system's queues
/// by then is a request to be answered, though it was not accepted yet.
const LAST_CALL: Duration = Duration::from_millis(100);

/// How long the connections that are open then are read as ever. Every answer is the last one of its
/// connection, and says so; but one that waits for a request can only be closed, and a request that its
/// client sends at that moment is lost. So it is closed if none has come for so long.
const LAST_REQUESTS: Duration = Duration::from_millis(400);

/// Serves until `shutdown` completes and the requests that have arrived by then are answered, or
/// [`DRAIN_DEADLINE`] later, whichever is first: a client that never finishes its request must not
/// keep the process alive.
///
/// A request carries its [`Peer`] as [`axum::extract::ConnectInfo`] in its extensions.
pub async fn serve(
    listener: Listener,
    router: Router,
    limits: ConnectionLimits,
    shutdown: impl Future<Output = ()>,
) {
    serve_measured(listener, router, limits, Arc::default(), shutdown).await;
}

/// The same, and counts its connections.
pub async fn serve_measured(
    listener: Listener,
    router: Router,
    limits: ConnectionLimits,
    metrics: Arc<ConnectionMetrics>,
    shutdown: impl Future<Output = ()>,
) {
    let most = open_files::allow_for(limits.connections);
    if most < limits.connections {
        warn!(
            "the system allows too few open files: serving {most} connections at once instead of {}",
            limits.connections
        );
    }
    let orders = StopOrders::new();
    let mut entrance = Entrance {
        listener,
        connections: Connections::new(most, metrics),
        newcomer: None,
        serve: |stream, peer, wait| {
            let order = orders.subscribe();
            connection::serve(stream, peer, router.clone(), limits.clone(), order, wait)
        },
    };
    entrance.accept_until(shutdown).await;
    info!("stopping: no new requests, those that have arrived are answered");
    let deadline = Instant::now() + DRAIN_DEADLINE;
    orders.announce();
    entrance.accept_until(sleep(LAST_CALL)).await;
    let mut connections = entrance.close();
    let _ = timeout(LAST_REQUESTS, connections.all_ended()).await;
    orders.give();
    if timeout_at(deadline, connections.all_ended()).await.is_err() {
        warn!("some clients did not finish their requests in time and were cut off");
    }
    connections.shutdown().await;
}

/// Where connections come in.
struct Entrance<S> {
    listener: Listener,
    connections: Connections,
    /// The one that waits for room. Others wait in the system's queue.
    newcomer: Option<(Stream, Peer)>,
    /// Makes the task of a connection.
    serve: S,
}

impl<S, T> Entrance<S>
where
    S: Fn(Stream, Peer, Arc<Wait>) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    async fn accept_until(&mut self, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        loop {
            if self.newcomer.is_some()
                && self.connections.make_room()
                && let Some((stream, peer)) = self.newcomer.take()
            {
                self.admit(stream, peer);
            }
            select! {
                () = &mut end => return,
                () = self.connections.changed() => {}
                accepted = self.listener.accept(), if self.newcomer.is_none() => {
                    self.newcomer = Some(accepted);
                }
                () = sleep(connections::RETRY), if self.newcomer.is_some() => {}
            }
        }
    }

    /// Accepts what has come by now, which on a busy machine has not happened yet, and no more.
    fn close(mut self) -> Connections {
        let newcomer = self.newcomer.take();
        let came_in_time = || self.listener.accept().now_or_never();
        let mut next = newcomer.or_else(came_in_time);
        while let Some((stream, peer)) = next {
            if !self.connections.make_room() {
                break;
            }
            self.admit(stream, peer);
            next = self.listener.accept().now_or_never();
        }
        self.connections
    }

    fn admit(&mut self, stream: Stream, peer: Peer) {
        let serve = &self.serve;
        self.connections
            .spawn(peer, |wait| serve(stream, peer, wait));
    }
}
