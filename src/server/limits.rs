//! How long a client may keep the service waiting, and how many may come at once.

use std::sync::Arc;
use std::time::Duration;

use crate::app::{TrustedProxy, is_proxy};
use crate::source::Peer;

/// The longest request line with header fields, in bytes, that is read; more get 431. Browsers send
/// a tenth of it.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The same of a trusted proxy, which asks about requests for apps, and sends the cookies of those along.
const MAX_HEAD_BYTES_OF_PROXY: usize = 64 * 1024;

/// How long a client may keep the service waiting, and how many may come at once. A client that
/// exceeds a time is cut off, so that no connection is held for nothing (CWE-400).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// From the connection, or the first byte of a later request, to the end of its header fields.
    pub head: Duration,
    /// From an answer to the next request of the same client.
    pub keep_alive: Duration,
    /// From the first part of an answer that the client does not take to the last one.
    pub answer: Duration,
    /// How many connections are served at once. For another, one is closed that waits for its client.
    /// If all are being answered, it waits in the system's queue.
    pub connections: usize,
    /// Proxies, from which requests with longer heads are read.
    pub trusted_proxies: Arc<[TrustedProxy]>,
}

impl ConnectionLimits {
    /// The longest head of a request, in bytes, that is read from this peer.
    pub(super) fn max_head_bytes(&self, peer: Peer) -> usize {
        if is_proxy(peer, &self.trusted_proxies) {
            MAX_HEAD_BYTES_OF_PROXY
        } else {
            MAX_HEAD_BYTES
        }
    }
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            // Longer than what proxies keep unused connections for (60 s in nginx and in the load
            // balancers of AWS): the one who closes must be the one who sends, or a request meets
            // a closing connection now and then.
            keep_alive: Duration::from_secs(75),
            answer: Duration::from_secs(30),
            connections: 4096,
            trusted_proxies: Arc::default(),
        }
    }
}
