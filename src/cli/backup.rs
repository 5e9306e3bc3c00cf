//! `bienvenue backup` and `bienvenue restore`: the whole database into one file, and back.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::time::interval;

use super::administration::{self, CommandOptions, Failure};
use super::logging::Log;
use super::operator;
use super::shutdown::StopSignals;
use crate::auth::administration::WholeDatabase;
use crate::db::{self, Counts, DatabaseUrl, Progress};

/// How often it is told on a terminal how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Args)]
pub struct BackUp {
    /// The file to make, or - for standard output
    file: PathBuf,

    /// Replace the file if it is there: the old backup stays until the new one is whole
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct Restore {
    /// The file that bienvenue backup has made
    file: PathBuf,

    #[command(flatten)]
    options: CommandOptions,
}

/// Makes a backup.
pub fn back_up(command: &BackUp) -> ExitCode {
    let BackUp {
        file,
        force,
        options,
    } = command;
    administration::run_unopened(options, async |url, log| {
        let name = (file != Path::new("-")).then_some((&**file, *force));
        if name.is_none() && io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "a backup is not for a terminal: give a file, or send standard output to one",
            ));
        }
        let counts = make(url, name).await?;
        tell(log, "backed up", &counts);
        let actor = operator::actor("backup");
        actor.log_whole(WholeDatabase::BackupMade, &file.to_string_lossy(), &counts);
        Ok(())
    })
}

async fn make(url: &DatabaseUrl, name: Option<(&Path, bool)>) -> Result<Counts, Failure> {
    let progress = Progress::default();
    let backup = db::back_up(url, name, &progress);
    let backup = watched("backing up", &progress, backup).await??;
    let counts = backup.counts.clone();
    match name {
        Some((name, replaces)) => backup.keep_as(name, replaces)?,
        // A reader that stops has half a backup.
        None => backup
            .write_to(&mut io::stdout())
            .map_err(Failure::Stream)?,
    }
    Ok(counts)
}

/// Fills an empty database from a backup.
pub fn restore(command: &Restore) -> ExitCode {
    let Restore { file, options } = command;
    administration::run_unopened(options, async |url, log| {
        let progress = Progress::default();
        let restored = db::restore(url, file, &progress);
        let counts = watched("restoring", &progress, restored).await??;
        tell(log, "restored", &counts);
        let actor = operator::actor("restore");
        actor.log_whole(WholeDatabase::Restored, &file.to_string_lossy(), &counts);
        Ok(())
    })
}

fn tell(log: &Log, what: &str, counts: &Counts) {
    let (users, sessions) = (counts.of("users"), counts.of("sessions"));
    log.say(&format!(
        "bienvenue: {what} {users} users, {sessions} sessions"
    ));
}

/// Waits for work and tells on a terminal how far it is.
///
/// # Errors
///
/// [`Failure::Stopped`] if it was told to stop, by Ctrl-C or SIGTERM.
async fn watched<T>(
    what: &str,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut terminal = io::stderr();
    let is_told = terminal.is_terminal();
    let mut signals = StopSignals::listen();
    let (mut work, since) = (pin!(work), Instant::now());
    let mut ticks = interval(PROGRESS_INTERVAL);
    // The first comes at once.
    ticks.tick().await;
    let done = loop {
        tokio::select! {
            done = &mut work => break Ok(done),
            () = signals.next() => break Err(Failure::Stopped),
            _ = ticks.tick() => {}
        }
        if is_told {
            let (rows, seconds) = (progress.rows(), since.elapsed().as_secs());
            let rows = if rows == 0 {
                String::new()
            } else {
                format!(", {rows} rows")
            };
            // Whether it can be told or not, the work goes on.
            let _ = write!(terminal, "\r{what}: {seconds} s{rows}\x1b[K");
        }
    };
    if is_told {
        let _ = write!(terminal, "\r\x1b[K");
    }
    done
}
