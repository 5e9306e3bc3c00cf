//! One connection: HTTP/1.1 over a socket, cut off when its client keeps it waiting for too long.
//!
//! hyper can time the header fields alone, with a timer made anew for each request, and ends unused
//! connections by the same limit. Here one timer serves a connection for its whole life: the stream
//! and the service note how far it has come, and the task that drives it looks what it now waits for.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};
use tower::Service;

use super::limits::ConnectionLimits;
use super::listener::Stream;
use super::stop_order::StopOrder;
use super::wait::{Pause, Wait};
use crate::app::MAX_BODY_BYTES;
use crate::source::Peer;

/// How long the rest of a refused request is received and thrown away for.
const LINGER: Duration = Duration::from_secs(2);

/// Answers the requests of one client until it leaves, is told that the server stops, or exceeds a
/// limit.
pub(super) async fn serve(
    stream: Stream,
    peer: Peer,
    router: Router,
    limits: ConnectionLimits,
    mut order: StopOrder,
    wait: Arc<Wait>,
) {
    let max_head_bytes = limits.max_head_bytes(peer);
    let progress = Arc::new(Progress::default());
    let is_ending = order.is_ending();
    let service =
        service_fn(|request| answer(request, peer, router.clone(), &progress, &wait, &is_ending));
    let stream = WatchedStream {
        stream,
        progress: progress.clone(),
    };
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(max_head_bytes)
        .max_buf_size(max_head_bytes)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stop = pin!(order.given());
    let mut is_stopping = false;
    let mut awaited = progress.awaited();
    let mut timer = pin!(sleep(limits.head));
    let mut deadline = Some(timer.deadline());
    poll_fn(|context| {
        // However it ended: the client has its answer, or has gone.
        if connection.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        // Looked at after that: a request that has arrived is read before the order is followed.
        if !is_stopping && stop.as_mut().poll(context).is_ready() {
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
            if connection.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
        }
        let now_awaited = progress.awaited();
        if awaited != now_awaited {
            awaited = now_awaited;
            let is_open;
            (is_open, deadline) = match awaited.pause() {
                Some(pause) => {
                    let now = Instant::now();
                    let limit = awaited.limit(&limits);
                    (wait.begin(pause, now), limit.map(|limit| now + limit))
                }
                None => (wait.end(), None),
            };
            if !is_open {
                return Poll::Ready(());
            }
        }
        wait.hold(progress.held(awaited, max_head_bytes));
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        // The timer is set anew only if it would be late, or has gone off early: not for each request.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() == deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    })
    .await;
}

async fn answer(
    mut request: Request<Incoming>,
    peer: Peer,
    mut router: Router,
    progress: &Arc<Progress>,
    wait: &Arc<Wait>,
    is_ending: &AtomicBool,
) -> Result<Response, Infallible> {
    if !wait.end() {
        // The task is being ended.
        return pending().await;
    }
    progress.answering.store(true, Relaxed);
    request.extensions_mut().insert(ConnectInfo(peer));
    let request = request.map(|body| {
        if body.is_end_stream() {
            return Body::empty();
        }
        Body::new(WatchedBody {
            body,
            progress: Arc::clone(progress),
            wait: Arc::clone(wait),
        })
    });
    let mut response = router.call(request).await?;
    if is_ending.load(Relaxed) {
        // The client sends its next request on another connection, and loses none on this one.
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    progress.answered(response.headers().contains_key(CONNECTION));
    Ok(response)
}

/// How far a connection has come. One task writes and reads it; what is shared is between its parts.
#[derive(Default)]
struct Progress {
    /// A part of a request's head, or all of it, has arrived.
    head_begun: AtomicBool,
    /// A request is with its handler, which has limits of its own.
    answering: AtomicBool,
    /// The handler waits for the rest of the request's body.
    body_awaited: AtomicBool,
    /// How many bytes have arrived since the last answer.
    received: AtomicUsize,
    /// So many requests are answered.
    answered: AtomicUsize,
    /// A part of an answer is written, and the client has not taken it all.
    unsent: AtomicBool,
    /// We end the connection, while the client may still be sending.
    cut_short: AtomicBool,
    /// The last answer is out.
    closing: AtomicBool,
}

/// What a connection waits for, with a number that differs between one request and the next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Head(usize),
    Body(usize),
    Answer,
    NextRequest(usize),
    Reader,
    End,
}

impl Progress {
    fn received(&self, bytes: usize) {
        self.head_begun.store(true, Relaxed);
        let before = self.received.load(Relaxed);
        self.received.store(before.saturating_add(bytes), Relaxed);
    }

    fn answered(&self, cut_short: bool) {
        self.head_begun.store(false, Relaxed);
        self.answering.store(false, Relaxed);
        self.received.store(0, Relaxed);
        self.answered.fetch_add(1, Relaxed);
        self.cut_short.store(cut_short, Relaxed);
    }

    /// Whether the client may be in the middle of a request when the connection ends: we have said so
    /// in an answer, or the head was refused before it became a request.
    fn ends_early(&self) -> bool {
        self.cut_short.load(Relaxed) || self.head_begun.load(Relaxed)
    }

    fn awaited(&self) -> Awaited {
        let answered = self.answered.load(Relaxed);
        if self.closing.load(Relaxed) {
            Awaited::End
        } else if self.unsent.load(Relaxed) {
            Awaited::Reader
        } else if self.body_awaited.load(Relaxed) {
            Awaited::Body(answered)
        } else if self.answering.load(Relaxed) {
            Awaited::Answer
        } else if self.head_begun.load(Relaxed) || answered == 0 {
            // The first request is due at once: there is no idle time before it.
            Awaited::Head(answered)
        } else {
            Awaited::NextRequest(answered)
        }
    }

    /// How many bytes of a request that has not arrived whole are in memory, at most.
    fn held(&self, awaited: Awaited, max_head_bytes: usize) -> usize {
        match awaited {
            Awaited::Head(_) | Awaited::Body(_) => {
                // What is received beyond that is thrown away.
                let most = max_head_bytes + MAX_BODY_BYTES;
                self.received.load(Relaxed).min(most)
            }
            _ => 0,
        }
    }
}

impl Awaited {
    /// Where the client keeps the connection waiting; `None` if it does not.
    fn pause(self) -> Option<Pause> {
        match self {
            Self::Answer => None,
            Self::NextRequest(_) => Some(Pause::BetweenRequests),
            Self::Head(_) | Self::Body(_) | Self::Reader | Self::End => Some(Pause::WithinRequest),
        }
    }

    /// How long that may take; `None` if it is not for the client to decide, or limited where it is
    /// read.
    fn limit(self, limits: &ConnectionLimits) -> Option<Duration> {
        match self {
            Self::Head(_) => Some(limits.head),
            Self::Body(_) | Self::Answer => None,
            Self::NextRequest(_) => Some(limits.keep_alive),
            Self::Reader => Some(limits.answer),
            Self::End => Some(LINGER),
        }
    }
}

/// A body that notes when it waits for the client.
struct WatchedBody {
    body: Incoming,
    progress: Arc<Progress>,
    wait: Arc<Wait>,
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match &frame {
            Poll::Pending => self.progress.body_awaited.store(true, Relaxed),
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(None | Some(Err(_))) => {
                self.progress.body_awaited.store(false, Relaxed);
                if !self.wait.end() {
                    // The task is being ended, before the handler has seen the whole request.
                    return Poll::Pending;
                }
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        // The reader of the body must see its end here.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for WatchedBody {
    fn drop(&mut self) {
        self.progress.body_awaited.store(false, Relaxed);
    }
}

/// A stream that notes what passes through it, and that ends as RFC 9112, 9.6, asks for.
struct WatchedStream {
    stream: Stream,
    progress: Arc<Progress>,
}

impl WatchedStream {
    fn noted<T>(&self, written: Poll<T>) -> Poll<T> {
        if written.is_pending() {
            self.progress.unsent.store(true, Relaxed);
        }
        written
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let received = buffer.filled().len() - before;
        if received > 0 {
            self.progress.received(received);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when everything is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.progress.unsent.store(false, Relaxed);
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Says that no more comes, and receives what is still on its way: closing on unread bytes would
    /// reset the connection, and with it the answer that the client has not read yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.progress.closing.swap(true, Relaxed) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
        }
        if !self.progress.ends_early() {
            return Poll::Ready(Ok(()));
        }
        let mut scrap = [0; 1024];
        loop {
            let mut scrap = ReadBuf::new(&mut scrap);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut scrap))?;
            if scrap.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
