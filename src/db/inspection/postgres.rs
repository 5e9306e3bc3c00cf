//! A PostgreSQL server as a client of it finds it.

use std::time::Duration;

use sqlx::{AnyConnection, Executor, Row};

use crate::clock::ClockDifference;
use crate::db::engine::migrations::{MigrationText, check_schema};
use crate::db::engine::open_error::OpenError;
use crate::db::engine::server::{self, Sharing};
use crate::db::engine::url::DatabaseUrl;
use crate::db::engine::{Engine, connect, within};

/// How long a server that has let us in may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Asked on a connection that is not configured yet, so that it has what the server gives to all.
const ASK: &str = "
    SELECT current_setting('server_version') AS version,
           current_setting('server_version_num')::bigint AS version_number,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('fsync') AS fsync,
           (SELECT ssl::text FROM pg_stat_ssl WHERE pid = pg_backend_pid()) AS encrypted";

/// The tables that the role may not both read and change, but for those of the migrations.
const FIND_UNWRITABLE: &str = r"
    SELECT coalesce(string_agg(c.relname::text, ', ' ORDER BY c.relname), '') AS names
    FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = to_regnamespace(current_schema()::text)
      AND c.relname NOT LIKE '\_%'
      AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
           AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'))";

/// What is found of a server.
#[derive(Debug)]
pub struct Server {
    /// Its version, such as `15.18 (Debian 15.18-0+deb12u1)`.
    pub version: String,
    /// The same as a number: 150018.
    pub version_number: i64,
    /// Whether each connection has a process of the server to itself.
    pub sharing: Sharing,
    /// By how much its clock differs.
    pub clock: ClockDifference,
    /// Whether the server's end of the connection is encrypted: that of a pooler, if there is one.
    pub is_encrypted: bool,
    /// Whether a commit waits for the disk, in the word of the server, before the service asks for it.
    pub synchronous_commit: String,
    /// Whether it writes to the disk at all before it says so.
    pub fsync: bool,
    /// Whether nothing can be written, as on a standby.
    pub is_read_only: bool,
    /// The names of the tables that the role may not both read and change, one after another; empty for none.
    pub unwritable: String,
    /// Whether the schema is this program's; `None` where it cannot be asked for.
    pub schema: Option<Result<(), OpenError>>,
}

/// Asks a server.
///
/// # Errors
///
/// Nothing answers there, or it does not let us in.
pub async fn inspect_server(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
) -> Result<Server, OpenError> {
    let cannot_connect = |error| OpenError::connect(url, error);
    let connected = connect(&url.to_connect_url()).await;
    let mut connection = connected.map_err(cannot_connect)?;
    let server = inspect(url, migrations, &mut connection);
    let server = within(TIMEOUT, server).await;
    // Not closed in due form: a server that does not answer would hold that up.
    server.map_err(cannot_connect)
}

async fn inspect(
    url: &DatabaseUrl,
    migrations: &[MigrationText],
    connection: &mut AnyConnection,
) -> sqlx::Result<Server> {
    let answers = server::ask(url, connection).await?;
    let row = connection.fetch_one(ASK).await?;
    // Statements that are prepared may fail where connections are shared.
    let schema = match answers.sharing {
        Sharing::Shared => None,
        Sharing::Own | Sharing::Unknown => {
            Some(check_schema(Engine::Postgres, url, migrations, connection).await?)
        }
    };
    let unwritable = connection.fetch_one(FIND_UNWRITABLE).await?;
    let is = |column: &str, word: &str| {
        let value = row.try_get::<Option<String>, _>(column);
        value.map(|value| value.as_deref() == Some(word))
    };
    Ok(Server {
        version: row.try_get("version")?,
        version_number: row.try_get("version_number")?,
        sharing: answers.sharing,
        clock: answers.clock,
        is_encrypted: is("encrypted", "true")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        fsync: is("fsync", "on")?,
        is_read_only: answers.is_read_only,
        unwritable: unwritable.try_get("names")?,
        schema,
    })
}
