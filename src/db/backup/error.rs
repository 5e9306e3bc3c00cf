//! Why there is no backup, or nothing was restored.

use std::io;
use std::path::PathBuf;

use crate::db::engine::open_error::OpenError;
use crate::db::error::{self, sqlite_code};

/// Why there is no backup, or nothing was restored. The database is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The database cannot be used.
    #[error(transparent)]
    Open(Box<OpenError>),
    /// The name of the new backup is taken.
    #[error("{} is there already: give another name, or --force to replace it", .0.display())]
    Exists(PathBuf),
    /// The new backup would take the place of the database.
    #[error("{} belongs to the database itself: give another name", .0.display())]
    IsDatabase(PathBuf),
    /// The new backup cannot be written.
    #[error("cannot write the backup {}", .0.display())]
    Write(PathBuf, #[source] io::Error),
    /// The database cannot be read.
    #[error("cannot read {0}")]
    ReadRows(String, #[source] sqlx::Error),
    /// The rows cannot be written.
    #[error("cannot write into {0}")]
    WriteRows(String, #[source] sqlx::Error),
    /// SQLite finds faults in the file that was written.
    #[error(
        "the new backup {} is damaged, and was removed: check the database and the disk ({faults})",
        .path.display()
    )]
    Unsound {
        /// The file.
        path: PathBuf,
        /// What SQLite says of it.
        faults: String,
    },
    /// The rows are fewer or more than there were.
    #[error("{table} has {found} rows, and {copied} were copied")]
    Miscounted {
        /// The table.
        table: &'static str,
        /// How many rows there are.
        found: u64,
        /// How many were written.
        copied: u64,
    },
    /// The backup cannot be read.
    #[error("cannot read the backup {}", .0.display())]
    Read(PathBuf, #[source] io::Error),
    /// The file is the one of a database in use, or was copied from one.
    #[error(
        "{} has a -wal beside it with data of its own, as the file of a running service does: make a \
         backup of it by bienvenue backup",
        .0.display()
    )]
    HasLog(PathBuf),
    /// The backup is damaged, or something else.
    #[error("{} is damaged, or not an SQLite database ({faults}): use another backup", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        faults: String,
    },
    /// The file holds something else.
    #[error("{} is not a backup of bienvenue", .0.display())]
    Foreign(PathBuf),
    /// A newer version of this program made the backup.
    #[error(
        "{} has migration {applied}, and this bienvenue knows no later one than {known}: use the newer \
         version that made it",
        .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its last migration.
        applied: i64,
        /// The last that there is here.
        known: i64,
    },
    /// The backup of an earlier version cannot be brought up to date.
    #[error("cannot bring a copy of {} up to date in {}", .path.display(), .folder.display())]
    Migrate {
        /// The backup.
        path: PathBuf,
        /// Where the copy was.
        folder: PathBuf,
        /// What failed.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is something in the database that would be filled.
    #[error(
        "there are rows in the table {table} of {database}: restore into a new or an empty database, and \
         have the service use that one then"
    )]
    NotEmpty {
        /// The database.
        database: String,
        /// The first table with rows in it.
        table: &'static str,
    },
}

impl BackupError {
    /// Whether the database does not answer, or is held by another process.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Open(error) => matches!(**error, OpenError::Connect(..)),
            Self::ReadRows(_, error) | Self::WriteRows(_, error) => match sqlite_code(error) {
                Some(code) => code == error::BUSY,
                None => error::is_temporary(error),
            },
            _ => false,
        }
    }

    /// Whether what was written by another version stands in the way.
    pub fn is_of_other_version(&self) -> bool {
        match self {
            Self::Open(error) => matches!(**error, OpenError::Older(..) | OpenError::Newer(..)),
            Self::Newer { .. } => true,
            _ => false,
        }
    }

    /// Whether something is there already where the backup or the rows would go.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Exists(_) | Self::NotEmpty { .. })
    }
}

impl From<OpenError> for BackupError {
    fn from(error: OpenError) -> Self {
        Self::Open(error.into())
    }
}
