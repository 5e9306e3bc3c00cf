//! The files of an SQLite database as the file system shows them.
//!
//! The database file itself is looked at by its name and never opened here while SQLite has it open:
//! closing any descriptor of it would drop the locks that SQLite holds on it in this process
//! (<https://www.sqlite.org/howtocorrupt.html>, 2.2). There are no locks on the log beside it.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection, Row};

use super::open_error::OpenError;
use super::url::DatabaseUrl;
use crate::db::error;

/// How a file system tells one file from another, whatever they are called: device and inode.
#[cfg(unix)]
type Identity = (u64, u64);

/// Elsewhere a file that is open can be neither removed nor renamed.
#[cfg(not(unix))]
type Identity = ();

/// The names of a database's files: the database, its write-ahead log, the index of that. SQLite puts
/// the other two beside the file itself, not beside a symbolic link that leads to it.
pub fn names(database: &Path) -> [PathBuf; 3] {
    let file = fs::canonicalize(database).unwrap_or_else(|_| database.to_path_buf());
    let beside = |suffix| {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        name.into()
    };
    [database.to_path_buf(), beside("-wal"), beside("-shm")]
}

/// The files of a database that is open, as they were when it was opened.
pub struct OpenFiles([(PathBuf, Identity); 3]);

impl OpenFiles {
    /// Takes note of the files. SQLite must hold them open from now on.
    pub fn of(database: &Path) -> io::Result<Self> {
        let [database, log, index] = names(database);
        let noted = |name: PathBuf| identity(&name).map(|identity| (name, identity));
        Ok(Self([noted(database)?, noted(log)?, noted(index)?]))
    }

    /// The first name that leads to no file any more, or to another one.
    pub fn first_gone(&self) -> Option<&Path> {
        let gone = self.0.iter().find(|noted| !is_there(noted));
        gone.map(|(name, _)| &**name)
    }

    /// The name of the log.
    pub fn log(&self) -> &Path {
        &self.0[1].0
    }

    /// Opens the index of the log to read from it. SQLite holds locks on the file, which closing it
    /// would drop.
    #[cfg(target_os = "linux")]
    pub fn open_index(&self) -> io::Result<File> {
        File::open(&self.0[2].0)
    }

    /// Whether this open file is the index of the log.
    #[cfg(target_os = "linux")]
    pub fn is_index(&self, file: &File) -> bool {
        file.metadata()
            .is_ok_and(|metadata| identity_in(&metadata) == self.0[2].1)
    }

    /// Whether the name of the database leads to its file.
    pub fn has_database(&self) -> bool {
        is_there(&self.0[0])
    }
}

/// What the system does not tell is no proof that the file is there.
fn is_there((name, noted): &(PathBuf, Identity)) -> bool {
    identity(name).is_ok_and(|identity| identity == *noted)
}

#[cfg(unix)]
fn identity(name: &Path) -> io::Result<Identity> {
    fs::metadata(name).map(|metadata| identity_in(&metadata))
}

