//! Filling an empty database from a backup, in one transaction: a database has all of it or nothing.

use std::path::Path;

use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor};

use super::copy::{Counts, Progress, Side, copy_all, first_filled};
use super::error::BackupError;
use super::file;
use super::tables::TABLES;
use crate::db::engine::migrations::MigrationText;
use crate::db::engine::open::{self, Pending};
use crate::db::engine::open_error::OpenError;
use crate::db::engine::url::DatabaseUrl;
use crate::db::engine::{Engine, connect_for_long_statements, existing};

/// Fills a database from a backup; creates it if it is not there.
///
/// # Errors
///
/// No rows were written. The database may have been created, with empty tables.
pub async fn restore(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    path: &Path,
    progress: &Progress,
) -> Result<Counts, BackupError> {
    // Both before anything is created.
    let backup = file::open(path, migrations).await?;
    check_target(url, migrations).await?;
    let prepared = open::prepare(url, migrations, Pending::Migrate).await?;
    if let Some(watch) = prepared.watch {
        watch.close().await;
    }

    let engine = Engine::of(url);
    let cannot_write = |error| BackupError::WriteRows(url.to_string(), error);
    let cannot_read = |error| BackupError::ReadRows(path.display().to_string(), error);
    let connected = connect_for_long_statements(&url.to_connect_url()).await;
    let mut connection = connected.map_err(cannot_write)?;
    let configured = engine.configure(&mut connection).await;
    configured.map_err(cannot_write)?;
    let begun = connection.begin_with(engine.begin_filling()).await;
    let mut filling = begun.map_err(cannot_write)?;
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    if let Some(lock) = engine.lock_tables(&tables.join(", ")) {
        let locked = filling.execute(AssertSqlSafe(lock)).await;
        locked.map_err(cannot_write)?;
    }
    // Again, now that nobody else can write.
    ensure_empty(url, &mut filling).await?;

    let mut backup = backup;
    let begun = backup
        .connection
        .begin_with(Engine::Sqlite.begin_snapshot());
    let mut reading = begun.await.map_err(cannot_read)?;
    let mut from = Side {
        engine: Engine::Sqlite,
        connection: &mut reading,
        name: path.display().to_string(),
    };
    let mut into = Side {
        engine,
        connection: &mut filling,
        name: url.to_string(),
    };
    let counts = copy_all(&mut from, &mut into, progress).await?;
    filling.commit().await.map_err(cannot_write)?;
    // What was committed stays; the rest only reads.
    let _ = connection.close().await;
    drop(reading);
    let _ = backup.connection.close().await;
    Ok(counts)
}

/// Checks that a database is not there, or is ours and empty.
async fn check_target(url: &DatabaseUrl, migrations: &[MigrationText]) -> Result<(), BackupError> {
    match existing::check(url, migrations).await {
        Ok(()) => {}
        Err(OpenError::Missing(_) | OpenError::NoTables(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    let connected = connect_for_long_statements(&url.to_connect_url()).await;
    let mut connection = connected.map_err(|error| OpenError::Connect(url.clone(), error))?;
    let checked = ensure_empty(url, &mut connection).await;
    // It has only read.
    let _ = connection.close().await;
    checked
}

async fn ensure_empty(
    url: &DatabaseUrl,
    connection: &mut AnyConnection,
) -> Result<(), BackupError> {
    let filled = first_filled(connection).await;
    let database = url.to_string();
    match filled.map_err(|error| BackupError::ReadRows(database.clone(), error))? {
        None => Ok(()),
        Some(table) => Err(BackupError::NotEmpty { database, table }),
    }
}
