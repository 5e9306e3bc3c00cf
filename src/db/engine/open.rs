//! Opening a database: finding it, refusing one that is not ours, bringing its schema up to date.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::time::sleep;
use tracing::{info, warn};

use super::file_watch::FileWatch;
use super::migrations::{MigrationText, check_schema, is_foreign, last_of, migrate};
use super::open_error::OpenError;
use super::server::refuse_shared;
use super::url::{DatabaseUrl, Place};
use super::{Engine, close_to_others, connect, create_file, existing, file};

/// How long to try to open a database that another process holds.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
const BUSY_PAUSE: Duration = Duration::from_millis(20);

/// What to do with a database whose schema is not there, or is an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending {
    /// Create it, or bring it up to date.
    Migrate,
    /// Refuse it, and change nothing.
    Refuse,
}

/// A database that is ready to be used.
pub struct Prepared {
    /// The watch over its file, if it is one.
    pub watch: Option<FileWatch>,
    /// The number of its last migration before it was opened; 0 for none.
    pub before: i64,
    /// The number of its last migration now.
    pub now: i64,
}

/// Opens the database, once, to prepare it for the pools.
pub async fn prepare(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    pending: Pending,
) -> Result<Prepared, OpenError> {
    let mut has_content = false;
    if let Place::Sqlite(path) = &url.0 {
        has_content = file::length(path).is_ok_and(|length| length > 0);
        if pending == Pending::Refuse && !has_content {
            existing::check_file(url, path).map_err(|error| *error)?;
            return Err(OpenError::NoTables(url.clone()));
        }
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
        match open(url, migrations, pending, has_content).await {
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
/// date, if that is to be done. `has_content` if there was something in the file of an SQLite database.
async fn open(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    pending: Pending,
    has_content: bool,
) -> Result<Prepared, OpenError> {
    let engine = Engine::of(url);
    let cannot_connect = |error| OpenError::connect(url, error);
    let connected = connect(&url.to_connect_url()).await;
    let mut connection = connected.map_err(cannot_connect)?;
    if let Place::Sqlite(path) = &url.0 {
        connection = file::refuse_if_cut(url, path, connection).await?;
        let is_others = is_foreign(engine, migrations, &mut connection).await;
        if is_others.map_err(cannot_connect)? {
            return Err(OpenError::Foreign(url.clone()));
        }
    } else {
        refuse_shared(url, &mut connection).await?.warn(url);
    }
    if pending == Pending::Refuse {
        let checked = check_schema(engine, url, migrations, &mut connection).await;
        checked.map_err(cannot_connect)??;
    }
    if let Place::Sqlite(path) = &url.0 {
        // Before the schema is changed, which an earlier version of the program cannot undo.
        close_to_others(path).map_err(|error| OpenError::Rights(url.clone(), error))?;
    }
    let configured = engine.configure(&mut connection).await;
    configured.map_err(cannot_connect)?;
    let migrated = migrate(engine, migrations, &mut connection).await;
    let Some((before, now)) =
        migrated.map_err(|error| OpenError::migrate(url, error, last_of(migrations)))?
    else {
        return Err(OpenError::Foreign(url.clone()));
    };
    if before == 0 && has_content {
        // Such as the file alone of a database whose tables were still in its log.
        warn!(database = %url, "there were no tables in the database: created them, without users");
    } else if before == 0 && engine == Engine::Postgres {
        info!(database = %url, "there were no tables in the database: created them, without users");
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
    Ok(Prepared { watch, before, now })
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
