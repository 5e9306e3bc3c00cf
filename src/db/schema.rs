//! Which schema the database has.

use sqlx::Row;

use super::connection::Connections;
use super::error::Result;
use super::statement::statements;

statements! {
    /// `$1` migration; finds the last one from that on.
    FIND_LAST_MIGRATION = "
        SELECT version FROM _sqlx_migrations WHERE version >= $1 ORDER BY version DESC LIMIT 1";
}

/// Whether this is the number of the last migration that was applied.
pub async fn is_last_migration(connections: &Connections, migration: i64) -> Result<bool> {
    let find = sqlx::query(FIND_LAST_MIGRATION).bind(migration);
    let row = connections.fetch_optional(find).await?;
    let last: Option<i64> = row.map(|row| row.try_get("version")).transpose()?;
    Ok(last == Some(migration))
}
