//! What reading or filling a whole database takes of each engine.

use sqlx::{AnyConnection, Row};

use super::Engine;

impl Engine {
    /// What begins a transaction that sees the database as it was at its first statement, whatever is
    /// written meanwhile.
    pub fn begin_snapshot(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN",
            Self::Postgres => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        }
    }

    /// What begins a transaction that fills a database.
    pub fn begin_filling(self) -> &'static str {
        match self {
            Self::Sqlite => "BEGIN IMMEDIATE",
            Self::Postgres => "BEGIN",
        }
    }

    /// Keeps others from writing into these tables, separated by commas, until the transaction ends;
    /// `None` where its beginning has done so.
    pub fn lock_tables(self, tables: &str) -> Option<String> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some(format!("LOCK TABLE {tables} IN SHARE ROW EXCLUSIVE MODE")),
        }
    }

    /// Lifts what a server may have set for all: reading a large table takes longer than a request may.
    pub fn allow_long_statements(self) -> Option<&'static str> {
        match self {
            Self::Sqlite => None,
            Self::Postgres => Some("SET LOCAL statement_timeout = 0"),
        }
    }

    /// The last id that a table has given, also if its row was deleted; `None` if it has given none, or
    /// does not remember it. SQLite remembers it of the tables with `AUTOINCREMENT`.
    pub async fn last_id(
        self,
        connection: &mut AnyConnection,
        table: &'static str,
    ) -> sqlx::Result<Option<i64>> {
        let text = match self {
            Self::Sqlite => {
                "SELECT CAST(seq AS INTEGER) AS id FROM sqlite_sequence WHERE name = $1"
            }
            Self::Postgres => {
                "SELECT pg_sequence_last_value(pg_get_serial_sequence($1, 'id')::regclass) AS id"
            }
        };
        let row = sqlx::query(text).bind(table).fetch_optional(connection);
        row.await?.map_or(Ok(None), |row| row.try_get("id"))
    }

    /// Lets the ids of a table go on behind this one. SQLite does so only for tables with
    /// `AUTOINCREMENT`; the others take the highest free id.
    pub async fn set_last_id(
        self,
        connection: &mut AnyConnection,
        table: &'static str,
        id: i64,
    ) -> sqlx::Result<()> {
        let text = match self {
            Self::Sqlite => "UPDATE sqlite_sequence SET seq = $2 WHERE name = $1",
            Self::Postgres => "SELECT setval(pg_get_serial_sequence($1, 'id')::regclass, $2)",
        };
        let set = sqlx::query(text).bind(table).bind(id);
        set.execute(connection).await?;
        Ok(())
    }
}
