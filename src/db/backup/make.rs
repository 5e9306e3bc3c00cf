//! Making a backup while others use the database.
//!
//! It is written in a folder beside the name that it will have, `.NAME.….partial`, and takes that name only
//! when it is whole, sound and on the disk: a crash leaves nothing under the name.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use sqlx::{Connection, Executor};
use tempfile::{TempDir, TempPath};

use super::copy::{Counts, Progress, Side, copy_all, count_all};
use super::error::BackupError;
use super::file::{connect_to_read, find_faults, private_folder, unreadable};
use crate::db::engine::migrations::{MigrationText, migrate};
use crate::db::engine::open_error::OpenError;
use crate::db::engine::url::{DatabaseUrl, Place};
use crate::db::engine::{Engine, connect_for_long_statements, create_file, existing, file};
use crate::db::error::{BUSY, CORRUPT, NOT_A_DATABASE, sqlite_code};

/// Set on the connection that fills a new file. Nothing is waited for, and nothing can be undone: until it
/// has its name, the file is worth nothing.
const FILLING_SETTINGS: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA foreign_keys = OFF;";

/// A backup that is whole and sound, and not yet where it will be. Dropping it removes it.
pub struct NewBackup {
    /// How many rows are in it.
    pub counts: Counts,
    file: PathBuf,
    /// Holds the file.
    _folder: TempDir,
}

impl NewBackup {
    /// Makes a backup of a database. `name` is what it will be called; without, it is put into the folder
    /// for temporary files.
    pub async fn make(
        url: &DatabaseUrl,
        migrations: &[MigrationText],
        name: Option<&Path>,
        progress: &Progress,
    ) -> Result<Self, BackupError> {
        existing::check(url, migrations).await?;
        let folder = create_folder(name)?;
        let file = folder.path().join("backup.db");
        let shown = name.unwrap_or(&file).to_path_buf();
        let cannot_write = |error| BackupError::Write(shown.clone(), error);
        create_file(&file).map_err(cannot_write)?;
        match &url.0 {
            Place::Sqlite(_) => vacuum_into(url, &file, &shown).await?,
            Place::Postgres(_) => copy_into(url, migrations, &file, &shown, progress).await?,
        }
        File::open(&file)
            .and_then(|file| file.sync_all())
            .map_err(cannot_write)?;
        let mut connection = connect_to_read(&file).await?;
        let found = find_faults(&mut connection).await;
        if let Some(faults) = found.map_err(|error| unreadable(&shown, error))? {
            let path = shown;
            return Err(BackupError::Unsound { path, faults });
        }
        let counts = count_all(&mut connection).await;
        let counts = counts.map_err(|error| unreadable(&shown, error))?;
        // It has only read.
        let _ = connection.close().await;
        Ok(Self {
            counts,
            file,
            _folder: folder,
        })
    }

    /// Gives it its name.
    ///
    /// # Errors
    ///
    /// [`BackupError::Exists`] if the name is taken and what has it is not to be replaced.
    pub fn keep_as(self, name: &Path, replaces: bool) -> Result<(), BackupError> {
        let cannot_write = |error| BackupError::Write(name.to_path_buf(), error);
        if replaces {
            fs::rename(&self.file, name).map_err(cannot_write)?;
        } else {
            let file = TempPath::try_from_path(&self.file).map_err(cannot_write)?;
            let kept = file.persist_noclobber(name);
            kept.map_err(|error| match error.error {
                error if error.kind() == ErrorKind::AlreadyExists => {
                    BackupError::Exists(name.to_path_buf())
                }
                error => cannot_write(error),
            })?;
        }
        sync_folder_of(name).map_err(cannot_write)
    }

    /// Writes it to this, and removes it.
    pub fn write_to(self, output: &mut impl Write) -> io::Result<()> {
        io::copy(&mut File::open(&self.file)?, output)?;
        output.flush()
    }
}

/// Checks that a backup of a database can have this name, before it is made.
pub fn check_name(url: &DatabaseUrl, name: &Path, replaces: bool) -> Result<(), BackupError> {
    let found = match fs::symlink_metadata(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        found => Some(found.map_err(|error| BackupError::Write(name.to_path_buf(), error))?),
    };
    if let Place::Sqlite(database) = &url.0 {
        let same = |file: &PathBuf| match (fs::canonicalize(file), fs::canonicalize(name)) {
            (Ok(file), Ok(name)) => file == name,
            _ => false,
        };
        // The two beside the database are not always there.
        let taken = file::names(database);
        let is_beside = fs::canonicalize(folder_of(name)?).is_ok_and(|folder| {
            let name = name.file_name().map(|name| folder.join(name));
            name.is_some_and(|name| taken.contains(&name))
        });
        if is_beside || taken.iter().any(same) {
            return Err(BackupError::IsDatabase(name.to_path_buf()));
        }
    }
    match found {
        None => Ok(()),
        Some(_) if !replaces => Err(BackupError::Exists(name.to_path_buf())),
        Some(found) if found.is_file() => Ok(()),
        Some(_) => {
            let reason = "what is there is not a file, and is not replaced";
            let reason = io::Error::new(ErrorKind::InvalidInput, reason);
            Err(BackupError::Write(name.to_path_buf(), reason))
        }
    }
}

