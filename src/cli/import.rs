//! `bienvenue users import`: the users of another program.
//!
//! - `source`: opens a file, recognizes its format and reads it in batches.
//! - `csv`, `json`, `elements`: the formats; `line`: what a line comes to, in any of them.
//! - `error`: why a file cannot be imported to its end.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::administration::{CommandOptions, Context, Failure};
use super::output::printable;
use super::shutdown::StopSignals;
use crate::auth::administration::{Import, ImportMode};
use clap::Args;

mod csv;
mod elements;
pub mod error;
mod json;
mod line;
mod source;

use error::ImportError;
use line::{Line, Problem};
use source::{Format, Source};

/// How often a terminal is told how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Args)]
pub struct ImportUsers {
    /// The file to import, or - for standard input
    file: PathBuf,

    /// What the file is written in; without it, SQLite files are recognized by their first bytes, jsonl by
    /// {, auth0 by [, and all else is taken for csv
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,

    /// Change nothing, and report what would be done
    #[arg(long)]
    dry_run: bool,

    /// Give users who are there already the hash of the file, if theirs is another one, which ends all
    /// their sessions: also those who have changed their password since the file was made, and those whose
    /// hash a login has replaced. A locked user stays locked
    #[arg(long)]
    update: bool,

    #[command(flatten)]
    pub options: CommandOptions,
}

impl ImportUsers {
    /// Does it.
    pub async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let now = context.administration.now();
        let mut source = Source::open(&self.file, self.format, now).await?;
        let mode = ImportMode {
            is_dry_run: self.dry_run,
            replaces_hashes: self.update,
        };
        let mut import = context.administration.import(mode);
        let mut report = Report::new(source.unit());
        let mut signals = StopSignals::listen();
        let done: Result<(), Failure> = loop {
            let lines = tokio::select! {
                lines = source.next(&self.file) => lines,
                () = signals.next() => Err(ImportError::Interrupted),
            };
            match lines {
                Ok(Some(lines)) => {
                    if let Err(error) = self.add(&mut import, lines, &mut report).await {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error.into()),
            }
        };
        report.end();
        self.sum_up(context, &import);
        done?;
        match import.counts().unusable {
            0 => Ok(()),
            unusable => Err(ImportError::Unusable(unusable).into()),
        }
    }

    /// Imports a batch, and reports which lines did not come along.
    async fn add(
        &self,
        import: &mut Import<'_>,
        lines: Vec<Line>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let read = lines.len() as u64;
        let mut users = Vec::with_capacity(lines.len());
        let mut messages = Vec::new();
        for Line { position, user } in lines {
            let user = user.and_then(|user| {
                import.check_new(&user).map_err(Problem::from)?;
                Ok(user)
            });
            match user {
                Ok(user) => users.push(user),
                Err(problem) => {
                    import.count_unusable();
                    messages.push((position, problem.to_string()));
                }
            }
        }
        if !users.is_empty() {
            for kept in import.add(users).await? {
                let email = &kept.account.email;
                let message = format!("{email} exists with another password hash, which stays");
                messages.push((kept.position, message));
            }
        }
        messages.sort_by_key(|(position, _)| *position);
        report.write(read, &messages);
        Ok(())
    }

    fn sum_up(&self, context: &Context<'_>, import: &Import<'_>) {
        let counts = import.counts();
        let would = if self.dry_run { "would be " } else { "" };
        let mut parts = vec![format!("{} {would}imported", counts.imported)];
        if self.update {
            parts.push(format!("{} {would}given another hash", counts.replaced));
        }
        parts.push(format!("{} exist already", counts.existing));
        parts.push(format!("{} not usable", counts.unusable));
        context.say(&parts.join(", "));
        if import.foreign() > 0 {
            context.say(&format!(
                "{} of the hashes are not of bcrypt: the next login of each user replaces theirs",
                import.foreign()
            ));
        }
    }
}

/// Tells about single lines on standard error, and on a terminal also how far it is.
struct Report {
    unit: &'static str,
    read: u64,
    is_terminal: bool,
    last_progress: Instant,
    is_progress_shown: bool,
}

impl Report {
    fn new(unit: &'static str) -> Self {
        Self {
            unit,
            read: 0,
            is_terminal: io::stderr().is_terminal(),
            last_progress: Instant::now(),
            is_progress_shown: false,
        }
    }

    /// Waits for whatever reads it, unlike the log. What cannot be written is not told.
    fn write(&mut self, read: u64, messages: &[(i64, String)]) {
        self.read += read;
        if !messages.is_empty() {
            self.end();
            let mut output = BufWriter::new(io::stderr().lock());
            for (position, message) in messages {
                let _ = writeln!(output, "{} {position}: {}", self.unit, printable(message));
            }
            let _ = output.flush();
        }
        if self.is_terminal && self.last_progress.elapsed() >= PROGRESS_INTERVAL {
            self.last_progress = Instant::now();
            self.is_progress_shown = true;
            let _ = write!(io::stderr(), "\r{} {}s read", self.read, self.unit);
        }
    }

    /// Clears the line on which the progress is shown.
    fn end(&mut self) {
        if self.is_progress_shown {
            self.is_progress_shown = false;
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
