//! Request bodies: read whole and within bounds before anybody looks at them.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use http_body_util::BodyExt;
use tokio::time::timeout;

use super::Result;
use super::error::Error;

/// The longest body that is read. The longest sensible one is a tenth of it.
pub const MAX_BODY_BYTES: usize = 16 * 1024;

/// How much of a body that is too long is received and thrown away, so that its sender gets to
/// read the refusal: a connection that closes under a sender shows them an error of the network.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// Reads the body of a request. One that breaks off, is too long or takes too long goes nowhere.
pub(super) async fn read_whole(request: Request, limit: Duration) -> Result<Request> {
    let (parts, body) = request.into_parts();
    // This client sends its body only when asked to, which reading it does.
    let waits_to_be_asked = parts.headers.contains_key(EXPECT);
    let announced = body.size_hint().lower();
    let will_be_too_large = announced > MAX_BODY_BYTES as u64;
    if will_be_too_large && (waits_to_be_asked || announced > MAX_DISCARDED_BYTES as u64) {
        return Err(Error::BodyTooLarge);
    }
    let received = timeout(limit, receive(body)).await;
    let body = received.map_err(|_| Error::BodyTooSlow)??;
    Ok(Request::from_parts(parts, body.into()))
}

async fn receive(mut body: Body) -> Result<Bytes> {
    let mut kept = Vec::new();
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Error::BrokenBody)?.into_data() else {
            continue;
        };
        received += data.len();
        if received > MAX_DISCARDED_BYTES {
            break;
        }
        if received <= MAX_BODY_BYTES {
            // No more than what has come: a body that stays unfinished holds no room for its rest.
            kept.reserve_exact(data.len());
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
        }
    }
    if received > MAX_BODY_BYTES {
        Err(Error::BodyTooLarge)
    } else {
        Ok(kept.into())
    }
}
