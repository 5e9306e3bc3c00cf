//! A user authentication service: sign up, log in, log out, who is it, reset a password.
//!
//! ```text
//!       main ── config, logging          bin/e2e  (a client like any other, over HTTP)
//!         │
//!       server    sockets: listen, connections, their time-outs and limits; knows no route
//!         │
//!        app      HTTP: router, extractors, negotiation, replies, pages
//!         │  calls only
//!        auth     the rules: register, log in, log out, reset, who is it
//!    ┌─────┬─┴─────┬──────────┐
//!   mail  │    throttle   password
//!    │    ├───────┘          │
//!    │    db                 │
//!    └────┴───┬──────────────┘
//!   user, email, token, source, clock, …   the words that everyone shares; they know nobody
//! ```
//!
//! Arrows point down only. `app` never sees [`db::Db`], `auth` never sees HTTP, only `db` sees SQL,
//! and a test (`tests/service/architecture.rs`) keeps it so.
//!
//! - [`server`] accepts connections and cuts off clients that are slow or take too much. It serves any
//!   router.
//! - [`app`] takes requests apart, asks [`auth`], and puts replies together: JSON for programs, pages
//!   for people.
//! - [`auth`] knows the rules. Who asks, and how, makes no difference to them.
//! - [`mail`] writes to users, and knows how mails leave.
//! - [`throttle`] says how often one may try, and why that locks no owner out.
//! - [`db`] keeps users, sessions, reset tokens, counts of attempts and what is to be mailed, on SQLite or
//!   PostgreSQL. Session checks that wait share a query, and logins that wait share a commit.
//! - [`password`] says what may be a password, hashes it and checks it, on threads of its own, several
//!   at once.
//! - [`user`], [`email`] and [`token`] are the words: a user, an address in its one spelling, the
//!   secrets that users hold and the digests that are stored. [`source`] is where a request comes
//!   from, and [`public_url`] where the world reaches the service.
//! - [`clock`] tells the time, [`wait_budget`] says how long a request may still wait for the database,
//!   and [`error_chain`] tells an error with its causes.
//! - [`config`] is the command line; [`logging`] writes the log. Both belong to `main`.

pub mod app;
pub mod auth;
pub mod clock;
pub mod config;
pub mod db;
pub mod email;
pub mod error_chain;
pub mod language;
pub mod logging;
pub mod mail;
pub mod password;
pub mod public_url;
pub mod server;
pub mod source;
pub mod token;
pub mod user;
pub mod wait_budget;
