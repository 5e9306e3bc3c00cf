//! Which migrations a database has, and applying those that it lacks.

use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AnyConnection, AssertSqlSafe, Connection, Executor, Row, SqlSafeStr};
use tokio::time::sleep;

use super::Engine;
use super::open_error::OpenError;
use super::url::DatabaseUrl;
use crate::db::error;

/// A migration: number, name, text.
pub type MigrationText = (i64, &'static str, &'static str);

/// Where `sqlx` keeps which migrations were applied.
const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// The table of PostgreSQL with the one row that who migrates holds locked until all is committed. The lock
/// that `sqlx` would take belongs to the connection instead of a transaction: a pooler that gives a
/// connection to others after each transaction leaves it locked, and not every server that speaks the
/// protocol has it.
const LOCK_TABLE: &str = "_bienvenue_migration_lock";

/// Locks that row, which is made first of all if need be.
const LOCK: &str = "
    CREATE TABLE IF NOT EXISTS _bienvenue_migration_lock (id BIGINT PRIMARY KEY);
    INSERT INTO _bienvenue_migration_lock (id) VALUES (1) ON CONFLICT (id) DO NOTHING;
    SELECT id FROM _bienvenue_migration_lock WHERE id = 1 FOR UPDATE";

/// How often processes that migrate at the same moment may be in the way of one. Each time it has waited
/// for another one to commit, and mostly finds nothing to do then.
const MOST_COLLISIONS: u32 = 10;
const COLLISION_PAUSE: Duration = Duration::from_millis(20);

/// What PostgreSQL answers to a transaction that creates what another one has created meanwhile: a unique
/// violation in its catalog, or that the table is there.
const CREATED_MEANWHILE: [&str; 2] = ["23505", "42P07"];

pub fn last_of(migrations: &[MigrationText]) -> i64 {
    migrations.last().map_or(0, |(version, ..)| *version)
}

