//! What a line of a file comes to, whatever the format.

use crate::auth::administration::{ImportedUser, Unusable};

/// The longest line, in bytes: far beyond any user, and little to hold.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most groups of a user, so that the users of a batch are little to hold.
pub const MAX_GROUPS: usize = 128;

/// A user of a file, or why it is none.
pub struct Line {
    /// The number of the line, or of the row of a table.
    pub position: i64,
    /// What stands there.
    pub user: Result<ImportedUser, Problem>,
}

/// Why a line is not taken over. Shows nothing of it but a valid address: a field may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    #[error("an address or a hash is longer than any that is usable")]
    ValueTooLong,
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("has {0} fields, where the header has {1}")]
    Fields(usize, usize),
    #[error("is not a JSON object: see column {0}")]
    NotJson(usize),
    #[error("has no {0}")]
    Missing(&'static str),
    #[error("{0} is not {1}")]
    WrongType(&'static str, &'static str),
    #[error("has more than {MAX_GROUPS} groups")]
    TooManyGroups,
    #[error(transparent)]
    Unusable(#[from] Unusable),
}

/// What a moment is written as.
pub const MOMENT: &str = "a time of RFC 3339, such as 2026-11-28T09:30:00Z, or in Unix seconds";
