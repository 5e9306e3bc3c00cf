//! Copying rows from one database into another, batch by batch: what is held does not grow with their
//! number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{TryFutureExt, TryStreamExt};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row, SqlSafeStr};

use super::error::BackupError;
use super::tables::{Kind, TABLES, Table};
use crate::db::engine::{Engine, within};

/// How many rows one statement adds. With it they take at most a sixth of the 32,766 placeholders that
/// SQLite allows.
const BATCH: usize = 500;

/// How long a database may take for the next rows, or for counting those of a table: a lock that another
/// program holds, or a network that is silent, ends what would else wait for ever.
const ROWS_TIMEOUT: Duration = Duration::from_mins(5);

/// How many rows each table has.
#[derive(Clone, Debug, Default)]
pub struct Counts(Vec<(&'static str, u64)>);

impl Counts {
    /// The rows of a table; 0 for one that there is not.
    pub fn of(&self, table: &str) -> u64 {
        let found = self.0.iter().find(|(name, _)| *name == table);
        found.map_or(0, |(_, rows)| *rows)
    }

    /// The rows of all tables.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, rows)| rows).sum()
    }
}

/// How many rows have been copied, for others to look at meanwhile.
#[derive(Debug, Default)]
pub struct Progress(AtomicU64);

impl Progress {
    /// How many rows have been copied.
    pub fn rows(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, rows: usize) {
        self.0.fetch_add(rows as u64, Ordering::Relaxed);
    }
}

/// A database with a transaction open on it, and what it is called in errors.
pub struct Side<'a> {
    pub engine: Engine,
    pub connection: &'a mut AnyConnection,
    pub name: String,
}

impl Side<'_> {
    fn cannot_read(&self) -> impl Fn(sqlx::Error) -> BackupError + use<> {
        let name = self.name.clone();
        move |error| BackupError::ReadRows(name.clone(), error)
    }

    fn cannot_write(&self) -> impl Fn(sqlx::Error) -> BackupError + use<> {
        let name = self.name.clone();
        move |error| BackupError::WriteRows(name.clone(), error)
    }
}

/// Copies all rows, and lets the ids go on behind the last that either database has given.
///
/// # Errors
///
/// Some rows may have been written: the transaction must be rolled back.
pub async fn copy_all(
    from: &mut Side<'_>,
    into: &mut Side<'_>,
    progress: &Progress,
) -> Result<Counts, BackupError> {
    let mut counts = Counts::default();
    for table in TABLES {
        let copied = copy_rows(table, from, into, progress).await?;
        check_count(table, from, copied).await?;
        check_count(table, into, copied).await?;
        if table.counts_ids {
            copy_last_id(table, from, into).await?;
        }
        counts.0.push((table.name, copied));
    }
    Ok(counts)
}

async fn copy_rows(
    table: &Table,
    from: &mut Side<'_>,
    into: &mut Side<'_>,
    progress: &Progress,
) -> Result<u64, BackupError> {
    let (cannot_read, cannot_write) = (from.cannot_read(), into.cannot_write());
    let full_insert = AssertSqlSafe(table.insert(BATCH)).into_sql_str();
    let rows = sqlx::query(AssertSqlSafe(table.select())).fetch(&mut *from.connection);
    let mut batches = rows.try_chunks(BATCH);
    let mut copied = 0;
    loop {
        let batch = batches.try_next().map_err(|error| error.1);
        let batch = within(ROWS_TIMEOUT, batch).await;
        let Some(batch) = batch.map_err(&cannot_read)? else {
            return Ok(copied);
        };
        let mut insert = if batch.len() == BATCH {
            sqlx::query(full_insert.clone())
        } else {
            sqlx::query(AssertSqlSafe(table.insert(batch.len()))).persistent(false)
        };
        for row in &batch {
            insert = bind_row(insert, table, row).map_err(&cannot_read)?;
        }
        let inserted = insert.execute(&mut *into.connection).await;
        inserted.map_err(&cannot_write)?;
        copied += batch.len() as u64;
        progress.add(batch.len());
    }
}

/// Checks that a database has as many rows as were copied.
async fn check_count(table: &Table, side: &mut Side<'_>, copied: u64) -> Result<(), BackupError> {
    let found = count(table, side.connection).await;
    let found = found.map_err(side.cannot_read())?;
    if found == copied {
        return Ok(());
    }
    Err(BackupError::Miscounted {
        table: table.name,
        found,
        copied,
    })
}

type Insert<'a> = Query<'a, Any, AnyArguments>;

fn bind_row<'a>(mut insert: Insert<'a>, table: &Table, row: &AnyRow) -> sqlx::Result<Insert<'a>> {
    for (column, kind) in table.columns {
        insert = match kind {
            Kind::Number => insert.bind(row.try_get::<Option<i64>, _>(*column)?),
            Kind::Text => insert.bind(row.try_get::<Option<String>, _>(*column)?),
            Kind::Bytes => insert.bind(row.try_get::<Option<Vec<u8>>, _>(*column)?),
        };
    }
    Ok(insert)
}

/// An id is never given twice, neither one of the rows, nor one whose row was deleted before.
async fn copy_last_id(
    table: &Table,
    from: &mut Side<'_>,
    into: &mut Side<'_>,
) -> Result<(), BackupError> {
    let given = from.engine.last_id(from.connection, table.name).await;
    let given = given.map_err(from.cannot_read())?;
    let cannot_write = into.cannot_write();
    let given_here = into.engine.last_id(into.connection, table.name).await;
    let given_here = given_here.map_err(&cannot_write)?;
    let highest = AssertSqlSafe(format!("SELECT max(id) AS id FROM {}", table.name));
    let highest = sqlx::query(highest).fetch_one(&mut *into.connection).await;
    let highest: sqlx::Result<Option<i64>> = highest.and_then(|row| row.try_get("id"));
    let last = given.max(given_here).max(highest.map_err(&cannot_write)?);
    let Some(last) = last.filter(|id| *id > 0) else {
        return Ok(());
    };
    let set = into.engine.set_last_id(into.connection, table.name, last);
    set.await.map_err(cannot_write)
}

/// Counts the rows of each table.
pub async fn count_all(connection: &mut AnyConnection) -> sqlx::Result<Counts> {
    let mut counts = Counts::default();
    for table in TABLES {
        counts.0.push((table.name, count(table, connection).await?));
    }
    Ok(counts)
}

async fn count(table: &Table, connection: &mut AnyConnection) -> sqlx::Result<u64> {
    let row = sqlx::query(AssertSqlSafe(table.count())).fetch_one(connection);
    let row = within(ROWS_TIMEOUT, row).await?;
    let rows: i64 = row.try_get("count")?;
    Ok(u64::try_from(rows).unwrap_or(0))
}

/// The first table that has rows, also those that mean nothing; `None` if the database is empty.
pub async fn first_filled(connection: &mut AnyConnection) -> sqlx::Result<Option<&'static str>> {
    for table in TABLES {
        let look = AssertSqlSafe(format!("SELECT 1 FROM {} LIMIT 1", table.name));
        let row = sqlx::query(look).fetch_optional(&mut *connection).await?;
        if row.is_some() {
            return Ok(Some(table.name));
        }
    }
    Ok(None)
}
