//! A backup: one SQLite file with the schema of this program, from either engine, and its way back into
//! an empty database of either.
//!
//! - `tables`: which tables and columns there are. A migration that adds one adds it there.
//! - `copy`: rows from one database into another, and the ids that go on behind them.
//! - `make`: a new backup; `restore`: filling a database from one.
//! - `file`: reading and checking a backup; `error`: why there is none, or nothing was restored.

mod copy;
mod error;
mod file;
pub mod make;
pub mod restore;
pub mod tables;

pub use copy::{Counts, Progress};
pub use error::BackupError;
