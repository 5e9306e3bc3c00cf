//! Whether the database has the schema of this program.

use sqlx::Row;

use super::connection::Connections;
use super::error::Result;
use super::statement::statements;

statements! {
    /// `$1` migration.
    HAS_MIGRATION = "
        SELECT count(*) AS found FROM _sqlx_migrations WHERE version = $1";
}

/// Whether the migration with this number was applied.
pub async fn has_migration(connections: &Connections, migration: i64) -> Result<bool> {
    let find = sqlx::query(HAS_MIGRATION).bind(migration);
    let found = connections.fetch_optional(find).await?;
    let found: i64 = found.map_or(Ok(0), |row| row.try_get("found"))?;
    Ok(found > 0)
}
