//! Why a file cannot be imported to its end.

use std::io;
use std::path::PathBuf;

use crate::db::FlaskError;

/// Why a file cannot be imported to its end. What was imported before stays.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read {}", .0.display())]
    Open(PathBuf, #[source] io::Error),
    #[error("cannot read on")]
    Read(#[from] io::Error),
    #[error("cannot import {}", .0.display())]
    Flask(PathBuf, #[source] FlaskError),
    #[error("give the Flask service's database by its name: SQLite reads no pipe")]
    FlaskFromPipe,
    #[error("nothing was read: the file is empty")]
    Empty,
    #[error(
        "line {0}: {1}: the first line must name the columns, such as email,password_hash,created_at"
    )]
    Header(i64, &'static str),
    #[error("line {0}: {1}: the file must be one JSON array of objects")]
    Array(i64, &'static str),
    #[error(
        "line {0}: a quote is not closed, so the lines behind it cannot be told apart and were not read: \
         mend it, and import the file again for what is missing"
    )]
    OpenQuote(i64),
    #[error("interrupted: import the file again for what is missing")]
    Interrupted,
    #[error("{0} of the users were not usable, for the reasons above")]
    Unusable(u64),
}
