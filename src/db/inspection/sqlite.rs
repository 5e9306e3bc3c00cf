//! The files of an SQLite database, and what is in them.
//!
//! SQLite puts a log and its index beside the file that it opens, and as the last one to close it writes
//! the log into the file. So a file without a log, which nothing uses, is read as one that cannot change,
//! and beside a log it is opened to read alone.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{AnyConnection, Row};
use tokio::time::timeout;

use crate::db::engine::file::refuse_if_cut;
use crate::db::engine::migrations::{MigrationText, check_schema};
use crate::db::engine::open_error::OpenError;
use crate::db::engine::url::{DatabaseUrl, Place};
use crate::db::engine::{Engine, LOG_LIMIT, connect_for_long_statements, existing, file};

/// How long SQLite may check the database. While it reads, the log cannot be cut.
const CHECK_TIMEOUT: Duration = Duration::from_mins(1);

/// How many faults are told.
const FAULTS: usize = 3;

/// How often a database is read anew that changed while it was read.
const ATTEMPTS: usize = 3;

/// Less room is used up within moments: a commit appends pages of 4 KiB to the log, and the index of the log grows by
/// 32 KiB.
const LEAST_FREE: u64 = 1024 * 1024;

/// The files of a database.
#[derive(Debug)]
pub struct Files {
    /// Those that other users of the machine can read or change.
    pub open_to_others: Vec<PathBuf>,
    /// Those of another user than the one that runs this program, with the user's name.
    pub of_others: Vec<(PathBuf, String)>,
    /// How many bytes can be written to their file system.
    pub free: u64,
    /// Whether commits fail for want of room, now or within moments.
    pub is_full: bool,
    /// How many bytes should be free: twice the database, for a backup of it and a copy to restore it from, and
    /// what the log may come to.
    pub wanted: u64,
}

/// What is in a database.
#[derive(Debug)]
pub struct Contents {
    /// Whether the file is one with a write-ahead log.
    pub has_wal: bool,
    /// Whether the schema is this program's.
    pub schema: Result<(), OpenError>,
    /// What SQLite says of it.
    pub integrity: Integrity,
}

/// What SQLite says of a file.
#[derive(Debug)]
pub enum Integrity {
    /// It found no fault.
    Sound,
    /// The first faults.
    Damaged(Vec<String>),
    /// It was not done within a minute.
    Unfinished,
}

/// Looks at the files, without opening them.
///
/// # Errors
///
/// [`OpenError::Missing`], [`OpenError::OtherOwner`], [`OpenError::LogWithoutFile`], or why they cannot be
/// looked at.
pub fn inspect_files(url: &DatabaseUrl) -> Result<Option<Files>, Box<OpenError>> {
    let Place::Sqlite(path) = &url.0 else {
        return Ok(None);
    };
    existing::check_file(url, path)?;
    let files = look_at(path).map_err(|error| OpenError::File(url.clone(), error))?;
    Ok(Some(files))
}

fn look_at(path: &Path) -> io::Result<Files> {
    let (mut open_to_others, mut of_others) = (Vec::new(), Vec::new());
    for name in file::names(path) {
        let metadata = match fs::metadata(&name) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if is_open_to_others(&metadata) {
            open_to_others.push(name.clone());
        }
        #[cfg(unix)]
        if let Some(owner) = existing::other_owner(&metadata) {
            of_others.push((name, owner));
        }
    }
    let disk = rustix::fs::statvfs(path)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(Files {
        open_to_others,
        of_others,
        free,
        is_full: free < LEAST_FREE,
        wanted: 2 * file::length(path)? + LOG_LIMIT,
    })
}

#[cfg(unix)]
fn is_open_to_others(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &Metadata) -> bool {
    false
}

/// Reads the database of this file, which [`inspect_files`] has found.
///
/// # Errors
///
/// It cannot be read, is damaged or cut. `None` if that takes a file that is not there: the index of a log
/// that was left with data in it.
pub async fn inspect_contents(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
) -> Result<Option<Contents>, OpenError> {
    let Place::Sqlite(path) = &url.0 else {
        return Ok(None);
    };
    let unreadable = |error| OpenError::File(url.clone(), error);
    let [_, log, index] = file::names(path);
    for attempt in 1.. {
        let has_wal = has_wal(path).map_err(unreadable)?;
        let has_index = index.try_exists().map_err(unreadable)?;
        if !has_index && file::length(&log).map_err(unreadable)? > 0 {
            return Ok(None);
        }
        let before = stamp(path).map_err(unreadable)?;
        let contents = inspect(url, path, migrations, has_index, has_wal).await;
        // A program began to write while the file was read as one that does not change.
        let is_used = || Ok(index.try_exists()? || stamp(path)? != before);
        let has_changed = !has_index && is_used().map_err(unreadable)?;
        if !has_changed || attempt == ATTEMPTS {
            return contents.map(Some);
        }
    }
    Ok(None)
}

/// What changes with a file that is written to.
fn stamp(path: &Path) -> io::Result<(u64, std::time::SystemTime)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.len(), metadata.modified()?))
}

/// Whether the file is one with a write-ahead log: <https://www.sqlite.org/fileformat2.html>, 1.3.3. Only
/// for a file that this process has not open.
fn has_wal(path: &Path) -> io::Result<bool> {
    let mut header = Vec::new();
    File::open(path)?.take(20).read_to_end(&mut header)?;
    Ok(header.get(18..20) == Some(&[2, 2]))
}

async fn inspect(
    url: &DatabaseUrl,
    path: &Path,
    migrations: &[MigrationText],
    has_index: bool,
    has_wal: bool,
) -> Result<Contents, OpenError> {
    let cannot_connect = |error| OpenError::connect(url, error);
    let connected = connect_for_long_statements(&url.to_reading_url(!has_index)).await;
    let mut connection = refuse_if_cut(url, path, connected.map_err(cannot_connect)?).await?;
    let schema = check_schema(Engine::Sqlite, url, migrations, &mut connection).await;
    let integrity = check(&mut connection).await;
    // Closed or not, it has only read.
    drop(connection);
    Ok(Contents {
        has_wal,
        schema: schema.map_err(cannot_connect)?,
        integrity: integrity.map_err(cannot_connect)?,
    })
}

async fn check(connection: &mut AnyConnection) -> sqlx::Result<Integrity> {
    let check = sqlx::query("PRAGMA quick_check(3)").fetch_all(connection);
    let Ok(rows) = timeout(CHECK_TIMEOUT, check).await else {
        return Ok(Integrity::Unfinished);
    };
    let rows = rows?;
    let faults = rows.iter().map(|row| row.try_get::<String, _>(0));
    let mut faults: Vec<String> = faults.collect::<sqlx::Result<_>>()?;
    Ok(if faults == ["ok"] {
        Integrity::Sound
    } else {
        faults.truncate(FAULTS);
        Integrity::Damaged(faults)
    })
}
