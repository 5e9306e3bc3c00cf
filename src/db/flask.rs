//! Reading the database of the classic Flask service, an SQLite file with a table `users`. It is only
//! read, a page at a time, so that the service may go on meanwhile.

use std::path::Path;

use sqlx::error::BoxDynError;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Row, SqliteConnection, TypeInfo, ValueRef};

/// The longest address or hash that is read, in bytes: beyond what is usable, so that a page is small.
const MAX_BYTES: i64 = 4096;
/// How many users are read at a time.
const PAGE: i64 = 2_000;

/// Finds what there is to read: the columns of `users`, and whether it is a database of ours.
const FIND_COLUMNS: &str = "
    SELECT name FROM pragma_table_info('users') WHERE name IN ('email', 'hashed_password')
    UNION ALL SELECT name FROM sqlite_master WHERE name = '_sqlx_migrations'";

/// `$1` row, `$2` how many, `$3` how long a value may be. The older of two accounts has the lower row id:
/// `SQLAlchemy`'s primary key is one.
const READ: &str = "
    SELECT rowid AS row_id,
        iif(octet_length(email) > $3, NULL, email) AS email,
        iif(octet_length(hashed_password) > $3, NULL, hashed_password) AS hashed_password,
        max(coalesce(octet_length(email), 0), coalesce(octet_length(hashed_password), 0)) > $3
            AS is_too_long
    FROM users WHERE rowid > $1 ORDER BY rowid LIMIT $2";

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FlaskError {
    /// It has no table `users`, or not its two columns.
    #[error("there is no table `users` with the columns `email` and `hashed_password`")]
    NotFlask,
    /// It is a database of this service.
    #[error("it is a database of bienvenue: write its users by `users export`, and import that")]
    Ours,
    /// SQLite cannot read it.
    #[error("SQLite cannot read it")]
    Sqlite(#[from] sqlx::Error),
}

/// A row of `users`.
#[derive(Debug)]
pub struct FlaskRow {
    /// The row id.
    pub id: i64,
    /// The address as it stands there.
    pub email: FlaskValue,
    /// The hash as it stands there.
    pub hashed_password: FlaskValue,
}

/// What stands in a column, whose type SQLite does not hold programs to.
#[derive(Debug)]
pub enum FlaskValue {
    /// Nothing.
    Null,
    /// A text, or bytes that are one.
    Text(String),
    /// Bytes that are no text in UTF-8.
    NotUtf8,
    /// More than any address or hash has.
    TooLong,
}

/// The users in a file, the oldest first.
pub struct FlaskUsers {
    connection: SqliteConnection,
    last: i64,
}

impl FlaskUsers {
    /// Opens a file to read from.
    pub async fn open(file: &Path) -> Result<Self, FlaskError> {
        let options = SqliteConnectOptions::new().filename(file).read_only(true);
        let mut connection = options.connect().await?;
        let rows = sqlx::query(FIND_COLUMNS).fetch_all(&mut connection).await?;
        let names = rows.iter().map(|row| row.try_get("name"));
        let names: Vec<String> = names.collect::<sqlx::Result<_>>()?;
        if names.iter().any(|name| name == "_sqlx_migrations") {
            return Err(FlaskError::Ours);
        }
        if names.len() < 2 {
            return Err(FlaskError::NotFlask);
        }
        Ok(Self {
            connection,
            last: i64::MIN,
        })
    }

    /// The next users; none if there are no more.
    pub async fn next_page(&mut self) -> Result<Vec<FlaskRow>, FlaskError> {
        let read = sqlx::query(READ).bind(self.last).bind(PAGE).bind(MAX_BYTES);
        let rows = read.fetch_all(&mut self.connection).await?;
        let rows = rows.iter().map(row_in).collect::<sqlx::Result<Vec<_>>>()?;
        if let Some(row) = rows.last() {
            self.last = row.id;
        }
        Ok(rows)
    }
}

fn row_in(row: &SqliteRow) -> sqlx::Result<FlaskRow> {
    let is_too_long: bool = row.try_get("is_too_long")?;
    Ok(FlaskRow {
        id: row.try_get("row_id")?,
        email: value_in(row, "email", is_too_long)?,
        hashed_password: value_in(row, "hashed_password", is_too_long)?,
    })
}

fn value_in(row: &SqliteRow, column: &str, is_too_long: bool) -> sqlx::Result<FlaskValue> {
    let value = row.try_get_raw(column)?;
    if value.is_null() {
        return Ok(if is_too_long {
            FlaskValue::TooLong
        } else {
            FlaskValue::Null
        });
    }
    let text: Result<String, BoxDynError> = if value.type_info().name() == "BLOB" {
        let bytes: Vec<u8> = row.try_get_unchecked(column)?;
        String::from_utf8(bytes).map_err(Into::into)
    } else {
        row.try_get_unchecked(column).map_err(Into::into)
    };
    Ok(text.map_or(FlaskValue::NotUtf8, FlaskValue::Text))
}
