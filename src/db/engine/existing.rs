//! Checking a database that a command works on beside the service, or without it. Creates nothing, and
//! leaves the schema and the rights of the files as they are.

use std::io::{self, ErrorKind};
use std::path::Path;

use sqlx::Connection;

use super::migrations::{MigrationText, check_schema};
use super::open_error::OpenError;
use super::server::refuse_shared;
use super::url::{DatabaseUrl, Place};
use super::{CONNECT_TIMEOUT, Engine, connect, file, within};

/// Checks that a database is there, is ours and has the schema of these migrations.
pub async fn check(url: &DatabaseUrl, migrations: &[MigrationText]) -> Result<(), OpenError> {
    let engine = Engine::of(url);
    if let Place::Sqlite(path) = &url.0 {
        check_file(url, path).map_err(|error| *error)?;
    }
    let cannot_connect = |error| OpenError::connect(url, error);
    let connected = connect(&url.to_connect_url()).await;
    let mut connection = connected.map_err(cannot_connect)?;
    if let Place::Sqlite(path) = &url.0 {
        connection = file::refuse_if_cut(url, path, connection).await?;
    } else {
        refuse_shared(url, &mut connection).await?;
    }
    let checked = check_schema(engine, url, migrations, &mut connection);
    // Another program may have locked the table of migrations.
    let checked = within(CONNECT_TIMEOUT, checked).await;
    // Dropped after an error: a server that does not answer would hold closing it up too.
    let checked = checked.map_err(cannot_connect)?;
    // It has only read, so nothing is lost if it does not end well.
    let _ = connection.close().await;
    checked
}

/// Checks what can be told of a file without opening it. A file of another user is not opened: the files
/// that SQLite puts beside it would be this user's, and keep the service from its own database.
pub fn check_file(url: &DatabaseUrl, path: &Path) -> Result<(), Box<OpenError>> {
    let unusable = |error| Box::new(OpenError::File(url.clone(), error));
    let [_, log, _] = file::names(path);
    // The log first: by the time that another process has written to it, the file is not empty.
    let has_log = file::length(&log).map_err(unusable)? > 0;
    let metadata = match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::Missing(url.clone()).into());
        }
        metadata => metadata.map_err(unusable)?,
    };
    if !metadata.is_file() {
        let reason = "it is not a file";
        return Err(unusable(io::Error::new(ErrorKind::InvalidInput, reason)));
    }
    #[cfg(unix)]
    if let Some(owner) = other_owner(&metadata) {
        let url = url.clone();
        return Err(OpenError::OtherOwner { url, owner }.into());
    }
    if metadata.len() == 0 && has_log {
        // SQLite would remove the log.
        return Err(OpenError::LogWithoutFile(url.clone()).into());
    }
    Ok(())
}

/// The user whose file it is, in the way that `sudo -u` takes; `None` if it is ours.
#[cfg(unix)]
pub fn other_owner(metadata: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;

    use nix::unistd::{Uid, User};

    let owner = Uid::from_raw(metadata.uid());
    let name = || match User::from_uid(owner) {
        Ok(Some(user)) => user.name,
        _ => format!("'#{owner}'"),
    };
    (owner != Uid::effective()).then(name)
}
