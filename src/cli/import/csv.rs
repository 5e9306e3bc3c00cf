//! CSV with a header (RFC 4180).

use std::io::BufRead;

use csv_core::{ReadRecordResult, Reader};

use super::error::ImportError;
use super::line::{Line, MAX_BYTES, MOMENT, Problem};
use crate::auth::administration::ImportedUser;
use crate::clock::UnixTime;
use crate::rfc3339;

/// The most columns of a file. Others than those below are ignored.
const MAX_COLUMNS: usize = 256;

const EMAIL: &str = "email";
const PASSWORD_HASH: &str = "password_hash";
const CREATED_AT: &str = "created_at";

/// The users in a file, line by line.
pub struct CsvUsers<R> {
    records: Records<R>,
    columns: Columns,
    now: UnixTime,
}

/// Where the columns are.
struct Columns {
    count: usize,
    email: usize,
    password_hash: usize,
    created_at: Option<usize>,
}

impl<R: BufRead> CsvUsers<R> {
    /// Reads the header.
    pub fn start(input: R, now: UnixTime) -> Result<Self, ImportError> {
        let mut records = Records::new(input);
        let line = records.next()?.ok_or(ImportError::Empty)?;
        let wrong = |reason| ImportError::Header(line, reason);
        let Ok(names) = records.fields() else {
            return Err(wrong("cannot be read as a header"));
        };
        let column = |name, twice| {
            let is_it = |field: &&str| field.trim().eq_ignore_ascii_case(name);
            if names.iter().filter(|field| is_it(field)).count() > 1 {
                return Err(wrong(twice));
            }
            Ok(names.iter().position(is_it))
        };
        let columns = Columns {
            count: names.len(),
            email: column(EMAIL, "two columns have the name email")?
                .ok_or_else(|| wrong("no column has the name email"))?,
            password_hash: column(PASSWORD_HASH, "two columns have the name password_hash")?
                .ok_or_else(|| wrong("no column has the name password_hash"))?,
            created_at: column(CREATED_AT, "two columns have the name created_at")?,
        };
        Ok(Self {
            records,
            columns,
            now,
        })
    }

    pub fn next(&mut self) -> Result<Option<Line>, ImportError> {
        let Some(position) = self.records.next()? else {
            return Ok(None);
        };
        let user = self.records.fields();
        // A quote that closes where another field begins has other lines between.
        if self.records.lines > 1
            && (user.as_ref()).is_ok_and(|fields| fields.len() != self.columns.count)
        {
            return Err(ImportError::OpenQuote(position));
        }
        let user = user.and_then(|fields| user_of(position, &fields, &self.columns, self.now));
        Ok(Some(Line { position, user }))
    }
}

fn user_of(
    position: i64,
    fields: &[&str],
    columns: &Columns,
    now: UnixTime,
) -> Result<ImportedUser, Problem> {
    if fields.len() != columns.count {
        return Err(Problem::Fields(fields.len(), columns.count));
    }
    let hash = fields[columns.password_hash];
    if hash.is_empty() {
        return Err(Problem::Missing(PASSWORD_HASH));
    }
    let mut user = ImportedUser::parse(position, fields[columns.email], Some(hash), now)?;
    if let Some(column) = columns.created_at
        && !fields[column].is_empty()
    {
        let moment = rfc3339::read(fields[column]);
        user.account.created_at = moment.ok_or(Problem::WrongType(CREATED_AT, MOMENT))?;
    }
    Ok(user)
}

/// Records, each of which is held alone and at most [`MAX_BYTES`] of it.
struct Records<R> {
    input: R,
    parser: Reader,
    /// The line that is read next.
    line: i64,
    text: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
    /// How many ends of lines the record has, with its own.
    lines: i64,
    is_too_long: bool,
}

impl<R: BufRead> Records<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            parser: Reader::new(),
            line: 1,
            text: vec![0; MAX_BYTES],
            ends: vec![0; MAX_COLUMNS],
            count: 0,
            lines: 0,
            is_too_long: false,
        }
    }

    /// Reads a record. Returns the line that it begins in; `None` if there are no more.
    fn next(&mut self) -> Result<Option<i64>, ImportError> {
        self.skip_line_ends()?;
        let first_line = self.line;
        self.is_too_long = false;
        let (mut length, mut count) = (0, 0);
        loop {
            let input = self.input.fill_buf()?;
            let (result, read, written, ended) =
                self.parser
                    .read_record(input, &mut self.text[length..], &mut self.ends[count..]);
            self.line += line_ends(&input[..read]);
            self.input.consume(read);
            length += written;
            count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {
                    self.is_too_long = true;
                    (length, count) = (0, 0);
                }
                ReadRecordResult::Record => {
                    self.count = count;
                    self.lines = self.line - first_line;
                    return Ok(Some(first_line));
                }
                ReadRecordResult::End => return Ok(None),
            }
            // Only between quotes does a record go on in the next line.
            if self.is_too_long && self.line > first_line {
                return Err(ImportError::OpenQuote(first_line));
            }
        }
    }

    /// Passes over empty lines, and over what is left of the end of the line before.
    fn skip_line_ends(&mut self) -> Result<(), ImportError> {
        loop {
            let input = self.input.fill_buf()?;
            let ends = input.iter().take_while(|byte| b"\r\n".contains(byte));
            let length = ends.count();
            if length == 0 {
                return Ok(());
            }
            self.line += line_ends(&input[..length]);
            self.input.consume(length);
        }
    }

    /// The fields of the record that was read.
    fn fields(&self) -> Result<Vec<&str>, Problem> {
        if self.is_too_long {
            return Err(Problem::TooLong);
        }
        let mut start = 0;
        let fields = self.ends[..self.count].iter().map(|end| {
            let field = &self.text[start..*end];
            start = *end;
            str::from_utf8(field).map_err(|_| Problem::NotUtf8)
        });
        fields.collect()
    }
}

fn line_ends(bytes: &[u8]) -> i64 {
    let ends = bytes.iter().map(|byte| i64::from(*byte == b'\n'));
    ends.sum()
}
