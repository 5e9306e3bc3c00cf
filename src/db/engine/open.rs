//! Opening a database: finding it, refusing one that is not ours, bringing its schema up to date.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row, SqlSafeStr};
use tokio::time::sleep;
use tracing::{info, warn};

use super::file_watch::FileWatch;
use super::server::{self, Answers, Sharing};
use super::url::{DatabaseUrl, Place};
use super::{Engine, close_to_others, connect, create_file, file};
use crate::db::error;

/// A migration: number, name, text.
pub type MigrationText = (i64, &'static str, &'static str);

/// How long to try to open a database that another process holds.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(20);

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
    /// There is no file, for a command that creates none.
    #[error(
        "there is no database {0}: give the --database-url of the service, or start bienvenue once to \
         create it"
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
    /// It is empty, for a command that creates no tables.
    #[error("there are no tables in {0}: start bienvenue once to create them")]
    NoTables(DatabaseUrl),
    /// It was written by an earlier version of this program, for a command that migrates nothing.
    #[error("{0} has migration {1}, and this bienvenue needs {2}: run bienvenue migrate")]
    Older(DatabaseUrl, i64, i64),
    /// A migration failed and was undone.
    #[error("cannot bring the schema of {0} up to date")]
    Migrate(DatabaseUrl, #[source] MigrateError),
}

impl OpenError {
    pub(in crate::db) fn connect(url: &DatabaseUrl, error: sqlx::Error) -> Self {
        let fitting = match error::sqlite_code(&error) {
            Some(error::NOT_A_DATABASE | error::CORRUPT) => Self::NotADatabase,
            Some(error::READ_ONLY | error::CANNOT_OPEN) => Self::ReadOnly,
            _ if is_startup_parameter(&error) => Self::StartupParameter,
            _ => Self::Connect,
        };
        fitting(url.clone(), error)
    }

