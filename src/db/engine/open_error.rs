//! Why a database cannot be used.

use std::io;

use sqlx::migrate::MigrateError;

use super::url::DatabaseUrl;
use crate::db::error;

/// Why a database cannot be used. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is not there and cannot be created, or its rights cannot be set.
    #[error("cannot use {0}: check that its folder exists and can be written to")]
    File(DatabaseUrl, #[source] io::Error),
    /// The files are open to others, and are another user's, who alone can change that.
    #[error(
        "cannot take {0} and the files beside it from other users: give them to the user that runs \
         bienvenue (chown)"
    )]
    Rights(DatabaseUrl, #[source] io::Error),
    /// Nothing answers there, or it does not let us in.
    #[error("cannot connect to {0}")]
    Connect(DatabaseUrl, #[source] sqlx::Error),
    /// A pooler stands before it that does not know what drivers say when they connect.
    #[error(
        "the pooler before {0} refuses a setting that bienvenue connects with: in PgBouncer, set \
         ignore_startup_parameters = extra_float_digits"
    )]
    StartupParameter(DatabaseUrl, #[source] sqlx::Error),
    /// A pooler stands before it whose clients share connections.
    #[error(
        "{0} is behind a pooler that gives each transaction or statement another connection, where \
         prepared statements and settings are lost: set pool_mode = session in it, or connect to the \
         server itself"
    )]
    Pooled(DatabaseUrl),
    /// The database file is gone or empty, and what was last written is in the log beside it.
    #[error(
        "{0} is missing or empty, but its -wal holds data: put the file back that belongs to it, or \
         remove the -wal to begin with an empty database"
    )]
    LogWithoutFile(DatabaseUrl),
    /// The file is shorter than the database in it.
    #[error(
        "{missing} bytes are missing at the end of {url}: restore a backup, and remove the -wal and the \
         -shm that are there"
    )]
    Cut {
        /// The database.
        url: DatabaseUrl,
        /// How many bytes it lacks.
        missing: u64,
    },
    /// The file, its folder or its file system cannot be written to.
    #[error(
        "cannot write to {0}: its file, its folder or its file system is read-only, or belongs to \
         another user"
    )]
    ReadOnly(DatabaseUrl, #[source] sqlx::Error),
    /// It is something else than a database, or damaged.
    #[error("cannot read {0}: it is not an SQLite database, or damaged")]
    NotADatabase(DatabaseUrl, #[source] sqlx::Error),
    /// It holds another program's tables.
    #[error("{0} belongs to another program: choose a database of its own for bienvenue")]
    Foreign(DatabaseUrl),
    /// It was written by a newer version of this program.
    #[error(
        "{0} has migration {1}, and this bienvenue knows no later one than {2}: \
         use the newer version that wrote it"
    )]
    Newer(DatabaseUrl, i64, i64),
    /// There is no file, for who creates none.
    #[error(
        "there is no database {}: give the --database-url of the service, or run bienvenue migrate or \
         start bienvenue once to create it",
        .0.absolute()
    )]
    Missing(DatabaseUrl),
    /// The file is another user's, for a command that would leave files beside it.
    #[error("{url} is a file of the user {owner}: run this command as sudo -u {owner} bienvenue …")]
    OtherOwner {
        /// The database.
        url: DatabaseUrl,
        /// The user, as `sudo -u` takes it.
        owner: String,
    },
    /// It is empty, for who creates no tables.
    #[error(
        "there are no tables in {}: run bienvenue migrate or start bienvenue once to create them",
        .0.absolute()
    )]
    NoTables(DatabaseUrl),
    /// It was written by an earlier version of this program, for who migrates nothing.
    #[error("{0} has migration {1}, and this bienvenue needs {2}: run bienvenue migrate")]
    Older(DatabaseUrl, i64, i64),
    /// A migration failed and was undone.
    #[error("cannot bring the schema of {0} up to date")]
    Migrate(DatabaseUrl, #[source] MigrateError),
}

impl OpenError {
    /// An error of connecting, or of the first steps on a connection.
    pub fn connect(url: &DatabaseUrl, error: sqlx::Error) -> Self {
        let fitting = match error::sqlite_code(&error) {
            Some(error::NOT_A_DATABASE | error::CORRUPT) => Self::NotADatabase,
            Some(error::READ_ONLY | error::CANNOT_OPEN) => Self::ReadOnly,
            _ if is_startup_parameter(&error) => Self::StartupParameter,
            _ => Self::Connect,
        };
        fitting(url.clone(), error)
    }

    /// A migration that was refused or failed, of migrations of which this is the last.
    pub fn migrate(url: &DatabaseUrl, error: MigrateError, last: i64) -> Self {
        match error {
            MigrateError::VersionMissing(version) => Self::Newer(url.clone(), version, last),
            MigrateError::Execute(error)
                if error::sqlite_code(&error) == Some(error::READ_ONLY) =>
            {
                Self::ReadOnly(url.clone(), error)
            }
            error => Self::Migrate(url.clone(), error),
        }
    }

    /// Whether all that it lacks is what `bienvenue migrate` creates or brings up to date.
    pub fn is_pending(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::NoTables(_) | Self::Older(..))
    }

    /// The code of PostgreSQL's refusal to let us in; `None` if it is another error.
    pub fn sqlstate(&self) -> Option<String> {
        let Self::Connect(_, error) = self else {
            return None;
        };
        let code = error.as_database_error()?.code()?;
        Some(code.into_owned())
    }

    /// Whether another process held the file in that moment.
    pub fn is_busy(&self) -> bool {
        let (Self::Connect(_, error)
        | Self::Migrate(
            _,
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _),
        )) = self
        else {
            return false;
        };
        error::sqlite_code(error) == Some(error::BUSY)
    }
}

/// Whether a pooler refuses a parameter that it does not know, in the words of PgBouncer.
fn is_startup_parameter(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(|error| error.message().starts_with("unsupported startup parameter"))
}
