//! Request bodies: read whole and within bounds before a handler runs.

use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::app::error::{Error, MAX_BODY_BYTES};

/// How much of a body that is too long is received and discarded, so that its sender reads the
/// refusal: to a client that is still sending, a closed connection is a network error.
const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// Reads the body of a request.
pub async fn read_whole(request: Request, limit: Duration) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    // Such a client sends its body after `100 Continue`, which reading the body makes hyper send.
    let waits_for_continue = parts.headers.contains_key(EXPECT);
    let announced = body.size_hint().lower();
    let will_be_too_large = announced > MAX_BODY_BYTES as u64;
    if will_be_too_large && (waits_for_continue || announced > MAX_DISCARDED_BYTES as u64) {
        return Err(Error::BodyTooLarge);
    }
    let received = timeout(limit, receive(body)).await;
    let body = received.map_err(|_| Error::BodyTooSlow)??;
    Ok(Request::from_parts(parts, body.into()))
}

async fn receive(mut body: Body) -> Result<Bytes, Error> {
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
            // Exactly what has arrived: a body that stays unfinished reserves nothing for its rest.
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
