//! What a request is taken apart into.
//!
//! - [`accept`]: JSON or pages, and in which language.
//! - [`body`]: read whole, within bounds; [`fields`]: what is in it.
//! - [`session`]: the session cookie, and whose session it is.
//! - [`client_address`]: where a request comes from, also through trusted proxies; [`client_name`]: what
//!   sends it.
//! - [`app_check`]: what a proxy tells of a request for an app.
//! - [`host`]: which host it is for; [`trace_id`]: which trace it belongs to.
//! - [`other_origin`]: whether a script of another origin sends it.

pub mod accept;
pub mod app_check;
pub mod body;
pub mod client_address;
pub mod client_name;
pub mod fields;
pub mod host;
pub mod other_origin;
pub mod query;
pub mod session;
pub mod trace_id;
