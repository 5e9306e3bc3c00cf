//! What a look at a database finds, by reading alone: no file and no table is created or changed.
//!
//! - `sqlite`: the files, and what is in them; `postgres`: the server.

mod postgres;
mod sqlite;

pub use postgres::{Server, inspect_server};
pub use sqlite::{Contents, Files, Integrity, inspect_contents, inspect_files};