#[cfg(unix)]
fn identity_in(metadata: &fs::Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(name: &Path) -> io::Result<Identity> {
    fs::metadata(name).map(drop)
}

/// How long a file is, in bytes; 0 if it is not there.
pub fn length(name: &Path) -> io::Result<u64> {
    match fs::metadata(name) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Gives the connection back if no end of the database's file is missing.
pub async fn refuse_if_cut(
    url: &DatabaseUrl,
    path: &Path,
    mut connection: AnyConnection,
) -> Result<AnyConnection, OpenError> {
    let url = url.clone();
    match missing_bytes(&mut connection, path).await {
        Ok(0) => Ok(connection),
        Ok(missing) => {
            // Left open on purpose: if it were closed, SQLite would write the log into the file, whose
            // length would then be right and its content zeros.
            std::mem::forget(connection);
            Err(OpenError::Cut { url, missing })
        }
        Err(error) if error::is_corrupt(&error) => {
            let _ = connection.close().await;
            match bytes_missing_by_header(path) {
                Ok(missing) if missing > 0 => Err(OpenError::Cut { url, missing }),
                _ => Err(OpenError::NotADatabase(url, error)),
            }
        }
        Err(error) => Err(OpenError::connect(&url, error)),
    }
}

/// How many bytes are missing at the end of a database file: what the database says it has, and
/// neither the file nor the log holds. SQLite itself reads the rest of a page that is cut as zeros.
///
/// # Errors
///
/// SQLite refuses by itself to read a file that lacks whole pages, if it has no log.
pub async fn missing_bytes(connection: &mut AnyConnection, database: &Path) -> sqlx::Result<u64> {
    // What a reading transaction sees stays in the file or in the log until it ends.
    let mut transaction = connection.begin().await?;
    let mut sizes = [0; 2];
    for (size, question) in sizes
        .iter_mut()
        .zip(["PRAGMA page_count", "PRAGMA page_size"])
    {
        let row = sqlx::query(question).fetch_one(&mut *transaction).await?;
        *size = u64::try_from(row.try_get::<i64, _>(0)?).unwrap_or(0);
    }
    let [pages, page_size] = sizes;
    let length = length(database)?;
    let missing = (pages * page_size).saturating_sub(length);
    let is_complete = missing == 0 || {
        let [_, log, _] = names(database);
        let logged = pages_in_log(&log)?;
        (length / page_size + 1..=pages).all(|page| logged.contains(&page))
    };
    transaction.rollback().await?;
    Ok(if is_complete { 0 } else { missing })
}

/// The numbers of the pages whose newest content is in a log, of committed transactions only.
/// The format is that of <https://www.sqlite.org/fileformat2.html#walformat>; whether the content is
/// right is for SQLite to say.
fn pages_in_log(log: &Path) -> io::Result<HashSet<u64>> {
    let mut log = BufReader::new(File::open(log)?);
    let (mut committed, mut uncommitted) = (HashSet::new(), Vec::new());
    let mut header = [0; 32];
    if read_whole(&mut log, &mut header)? {
        let (page_size, salts) = (number_at(&header, 8), &header[16..24]);
        let mut frame = [0; 24];
        while read_whole(&mut log, &mut frame)? && frame[8..16] == *salts {
            uncommitted.push(number_at(&frame, 0));
            let is_commit = number_at(&frame, 4) != 0;
            if is_commit {
                committed.extend(uncommitted.drain(..));
            }
            log.seek_relative(page_size.try_into().unwrap_or(i64::MAX))?;
        }
    }
    Ok(committed)
}

/// Whether a log begins as logs do. SQLite takes another one for empty. A crash can leave one, before
/// anything was committed to it.
pub fn has_log_header(log: &Path) -> io::Result<bool> {
    let mut header = [0; 4];
    let is_whole = read_whole(&mut File::open(log)?, &mut header)?;
    Ok(is_whole && [0x377f_0682, 0x377f_0683].contains(&number_at(&header, 0)))
}

/// Fills the buffer; false if the file ends before.
fn read_whole(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// How many bytes are missing at the end of a database file by its own header. Only for a file that
/// this process has not open.
pub fn bytes_missing_by_header(database: &Path) -> io::Result<u64> {
    let mut file = File::open(database)?;
    let mut header = [0; 100];
    if !read_whole(&mut file, &mut header)? {
        return Ok(0);
    }
    // A page size of 65,536 is stored as 1; <https://www.sqlite.org/fileformat2.html#page_size>.
    let page_size = match u64::from(u16::from_be_bytes([header[16], header[17]])) {
        1 => 65_536,
        page_size => page_size,
    };
    let length = file.metadata()?.len();
    Ok((number_at(&header, 28) * page_size).saturating_sub(length))
}

/// The big-endian number of four bytes at this place.
fn number_at(bytes: &[u8], place: usize) -> u64 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[place..place + 4]);
    u32::from_be_bytes(number).into()
}
