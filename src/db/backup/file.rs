//! The file of a backup: checking it, and reading it without a change to it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use sqlx::{AnyConnection, Connection, Executor, Row};
use tempfile::{Builder, TempDir};

use super::error::BackupError;
use crate::db::engine::migrations::{MigrationText, Schema, find_schema, last_of, migrate};
use crate::db::engine::url::{DatabaseUrl, Place};
use crate::db::engine::{Engine, connect_for_long_statements, create_file, file};
use crate::db::error::{CORRUPT, NOT_A_DATABASE, sqlite_code};

/// Set on a connection to a file that may be damaged, or come from someone else.
const SETTINGS: &str = "
    PRAGMA cell_size_check = ON;
    PRAGMA trusted_schema = OFF;";

/// A backup that is open to be read, sound and with today's schema.
pub struct OpenBackup {
    /// The connection to it.
    pub connection: AnyConnection,
    /// Holds the copy of a backup that an earlier version made, until it is read.
    _copy: Option<TempDir>,
}

/// Opens a backup. One of an earlier version is copied into the folder for temporary files, and the copy
/// is brought up to date.
pub async fn open(path: &Path, migrations: &[MigrationText]) -> Result<OpenBackup, BackupError> {
    check_files(path)?;
    let mut connection = connect_to_read(path).await?;
    let version = check_content(path, migrations, &mut connection).await?;
    let mut copy = None;
    if version < last_of(migrations) {
        let _ = connection.close().await;
        let place = std::env::temp_dir();
        let folder = private_folder(&place, "bienvenue-restore-");
        let folder = folder.map_err(|error| cannot_migrate(path, &place, error))?;
        let copied = copy_and_migrate(path, folder.path(), migrations).await;
        let file = copied.map_err(|error| cannot_migrate(path, folder.path(), error))?;
        connection = connect_to_read(&file).await?;
        copy = Some(folder);
    }
    Ok(OpenBackup {
        connection,
        _copy: copy,
    })
}

/// Creates a folder for its owner alone, which is removed with what is in it when it is dropped. SQLite puts
/// files beside one that it writes, and leaves them there if it cannot write.
pub fn private_folder(place: &Path, prefix: &str) -> io::Result<TempDir> {
    let mut builder = Builder::new();
    builder.prefix(prefix).suffix(".partial");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o700));
    }
    builder.tempdir_in(place)
}

/// Checks what can be told without opening the file as a database.
fn check_files(path: &Path) -> Result<(), BackupError> {
    let cannot_read = |error| BackupError::Read(path.to_path_buf(), error);
    let metadata = fs::metadata(path).map_err(cannot_read)?;
    if !metadata.is_file() {
        let reason = "it is not a file";
        return Err(cannot_read(io::Error::new(ErrorKind::InvalidInput, reason)));
    }
    let [_, log, _] = file::names(path);
    if file::length(&log).map_err(cannot_read)? > 0 {
        return Err(BackupError::HasLog(path.to_path_buf()));
    }
    Ok(())
}

/// Checks that a file is ours, sound and not of a newer version. Returns its last migration.
async fn check_content(
    path: &Path,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> Result<i64, BackupError> {
    let known = last_of(migrations);
    let own = || path.to_path_buf();
    let schema = find_schema(Engine::Sqlite, migrations, connection).await;
    let version = match schema.map_err(|error| unreadable(path, error))? {
        Schema::Migrated(applied) if applied > known => {
            return Err(BackupError::Newer {
                path: own(),
                applied,
                known,
            });
        }
        Schema::Migrated(version) => version,
        Schema::Foreign | Schema::Empty => return Err(BackupError::Foreign(own())),
    };
    // SQLite reads the rest of a page that is cut as zeros.
    let missing = file::bytes_missing_by_header(path);
    let missing = missing.map_err(|error| BackupError::Read(own(), error))?;
    let faults = if missing > 0 {
        Some(format!("{missing} bytes are missing at its end"))
    } else {
        let found = find_faults(connection).await;
        found.map_err(|error| unreadable(path, error))?
    };
    match faults {
        Some(faults) => Err(BackupError::Damaged {
            path: own(),
            faults,
        }),
        None => Ok(version),
    }
}

/// Connects to a file that no process writes to: SQLite neither locks it nor puts files beside it.
pub async fn connect_to_read(path: &Path) -> Result<AnyConnection, BackupError> {
    // A path that is not UTF-8 would lead to another file.
    let Some(name) = path.to_str() else {
        let error = io::Error::new(ErrorKind::InvalidInput, "its name is not UTF-8");
        return Err(BackupError::Read(path.to_path_buf(), error));
    };
    let mut url = DatabaseUrl(Place::Sqlite(PathBuf::from(name))).to_connect_url();
    url.truncate(url.len() - "rw".len());
    url += "ro&immutable=true";
    let connected = async {
        let mut connection = connect_for_long_statements(&url).await?;
        connection.execute(SETTINGS).await?;
        Ok(connection)
    };
    connected.await.map_err(|error| unreadable(path, error))
}

/// What SQLite finds wrong with a file; `None` if it is sound. Leaves out whether indexes match their
/// tables, which takes much longer: rows that are restored are indexed anew.
pub async fn find_faults(connection: &mut AnyConnection) -> sqlx::Result<Option<String>> {
    let check = sqlx::query("PRAGMA quick_check(1)");
    let found: String = check.fetch_one(connection).await?.try_get(0)?;
    Ok((found != "ok").then_some(found))
}

/// Why a file cannot be read as a database.
pub fn unreadable(path: &Path, error: sqlx::Error) -> BackupError {
    if let Some(NOT_A_DATABASE | CORRUPT) = sqlite_code(&error) {
        let (path, faults) = (path.to_path_buf(), error.to_string());
        return BackupError::Damaged { path, faults };
    }
    BackupError::ReadRows(path.display().to_string(), error)
}

fn cannot_migrate(
    path: &Path,
    folder: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> BackupError {
    BackupError::Migrate {
        path: path.to_path_buf(),
        folder: folder.to_path_buf(),
        source: source.into(),
    }
}

/// Copies a backup into this folder and brings the copy up to date.
async fn copy_and_migrate(
    path: &Path,
    folder: &Path,
    migrations: &[MigrationText],
) -> Result<PathBuf, Box<dyn std::error::Error + Send + Sync>> {
    let copy = folder.join("copy.db");
    create_file(&copy)?;
    io::copy(
        &mut File::open(path)?,
        &mut File::options().write(true).open(&copy)?,
    )?;
    let url = DatabaseUrl(Place::Sqlite(copy.clone())).to_connect_url();
    let mut connection = connect_for_long_statements(&url).await?;
    migrate(Engine::Sqlite, migrations, &mut connection).await?;
    // It would keep the tables in a log beside it.
    connection.execute("PRAGMA journal_mode = DELETE").await?;
    connection.close().await?;
    Ok(copy)
}
