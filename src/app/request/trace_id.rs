//! The trace that a request belongs to, as proxies that trace requests tell it
//! (<https://www.w3.org/TR/trace-context/>).

use axum::extract::{ConnectInfo, Request};

use crate::app::settings::{TrustedProxy, is_proxy};
use crate::source::Peer;

/// The id of the trace that a trusted proxy gives the request: 32 hexadecimal digits. `None` if it gives
/// none, or not exactly one in the form of the standard.
pub fn trace_id<'a>(request: &'a Request, trusted: &[TrustedProxy]) -> Option<&'a str> {
    let mut headers = request.headers().get_all("traceparent").iter();
    let (Some(header), None) = (headers.next(), headers.next()) else {
        return None;
    };
    let &ConnectInfo(peer) = request.extensions().get::<ConnectInfo<Peer>>()?;
    if !is_proxy(peer, trusted) {
        return None;
    }
    parse(header.to_str().ok()?)
}

/// Reads `version-trace_id-parent_id-flags`. Later versions may add fields to these of the first.
fn parse(header: &str) -> Option<&str> {
    let mut fields = header.splitn(5, '-');
    let [version, trace_id, parent_id, flags] = [2, 32, 16, 2].map(|digits| {
        let field = fields.next()?;
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (field.len() == digits && field.bytes().all(is_digit)).then_some(field)
    });
    let (version, trace_id, parent_id) = (version?, trace_id?, parent_id?);
    flags?;
    let is_length_right = match version {
        "00" => fields.next().is_none(),
        "ff" => false,
        _ => true,
    };
    let is_zero = |field: &str| field.bytes().all(|digit| digit == b'0');
    (is_length_right && !is_zero(trace_id) && !is_zero(parent_id)).then_some(trace_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn the_form_of_the_standard_is_read_and_no_other() {
        for header in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "fe-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more-\"fields\"",
        ] {
            assert_eq!(parse(header), Some(TRACE), "{header}");
        }
        for header in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e47366-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473x-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(header), None, "{header}");
        }
    }
}
