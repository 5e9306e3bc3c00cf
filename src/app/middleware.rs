//! What stands around every route; `app.rs` has the order.
//!
//! - [`cors`]: lets scripts of other origins read answers.
//! - [`access_log`]: one line a request, its id, and how long it may wait for the database.
//! - [`security_headers`]: header fields of every response.
//! - [`request_check`]: host, framing, other sites ([`cross_site`]), the body, and the method that a
//!   form stands for ([`method_override`]).

pub mod access_log;
pub mod cors;
mod cross_site;
mod method_override;
pub mod request_check;
pub mod security_headers;
