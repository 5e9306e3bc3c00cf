//! What a command prints on standard output: rows, as a table for people or as JSON Lines for programs.

use std::fmt::Write as _;
use std::io::{self, BufWriter, Stdout, Write};

use serde_json::Value;

use crate::clock::UnixTime;
use crate::rfc3339;

/// What stands in a row.
#[derive(Clone, Debug)]
pub enum Cell {
    Nothing,
    Number(i64),
    Text(String),
    Time(UnixTime),
    List(Vec<String>),
}

impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nothing, Into::into)
    }
}

impl From<UnixTime> for Cell {
    fn from(time: UnixTime) -> Self {
        Self::Time(time)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl Cell {
    /// For people: in one line, with a dash for nothing.
    fn text(&self) -> String {
        match self {
            Self::Nothing => "-".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => printable(text),
            Self::Time(time) => rfc3339::write(*time),
            Self::List(texts) if texts.is_empty() => "-".to_owned(),
            Self::List(texts) => printable(&texts.join(",")),
        }
    }

    /// For programs.
    fn json(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into(),
            Self::Time(time) => rfc3339::write(time).into(),
            Self::List(texts) => texts.into(),
        }
    }
}

/// Rows on standard output. They leave as they come: however many there are, only those that are
/// written at a time are held.
pub struct Rows<const N: usize> {
    columns: [&'static str; N],
    is_json: bool,
    /// How wide each column of a table is by now; `None` before its header.
    widths: Option<[usize; N]>,
    output: BufWriter<Stdout>,
}

impl<const N: usize> Rows<N> {
    /// Rows with these columns, whose names are also the keys in JSON.
    pub fn new(columns: [&'static str; N], is_json: bool) -> Self {
        Self {
            columns,
            is_json,
            widths: None,
            output: BufWriter::new(io::stdout()),
        }
    }

    /// Writes some rows. Those of a table are aligned with each other and with the ones before, as far
    /// as these were not narrower.
    pub fn write(&mut self, rows: impl IntoIterator<Item = [Cell; N]>) -> io::Result<()> {
        if self.is_json {
            for row in rows {
                self.write_json(row)?;
            }
        } else {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|row| row.map(|cell| cell.text()))
                .collect();
            self.write_table(&rows)?;
        }
        self.output.flush()
    }

    /// Writes the header of a table that has no rows.
    pub fn finish(mut self) -> io::Result<()> {
        if !self.is_json && self.widths.is_none() {
            self.write_table(&[])?;
        }
        self.output.flush()
    }

    fn write_json(&mut self, row: [Cell; N]) -> io::Result<()> {
        let pairs = self.columns.iter().zip(row);
        let pairs: Vec<String> = pairs
            .map(|(key, cell)| format!("\"{key}\":{}", escaped(&cell.json().to_string())))
            .collect();
        writeln!(self.output, "{{{}}}", pairs.join(","))
    }

    fn write_table(&mut self, rows: &[[String; N]]) -> io::Result<()> {
        let header = self.columns.map(str::to_ascii_uppercase);
        let is_first = self.widths.is_none();
        let mut widths = self.widths.unwrap_or([0; N]);
        let with_header = rows.iter().chain(is_first.then_some(&header));
        for row in with_header {
            for (width, text) in widths.iter_mut().zip(row) {
                *width = text.chars().count().max(*width);
            }
        }
        self.widths = Some(widths);
        for row in is_first.then_some(&header).into_iter().chain(rows) {
            let cells = row
                .iter()
                .zip(widths)
                .map(|(text, width)| format!("{text:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(self.output, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

/// Prints one line of ASCII.
pub fn print_line(line: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{line}")
}

/// A text that a terminal shows as it is, and takes for no order: with the numbers of all characters
/// that are none to be seen, or turn the order of others.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_unprintable(letter) {
            printable.extend(letter.escape_unicode());
        } else {
            printable.push(letter);
        }
    }
    printable
}

/// The same for a text that is JSON already, in which such characters are in strings alone.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for letter in json.chars() {
        if is_unprintable(letter) {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                // Writing to a text does not fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

/// Control characters, and the format characters of Unicode (general category Cf, and the line and
/// paragraph separators) that hide, join or reorder others.
fn is_unprintable(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}'
                | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
                | '\u{E0000}'..='\u{E007F}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_order_to_a_terminal_comes_through() {
        for (text, shown) in [
            ("bob@example.org", "bob@example.org"),
            ("\u{E9}\u{1F600}", "\u{E9}\u{1F600}"),
            ("a\x1b[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r\t", "a\\u{a}b\\u{d}\\u{9}"),
            ("a\u{9b}2J\u{7f}", "a\\u{9b}2J\\u{7f}"),
            ("a\u{202E}b", "a\\u{202e}b"),
        ] {
            assert_eq!(printable(text), shown);
            let json = Value::from(text).to_string();
            let safe = escaped(&json);
            assert!(!safe.chars().any(is_unprintable), "{safe}");
            assert_eq!(serde_json::from_str::<Value>(&safe).unwrap(), text);
        }
    }
}
