//! Reading columns that several tables share.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::email::{Email, InvalidEmail};
use crate::user::{HashedPassword, User, UserId};

/// The user in a row.
pub fn user_in(row: &AnyRow) -> sqlx::Result<User> {
    Ok(User {
        id: UserId(row.try_get("id")?),
        email: email_in(row)?,
        hashed_password: HashedPassword::new(row.try_get("hashed_password")?),
        password_version: row.try_get("password_version")?,
        is_locked: row.try_get::<Option<i64>, _>("locked_at")?.is_some(),
    })
}

/// The address in the column `email`.
pub fn email_in(row: &AnyRow) -> sqlx::Result<Email> {
    let text: &str = row.try_get("email")?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode {
        index: "email".to_owned(),
        source: Box::<InvalidEmail>::new(error),
    })
}

/// That a column holds nothing that we have written.
pub fn not_understood(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: "not what was written".into(),
    }
}