/// Creates the folder that a backup of this name is written in.
fn create_folder(name: Option<&Path>) -> Result<TempDir, BackupError> {
    let Some(name) = name else {
        let place = std::env::temp_dir();
        let folder = private_folder(&place, "bienvenue-backup-");
        return folder.map_err(|error| BackupError::Write(place, error));
    };
    let cannot_write = |error| BackupError::Write(name.to_path_buf(), error);
    let Some(file_name) = name.file_name().and_then(|name| name.to_str()) else {
        let reason = "it is not the name of a file, in UTF-8";
        return Err(cannot_write(io::Error::new(
            ErrorKind::InvalidInput,
            reason,
        )));
    };
    let folder = private_folder(&folder_of(name)?, &format!(".{file_name}."));
    folder.map_err(cannot_write)
}

/// The folder that a file is in.
fn folder_of(name: &Path) -> Result<PathBuf, BackupError> {
    let cannot_write = |error| BackupError::Write(name.to_path_buf(), error);
    let name = std::path::absolute(name).map_err(cannot_write)?;
    Ok(name.parent().unwrap_or(Path::new("/")).to_path_buf())
}

/// Waits until the name of a file is on the disk.
fn sync_folder_of(name: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let name = std::path::absolute(name)?;
        let folder = name.parent().unwrap_or(Path::new("/"));
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// Writes an SQLite database, as it is at one moment, into an empty file. The backup interface of SQLite
/// would begin again whenever another process writes.
async fn vacuum_into(url: &DatabaseUrl, file: &Path, shown: &Path) -> Result<(), BackupError> {
    let Some(name) = file.to_str() else {
        let error = io::Error::new(ErrorKind::InvalidInput, "its folder's name is not UTF-8");
        return Err(BackupError::Write(shown.to_path_buf(), error));
    };
    let vacuumed = async {
        let mut connection = connect_for_long_statements(&url.to_connect_url()).await?;
        Engine::Sqlite.configure(&mut connection).await?;
        let vacuum = sqlx::query("VACUUM INTO $1").bind(name.to_owned());
        vacuum.execute(&mut connection).await?;
        connection.close().await
    };
    vacuumed.await.map_err(|error| match sqlite_code(&error) {
        Some(CORRUPT | NOT_A_DATABASE) => OpenError::NotADatabase(url.clone(), error).into(),
        Some(BUSY) => BackupError::ReadRows(url.to_string(), error),
        _ => BackupError::WriteRows(shown.display().to_string(), error),
    })
}

/// Copies the rows of a PostgreSQL database, as they are at one moment, into an empty file.
async fn copy_into(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    file: &Path,
    shown: &Path,
    progress: &Progress,
) -> Result<(), BackupError> {
    let cannot_write = |error| BackupError::WriteRows(shown.display().to_string(), error);
    let cannot_read = |error| BackupError::ReadRows(url.to_string(), error);
    let (from_engine, into_engine) = (Engine::of(url), Engine::Sqlite);

    let new_url = DatabaseUrl(Place::Sqlite(file.to_path_buf())).to_connect_url();
    let mut into = connect_for_long_statements(&new_url)
        .await
        .map_err(cannot_write)?;
    into.execute(FILLING_SETTINGS).await.map_err(cannot_write)?;
    let migrated = migrate(into_engine, migrations, &mut into).await;
    migrated.map_err(|error| cannot_write(error.into()))?;
    let begun = into.begin_with(into_engine.begin_filling()).await;
    let mut filling = begun.map_err(cannot_write)?;

    let connected = connect_for_long_statements(&url.to_connect_url()).await;
    let mut from = connected.map_err(cannot_read)?;
    let begun = from.begin_with(from_engine.begin_snapshot()).await;
    let mut snapshot = begun.map_err(cannot_read)?;
    if let Some(setting) = from_engine.allow_long_statements() {
        snapshot.execute(setting).await.map_err(cannot_read)?;
    }

    let mut from_side = Side {
        engine: from_engine,
        connection: &mut snapshot,
        name: url.to_string(),
    };
    let mut into_side = Side {
        engine: into_engine,
        connection: &mut filling,
        name: shown.display().to_string(),
    };
    copy_all(&mut from_side, &mut into_side, progress).await?;
    filling.commit().await.map_err(cannot_write)?;
    into.close().await.map_err(cannot_write)?;
    // It has only read.
    drop(snapshot);
    let _ = from.close().await;
    Ok(())
}
