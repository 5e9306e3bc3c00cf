//! The log: lines on standard error, for people or for machines.
//!
//! Logging never waits for whatever reads the lines: they go into a bounded `queue`, and a thread
//! writes them.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::panic;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, error, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::auth::AUDIT_TARGET;

mod queue;

use queue::{Importance, Queue};

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The target of the line that tells how many lines were dropped.
const DROPPED: &str = "bienvenue::logging::dropped";

/// The target in which `sqlx` repeats a parameter of a URL that it does not know: it may be a password.
const URL_PARAMETERS: &str = "sqlx_postgres::options";

/// How long the end of the process waits for lines to be written. With all else that is waited for at
/// the end it is less than the 10 seconds after which a process that was told to stop is killed.
const FLUSH_TIMEOUT: Duration = Duration::from_millis(400);

/// The log of this process. Dropping it waits until all lines are written, but for less than a second:
/// whatever reads them may have stopped.
pub struct Log(Arc<Queue>);

/// Sends everything logged from now on, panics included, to standard error.
///
/// # Panics
///
/// If the process has a log already, or the system has no thread for it.
pub fn start(filter: Targets, format: LogFormat) -> Log {
    let queue = Queue::start(io::stderr(), |lines| {
        warn!(
            target: DROPPED,
            "{lines} lines were dropped: what reads the log is too slow, or cannot write"
        );
    });
    let lines = fmt::layer().with_writer(Lines(Arc::clone(&queue)));
    let lines = match format {
        LogFormat::Text if goes_to_journal() => lines.with_ansi(false).without_time().boxed(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let filter = filter
        .with_target(DROPPED, LevelFilter::WARN)
        .with_target(URL_PARAMETERS, LevelFilter::OFF);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();

    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let message = panic.payload_as_str().unwrap_or("no message");
        error!(place, message, "panicked");
    }));
    Log(queue)
}

/// Whether standard error goes to systemd's journal, which notes the time of each line itself. Then systemd
/// names the device and the inode (`systemd.exec(5)`), which a child whose output goes elsewhere inherits.
fn goes_to_journal() -> bool {
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else {
        return false;
    };
    let journal = env::var("JOURNAL_STREAM").ok();
    let stderr = File::from(stderr).metadata().ok();
    let stderr = stderr.map(|stderr| format!("{}:{}", stderr.dev(), stderr.ino()));
    journal.is_some() && journal == stderr
}

impl Log {
    /// Writes a bare line, whatever the filter.
    pub fn say(&self, line: &str) {
        let line = format!("{line}\n");
        self.0.push(Importance::Highest, line.as_bytes());
    }

    /// Waits until all lines are written, but for less than a second.
    pub fn flush(&self) {
        self.0.flush(FLUSH_TIMEOUT);
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Puts lines into the queue.
struct Lines(Arc<Queue>);

/// Takes one line, in one piece.
struct LineWriter<'a> {
    queue: &'a Queue,
    importance: Importance,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = LineWriter<'a>;

    fn make_writer(&'a self) -> LineWriter<'a> {
        LineWriter {
            queue: &self.0,
            importance: Importance::Low,
        }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> LineWriter<'a> {
        let importance = match metadata.target() {
            DROPPED => Importance::Highest,
            AUDIT_TARGET => Importance::High,
            _ => Importance::Low,
        };
        LineWriter {
            queue: &self.0,
            importance,
        }
    }
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.push(self.importance, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