    fn migrate(url: &DatabaseUrl, error: MigrateError, migrations: &[MigrationText]) -> Self {
        match error {
            MigrateError::VersionMissing(version) => {
                Self::Newer(url.clone(), version, last_of(migrations))
            }
            MigrateError::Execute(error)
                if error::sqlite_code(&error) == Some(error::READ_ONLY) =>
            {
                Self::ReadOnly(url.clone(), error)
            }
            error => Self::Migrate(url.clone(), error),
        }
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
    fn is_busy(&self) -> bool {
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

/// Opens the database, once, to prepare it for the pools. Returns the watch over its file, if it is
/// one.
pub async fn prepare(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
) -> Result<Option<FileWatch>, OpenError> {
    let mut has_content = false;
    if let Place::Sqlite(path) = &url.0 {
        has_content = file::length(path).is_ok_and(|length| length > 0);
        let is_usable = find_or_create_file(url, path);
        if !is_usable.map_err(|error| OpenError::File(url.clone(), error))? {
            return Err(OpenError::LogWithoutFile(url.clone()));
        }
    }
    let since = Instant::now();
    let mut is_told = false;
    // When another process starts at the same moment, SQLite refuses some steps at once instead of
    // waiting for the lock, above all the change to a write-ahead log.
    loop {
        match open(url, migrations, has_content).await {
            Err(error) if error.is_busy() && since.elapsed() < BUSY_LIMIT => {
                if !std::mem::replace(&mut is_told, true) {
                    info!(database = %url, "another process holds the database: waiting for it");
                }
                sleep(BUSY_PAUSE).await;
            }
            opened => return opened,
        }
    }
}

/// Opens the database, refuses a damaged, another program's and a newer one, and brings the schema up to
/// date. `has_content` if there was something in the file of an SQLite database.
async fn open(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    has_content: bool,
) -> Result<Option<FileWatch>, OpenError> {
    let engine = Engine::of(url);
    let cannot_connect = |error| OpenError::connect(url, error);
    let connected = connect(&url.to_connect_url()).await;
    let mut connection = connected.map_err(cannot_connect)?;
    if let Place::Sqlite(path) = &url.0 {
        connection = refuse_if_cut(url, path, connection).await?;
        let is_others = is_foreign(engine, migrations, &mut connection).await;
        if is_others.map_err(cannot_connect)? {
            return Err(OpenError::Foreign(url.clone()));
        }
        // Before the schema is changed, which an earlier version of the program cannot undo.
        close_to_others(path).map_err(|error| OpenError::Rights(url.clone(), error))?;
    } else {
        refuse_shared(url, &mut connection).await?.warn(url);
    }
    let configured = engine.configure(&mut connection).await;
    configured.map_err(cannot_connect)?;
    let migrated = migrate(engine, migrations, &mut connection).await;
    let Some((before, now)) =
        migrated.map_err(|error| OpenError::migrate(url, error, migrations))?
    else {
        return Err(OpenError::Foreign(url.clone()));
    };
    if before == 0 && has_content {
        // Such as the file alone of a database whose tables were still in its log.
        warn!(database = %url, "there were no tables in the database: created them, without users");
    } else if before == 0 && engine == Engine::Postgres {
        info!(database = %url, "there were no tables in the database: created them, without users");
    }
    if (1..now).contains(&before) {
        info!(
            database = %url,
            "brought the schema from migration {before} to {now}: earlier versions of bienvenue cannot \
             use this database any more"
        );
    }
    let watch = match &url.0 {
        Place::Sqlite(path) => {
            let watch = FileWatch::start(&url.to_connect_url(), path).await;
            Some(watch.map_err(cannot_connect)?)
        }
        Place::Postgres(_) => None,
    };
    // All that was to be done is committed; if closing fails, nothing changes.
    let _ = connection.close().await;
    Ok(watch)
}

/// Finds the file of an SQLite database or creates it, and logs what an operator would not expect who
/// has a database already. False, with nothing done, if only the log of a database is there.
fn find_or_create_file(url: &DatabaseUrl, path: &Path) -> io::Result<bool> {
    let [_, log, _] = file::names(path);
    // The log first: by the time that another process has written to it, the file is not empty.
    let has_log = file::length(&log)? > 0;
    let is_empty = file::length(path)? == 0;
    if has_log && is_empty {
        // SQLite would remove the log.
        return Ok(false);
    }
    if path.exists() && !path.is_file() && !path.is_dir() {
        // Its rights would be taken from all others, such as those of `/dev/null`.
        let reason = "it is a device, a pipe or a socket, and not a file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    if has_log && !file::has_log_header(&log)? {
        warn!(database = %url, "the -wal has no valid header: what was only in it is lost");
    }
    if path.is_symlink() && !path.exists() {
        let reason = "it is a symbolic link that leads to no file";
        return Err(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    if create_file(path)? {
        info!(database = %url, "there was no database: created an empty one");
    } else if is_empty {
        warn!(database = %url, "the file of the database was there and empty: there are no users in it");
    }
    Ok(true)
}

/// Gives the connection back if no end of the database's file is missing.
pub async fn refuse_if_cut(
    url: &DatabaseUrl,
    path: &Path,
    mut connection: AnyConnection,
) -> Result<AnyConnection, OpenError> {
    let url = url.clone();
    match file::missing_bytes(&mut connection, path).await {
        Ok(0) => Ok(connection),
        Ok(missing) => {
            // Left open on purpose: if it were closed, SQLite would write the log into the file, whose
            // length would then be right and its content zeros.
            std::mem::forget(connection);
            Err(OpenError::Cut { url, missing })
        }
        Err(error) if error::is_corrupt(&error) => {
            let _ = connection.close().await;
            match file::bytes_missing_by_header(path) {
                Ok(missing) if missing > 0 => Err(OpenError::Cut { url, missing }),
                _ => Err(OpenError::NotADatabase(url, error)),
            }
        }
        Err(error) => Err(OpenError::connect(&url, error)),
    }
}

/// Refuses a server behind a pooler that shares connections: settings and prepared statements of one
/// client would be on the connections of others, and the lock of a migration would stay behind.
pub async fn refuse_shared(
    url: &DatabaseUrl,
    connection: &mut AnyConnection,
) -> Result<Answers, OpenError> {
    let answers = server::ask(url, connection).await;
    let answers = answers.map_err(|error| OpenError::connect(url, error))?;
    match answers.sharing {
        Sharing::Shared => Err(OpenError::Pooled(url.clone())),
        Sharing::Own | Sharing::Unknown => Ok(answers),
    }
}

/// Whether a database holds the tables of another program: there are tables, and the first migration
/// of this program was not applied. Only reads.
pub async fn is_foreign(
    engine: Engine,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> sqlx::Result<bool> {
    const MIGRATIONS_TABLE: &str = "_sqlx_migrations";
    let tables = sqlx::query(engine.find_tables());
    let tables = tables.fetch_all(&mut *connection).await?;
    let names = tables.iter().map(|table| table.try_get::<&str, _>("name"));
    let names: Vec<&str> = names.collect::<sqlx::Result<_>>()?;
    if !names.contains(&MIGRATIONS_TABLE) {
        return Ok(!names.is_empty());
    }
    let applied = sqlx::query("SELECT version, description FROM _sqlx_migrations ORDER BY version");
    let applied = applied.fetch_all(connection).await?;
    let Some(first) = applied.first() else {
        // A first start that was killed leaves the empty table behind.
        return Ok(names.len() > 1);
    };
    let (version, name, _) = migrations[0];
    Ok(first.try_get::<i64, _>("version")? != version
        || first.try_get::<&str, _>("description")? != name)
}

/// Brings the schema up to date. Returns the number of the last migration before and after; `None`, with
/// nothing done, if a PostgreSQL database holds the tables of another program.
pub async fn migrate(
    engine: Engine,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> Result<Option<(i64, i64)>, MigrateError> {
    let texts = migrations.iter().map(|(version, name, text)| {
        let sql = AssertSqlSafe(engine.translate(text)).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    let migrator = Migrator::with_migrations(texts.collect());
    let last = last_of(migrations);
    let Some(begin) = engine.begin_exclusive() else {
        // The lock that the migrator takes too, and more than once if need be: without it two first
        // starts create the table of migrations at the same moment, and one fails.
        connection.lock().await?;
        // Not before: another process may be creating the tables.
        if is_foreign(engine, migrations, connection).await? {
            connection.unlock().await?;
            return Ok(None);
        }
        let before = last_applied(&migrator, connection).await?;
        migrator.run(&mut *connection).await?;
        connection.unlock().await?;
        return Ok(Some((before, last)));
    };
    // A table that is rebuilt is dropped in between, and nothing that refers to it may go with it.
    // Cannot be turned off inside of a transaction.
    connection.execute("PRAGMA foreign_keys = OFF").await?;
    let mut transaction = connection.begin_with(begin).await?;
    let before = last_applied(&migrator, &mut transaction).await?;
    // Takes reading all that refers to anything, so not at every start.
    let is_due = before < last;
    let orphans = if is_due {
        count_orphans(&mut transaction).await?
    } else {
        0
    };
    migrator.run(&mut *transaction).await?;
    // Those from before are a foreign program's doing, and void; a migration must make none.
    if is_due && count_orphans(&mut transaction).await? > orphans {
        let error = "the migration leaves rows that refer to rows that are not there";
        return Err(sqlx::Error::Protocol(error.to_owned()).into());
    }
    transaction.commit().await?;
    Ok(Some((before, last)))
}

/// The number of the last migration that was applied; 0 for none.
async fn last_applied(
    migrator: &Migrator,
    connection: &mut AnyConnection,
) -> Result<i64, MigrateError> {
    let table = &migrator.table_name;
    connection.ensure_migrations_table(table).await?;
    let applied = connection.list_applied_migrations(table).await?;
    let versions = applied.iter().map(|migration| migration.version);
    Ok(versions.max().unwrap_or(0))
}

/// How many rows of an SQLite database refer to a row that is not there.
async fn count_orphans(connection: &mut AnyConnection) -> sqlx::Result<i64> {
    let count = sqlx::query("SELECT count(*) FROM pragma_foreign_key_check");
    count.fetch_one(connection).await?.try_get(0)
}

pub fn last_of(migrations: &[MigrationText]) -> i64 {
    migrations.last().map_or(0, |(version, ..)| *version)
}
