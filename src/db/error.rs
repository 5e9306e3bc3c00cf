//! What can go wrong in the database, told apart by what the asker can do about it.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::error::DatabaseError;

/// What PostgreSQL calls a deadlock, and a transaction that no order of transactions one after the other
/// explains. SQLite has neither: it lets one write at a time.
const CONFLICTS: [&str; 2] = ["40P01", "40001"];

pub type Result<T> = std::result::Result<T, Error>;

/// Why the database did not do what it was asked. Clones go to all who asked together.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// It took too long. A change may or may not have been made.
    #[error("the database did not answer in time")]
    TimedOut,
    /// It is away, busy, full or read-only. The same request may succeed later.
    #[error("the database is unavailable")]
    Unavailable(#[source] Arc<sqlx::Error>),
    /// Its file is gone or damaged. What was to be changed is not there to stay.
    #[error("the database is lost")]
    Lost(LostDatabase),
    /// It was closed, because the process ends.
    #[error("the database is closed")]
    Closed,
    /// It does not understand us, or we do not understand it.
    #[error("the database failed")]
    Failed(#[source] Arc<sqlx::Error>),
    /// The work on it panicked. A change may or may not have been made.
    #[error("the work on the database panicked")]
    Panicked,
}

/// How the file of a database was lost while the service ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LostDatabase {
    /// A name leads to no file any more, or to another one.
    #[error(
        "{} was removed, moved or replaced while the service ran: put the same file back, together \
         with its -wal, or stop the service and restore a backup",
        .0.display()
    )]
    Gone(PathBuf),
    /// The file is shorter than the database in it.
    #[error("{missing} bytes are missing at the end of {}: restore a backup", .path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// How many bytes it lacks.
        missing: u64,
    },
}

impl Error {
    /// The names that [`Self::kind`] gives.
    pub const KINDS: [&str; 6] = [
        "timed_out",
        "unavailable",
        "lost",
        "closed",
        "failed",
        "panicked",
    ];

    /// Which kind of error it is, in a word for metrics.
    pub fn kind(&self) -> &'static str {
        let [timed_out, unavailable, lost, closed, failed, panicked] = Self::KINDS;
        match self {
            Self::TimedOut => timed_out,
            Self::Unavailable(_) => unavailable,
            Self::Lost(_) => lost,
            Self::Closed => closed,
            Self::Failed(_) => failed,
            Self::Panicked => panicked,
        }
    }

    /// Whether a row was refused because a row that it belongs to is not there.
    pub fn is_foreign_key_violation(&self) -> bool {
        matches!(
            self,
            Self::Failed(error)
                if error.as_database_error().is_some_and(DatabaseError::is_foreign_key_violation)
        )
    }

    /// Whether a row was refused because another one has what only one can have.
    pub fn is_unique_violation(&self) -> bool {
        matches!(
            self,
            Self::Failed(error)
                if error.as_database_error().is_some_and(DatabaseError::is_unique_violation)
        )
    }

    /// Whether a transaction was undone because of another one, such as one that waited for it: the
    /// server's advice is to repeat it.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Unavailable(error) if is_conflict(error))
    }

    /// Whether the same request may succeed later.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::TimedOut | Self::Lost(_) | Self::Closed | Self::Unavailable(_)
        )
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_temporary(&error) {
            Self::Unavailable(error.into())
        } else {
            Self::Failed(error.into())
        }
    }
}

/// Whether a transaction was undone because of another one.
pub fn is_conflict(error: &sqlx::Error) -> bool {
    has_code(error, &CONFLICTS)
}

/// Whether it is an error of the database with one of these codes.
pub fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(DatabaseError::code);
    code.is_some_and(|code| codes.contains(&&*code))
}

/// Whether the same may succeed later.
pub fn is_temporary(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            if is_sqlstate(&code) {
                is_temporary_sqlstate(&code)
            } else {
                code.parse().is_ok_and(is_temporary_sqlite_code)
            }
        }),
        _ => false,
    }
}

/// Classes of <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn is_temporary_sqlstate(code: &str) -> bool {
    let class = &code[..2];
    let is_temporary_class = [
        "08", // the connection broke
        "40", // deadlock or serialization failure
        "53", // out of disk, memory or connections
        "57", // shutting down, starting up or cancelled
        "58", // the system beneath failed
    ]
    .contains(&class);
    // A lock that could not be had, and a server that is a read-only standby for now.
    is_temporary_class || code == "55P03" || code == "25006"
}

// Primary result codes of <https://www.sqlite.org/rescode.html>; extended ones carry them in their
// lowest byte.
pub const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const NO_MEMORY: i32 = 7;
pub const READ_ONLY: i32 = 8;
const IO_ERROR: i32 = 10;
pub const CORRUPT: i32 = 11;
const FULL: i32 = 13;
pub const CANNOT_OPEN: i32 = 14;
pub const NOT_A_DATABASE: i32 = 26;

fn is_temporary_sqlite_code(code: i32) -> bool {
    [
        BUSY,
        LOCKED,
        NO_MEMORY,
        READ_ONLY,
        IO_ERROR,
        FULL,
        CANNOT_OPEN,
    ]
    .contains(&(code & 0xff))
}

/// Whether SQLite found its file to contradict itself: <https://www.sqlite.org/rescode.html#corrupt>.
pub fn is_corrupt(error: &sqlx::Error) -> bool {
    sqlite_code(error) == Some(CORRUPT)
}

/// The primary result code of SQLite's error; `None` for what is none.
pub fn sqlite_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    let code: i32 = if is_sqlstate(&code) {
        return None;
    } else {
        code.parse().ok()?
    };
    Some(code & 0xff)
}

/// Whether it is PostgreSQL that says so: SQLite's codes are shorter.
fn is_sqlstate(code: &str) -> bool {
    code.len() == 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_temporary_and_a_bug_is_not() {
        for code in [
            "57P01", "57P03", "53300", "08006", "40001", "55P03", "25006",
        ] {
            assert!(is_temporary_sqlstate(code), "{code}");
        }
        for code in ["23505", "42601", "42P01", "22021"] {
            assert!(!is_temporary_sqlstate(code), "{code}");
        }
        for code in [5, 517, 8, 10, 3338, 13, 14] {
            assert!(is_temporary_sqlite_code(code), "{code}");
        }
        for code in [1, 11, 19, 2067, 26] {
            assert!(!is_temporary_sqlite_code(code), "{code}");
        }
    }
}
