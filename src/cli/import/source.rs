//! Where users come from: a file or a pipe, in one of several formats.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;
use std::thread;

use clap::ValueEnum;
use tokio::sync::mpsc;

use super::csv::CsvUsers;
use super::error::ImportError;
use super::json::{Auth0Users, JsonLinesUsers};
use super::line::{Line, Problem};
use crate::auth::administration::ImportedUser;
use crate::clock::UnixTime;
use crate::db::{FlaskRow, FlaskUsers, FlaskValue};

/// How many lines are read at a time, and written in one transaction: the more, the fewer times each page of
/// the index on addresses is written. The writes of a service wait as long, some 0.3 s.
const BATCH: usize = 16_384;
/// How many batches are read ahead.
const AHEAD: usize = 1;
/// What every SQLite file begins with: <https://www.sqlite.org/fileformat.html>, 1.3.
const SQLITE: &[u8] = b"SQLite format 3\0";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const BUFFER_BYTES: usize = 64 * 1024;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The SQLite file of the classic Flask service, often a.db: a table users with the columns email and
    /// hashed_password
    Flask,
    /// Lines of email,password_hash,created_at under a header that names these, of which the last may be
    /// missing
    Csv,
    /// A JSON object a line, with the keys email, password_hash and, if they are known, created_at,
    /// locked_at, email_confirmed_at and groups: what users export prints
    Jsonl,
    /// Auth0's schema for bulk imports: a JSON array of objects with the keys email, password_hash and, if
    /// they are known, created_at, email_verified and blocked
    Auth0,
}

/// Users of a file, as they come.
pub enum Source {
    /// A table, of which pages are read.
    Flask {
        /// The rows.
        users: Box<FlaskUsers>,
        /// When those are added who are.
        now: UnixTime,
    },
    /// A text, which a thread reads.
    Text(mpsc::Receiver<Result<Vec<Line>, ImportError>>),
}

impl Source {
    /// Opens a file, or standard input for `-`, in this format, or in the one that it looks like.
    pub async fn open(
        file: &Path,
        format: Option<Format>,
        now: UnixTime,
    ) -> Result<Self, ImportError> {
        let cannot_open = |error| ImportError::Open(file.to_owned(), error);
        let is_pipe = file == Path::new("-");
        let mut input: Box<dyn Read + Send> = if is_pipe {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file).map_err(cannot_open)?)
        };
        let mut head = Vec::new();
        let most = BUFFER_BYTES as u64;
        let read = (&mut input).take(most).read_to_end(&mut head);
        read.map_err(cannot_open)?;
        if let Some(text) = head.strip_prefix(BYTE_ORDER_MARK) {
            head = text.to_owned();
        }
        if head.trim_ascii().is_empty() && head.len() < BUFFER_BYTES {
            return Err(ImportError::Empty);
        }
        let format = format.unwrap_or_else(|| format_of(&head));
        if format == Format::Flask {
            if is_pipe {
                return Err(ImportError::FlaskFromPipe);
            }
            let users = FlaskUsers::open(file).await;
            let users = users.map_err(|error| ImportError::Flask(file.to_owned(), error))?;
            let users = Box::new(users);
            return Ok(Self::Flask { users, now });
        }
        let input = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(head).chain(input));
        let (sender, receiver) = mpsc::channel(AHEAD);
        // Reading may wait for ever, which the end of the program does not.
        thread::spawn(move || send_all(input, format, now, &sender));
        Ok(Self::Text(receiver))
    }

    /// The next lines; `None` if there are no more.
    pub async fn next(&mut self, file: &Path) -> Result<Option<Vec<Line>>, ImportError> {
        match self {
            Self::Flask { users, now } => {
                let page = users.next_page().await;
                let rows = page.map_err(|error| ImportError::Flask(file.to_owned(), error))?;
                let lines: Vec<Line> = rows.into_iter().map(|row| line_of(row, *now)).collect();
                Ok((!lines.is_empty()).then_some(lines))
            }
            Self::Text(receiver) => receiver.recv().await.transpose(),
        }
    }

    /// What the position of a line is the number of.
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Flask { .. } => "row",
            Self::Text(_) => "line",
        }
    }
}

/// The format that a file looks like by its first bytes.
fn format_of(head: &[u8]) -> Format {
    if head.starts_with(SQLITE) {
        return Format::Flask;
    }
    match head.trim_ascii_start().first() {
        Some(b'{') => Format::Jsonl,
        Some(b'[') => Format::Auth0,
        _ => Format::Csv,
    }
}

/// Reads a text to its end, or until nobody takes its lines.
fn send_all(
    input: impl BufRead,
    format: Format,
    now: UnixTime,
    sender: &mpsc::Sender<Result<Vec<Line>, ImportError>>,
) {
    let done = match format {
        Format::Jsonl => {
            let mut users = JsonLinesUsers::new(input, now);
            send_lines(|| users.next(), sender)
        }
        Format::Auth0 => {
            let mut users = Auth0Users::new(input, now);
            send_lines(|| users.next(), sender)
        }
        Format::Csv | Format::Flask => {
            CsvUsers::start(input, now).and_then(|mut users| send_lines(|| users.next(), sender))
        }
    };
    if let Err(error) = done {
        let _ = sender.blocking_send(Err(error));
    }
}

fn send_lines(
    mut next: impl FnMut() -> Result<Option<Line>, ImportError>,
    sender: &mpsc::Sender<Result<Vec<Line>, ImportError>>,
) -> Result<(), ImportError> {
    loop {
        let mut lines = Vec::with_capacity(BATCH);
        let mut end = Ok(false);
        while lines.len() < BATCH {
            match next() {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => {
                    end = Ok(true);
                    break;
                }
                Err(error) => {
                    end = Err(error);
                    break;
                }
            }
        }
        let is_unheard = !lines.is_empty() && sender.blocking_send(Ok(lines)).is_err();
        if end? || is_unheard {
            return Ok(());
        }
    }
}

fn line_of(row: FlaskRow, now: UnixTime) -> Line {
    let value = |value, name| match value {
        FlaskValue::Text(text) => Ok(text),
        FlaskValue::Null => Err(Problem::Missing(name)),
        FlaskValue::NotUtf8 => Err(Problem::NotUtf8),
        FlaskValue::TooLong => Err(Problem::ValueTooLong),
    };
    let email = value(row.email, "email");
    let hash = value(row.hashed_password, "hashed_password");
    let user = email.and_then(|email| {
        let user = ImportedUser::parse(row.id, &email, Some(&hash?), now);
        user.map_err(Problem::from)
    });
    Line {
        position: row.id,
        user,
    }
}