/// Whether a database holds the tables of another program: there are tables, and the first migration
/// of this program was not applied. Only reads.
pub async fn is_foreign(
    engine: Engine,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> sqlx::Result<bool> {
    let tables = sqlx::query(engine.find_tables());
    let tables = tables.fetch_all(&mut *connection).await?;
    let names = tables.iter().map(|table| table.try_get::<&str, _>("name"));
    let mut names: Vec<&str> = names.collect::<sqlx::Result<_>>()?;
    names.retain(|name| *name != LOCK_TABLE);
    if !names.contains(&MIGRATIONS_TABLE) {
        return Ok(!names.is_empty());
    }
    let applied = sqlx::query("SELECT version, description FROM _sqlx_migrations ORDER BY version");
    let applied = applied.fetch_all(connection).await?;
    let Some(first) = applied.first() else {
        // A first start that was killed leaves the empty table behind.
        return Ok(names.len() > 1);
    };
    let (version, name, _) = migrations[0];
    Ok(first.try_get::<i64, _>("version")? != version
        || first.try_get::<&str, _>("description")? != name)
}

/// Which tables a database has.
pub enum Schema {
    /// None, or the empty table of migrations that a first start leaves behind that was killed.
    Empty,
    /// Those of another program.
    Foreign,
    /// Those of this program, as the migration with this number left them.
    Migrated(i64),
}

/// Finds which tables a database has.
pub async fn find_schema(
    engine: Engine,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> sqlx::Result<Schema> {
    if is_foreign(engine, migrations, connection).await? {
        return Ok(Schema::Foreign);
    }
    let tables = sqlx::query(engine.find_tables());
    let tables = tables.fetch_all(&mut *connection).await?;
    let mut names = tables.iter().map(|table| table.try_get::<&str, _>("name"));
    if !names.any(|name| name.is_ok_and(|name| name == MIGRATIONS_TABLE)) {
        return Ok(Schema::Empty);
    }
    let applied = sqlx::query("SELECT max(version) AS version FROM _sqlx_migrations");
    let applied = applied.fetch_one(connection).await?;
    let applied: Option<i64> = applied.try_get("version")?;
    Ok(applied.map_or(Schema::Empty, Schema::Migrated))
}

/// Checks the tables. The outer error is that they cannot be read.
pub async fn check_schema(
    engine: Engine,
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> sqlx::Result<Result<(), OpenError>> {
    let known = last_of(migrations);
    let url = url.clone();
    Ok(match find_schema(engine, migrations, connection).await? {
        Schema::Empty => Err(OpenError::NoTables(url)),
        Schema::Foreign => Err(OpenError::Foreign(url)),
        Schema::Migrated(applied) if applied < known => Err(OpenError::Older(url, applied, known)),
        Schema::Migrated(applied) if applied > known => Err(OpenError::Newer(url, applied, known)),
        Schema::Migrated(_) => Ok(()),
    })
}

/// Brings the schema up to date: all of it, or nothing. Returns the number of the last migration before and
/// after; `None`, with nothing done, if the database holds the tables of another program.
pub async fn migrate(
    engine: Engine,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> Result<Option<(i64, i64)>, MigrateError> {
    let texts = migrations.iter().map(|(version, name, text)| {
        let sql = AssertSqlSafe(engine.translate(text)).into_sql_str();
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql, false)
    });
    let mut migrator = Migrator::with_migrations(texts.collect());
    migrator.set_locking(false);
    if engine == Engine::Sqlite {
        let versions = migrate_sqlite(&migrator, last_of(migrations), connection).await?;
        return Ok(Some(versions));
    }
    let mut collisions = 0;
    loop {
        match migrate_postgres(&migrator, migrations, connection).await {
            Err(error) if is_collision(&error) && collisions < MOST_COLLISIONS => {
                collisions += 1;
                sleep(COLLISION_PAUSE).await;
            }
            migrated => return migrated,
        }
    }
}

/// Whether another process that migrates was in the way.
fn is_collision(error: &MigrateError) -> bool {
    match error {
        MigrateError::Execute(error) => {
            error::is_conflict(error) || error::has_code(error, &CREATED_MEANWHILE)
        }
        MigrateError::ExecuteMigration(error, _) => error::is_conflict(error),
        _ => false,
    }
}

async fn migrate_postgres(
    migrator: &Migrator,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> Result<Option<(i64, i64)>, MigrateError> {
    let engine = Engine::Postgres;
    match find_schema(engine, migrations, connection).await? {
        Schema::Foreign => return Ok(None),
        // Without the lock, and without the right to create tables: a schema that is current stays so.
        Schema::Migrated(last) if is_current(migrator, connection).await? => {
            return Ok(Some((last, last)));
        }
        Schema::Migrated(_) | Schema::Empty => {}
    }
    // Whatever is the default of the server: behind the lock, all must be seen that was committed before.
    let begin = "BEGIN ISOLATION LEVEL READ COMMITTED";
    let mut transaction = connection.begin_with(begin).await?;
    transaction.execute(LOCK).await?;
    // Again: another process may have created tables.
    if is_foreign(engine, migrations, &mut transaction).await? {
        transaction.rollback().await?;
        return Ok(None);
    }
    let before = last_applied(migrator, &mut transaction).await?;
    migrator.run(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(Some((before, last_of(migrations))))
}

async fn migrate_sqlite(
    migrator: &Migrator,
    last: i64,
    connection: &mut AnyConnection,
) -> Result<(i64, i64), MigrateError> {
    // A table that is rebuilt is dropped in between, and nothing that refers to it may go with it.
    // Cannot be turned off inside of a transaction.
    connection.execute("PRAGMA foreign_keys = OFF").await?;
    // Also if nothing is pending: a file that cannot be written to is found out now.
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let before = last_applied(migrator, &mut transaction).await?;
    // Takes reading all that refers to anything, so not at every start.
    let is_due = before < last;
    let orphans = if is_due {
        count_orphans(&mut transaction).await?
    } else {
        0
    };
    migrator.run(&mut *transaction).await?;
    // Those from before are a foreign program's doing, and void; a migration must make none.
    if is_due && count_orphans(&mut transaction).await? > orphans {
        let error = "the migration leaves rows that refer to rows that are not there";
        return Err(sqlx::Error::Protocol(error.to_owned()).into());
    }
    transaction.commit().await?;
    Ok((before, last))
}

/// Whether there is nothing to do for [`Migrator::run`], not even to refuse. Only reads, and the table of
/// migrations must be there.
async fn is_current(
    migrator: &Migrator,
    connection: &mut AnyConnection,
) -> Result<bool, MigrateError> {
    let table = &migrator.table_name;
    let is_dirty = connection.dirty_version(table).await?.is_some();
    let applied = connection.list_applied_migrations(table).await?;
    let known = migrator
        .iter()
        .map(|known| (known.version, &known.checksum));
    let applied = applied.iter().map(|one| (one.version, &one.checksum));
    Ok(!is_dirty && applied.eq(known))
}

/// The number of the last migration that was applied; 0 for none.
async fn last_applied(
    migrator: &Migrator,
    connection: &mut AnyConnection,
) -> Result<i64, MigrateError> {
    let table = &migrator.table_name;
    connection.ensure_migrations_table(table).await?;
    let applied = connection.list_applied_migrations(table).await?;
    let versions = applied.iter().map(|migration| migration.version);
    Ok(versions.max().unwrap_or(0))
}

/// How many rows of an SQLite database refer to a row that is not there.
async fn count_orphans(connection: &mut AnyConnection) -> sqlx::Result<i64> {
    let count = sqlx::query("SELECT count(*) FROM pragma_foreign_key_check");
    count.fetch_one(connection).await?.try_get(0)
}
