//! What the commands on users, groups and sessions have in common: they open the database, act in the
//! name of who runs them, and end with a code that says how it went.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::runtime;
use tokio::time::timeout;
use tracing::warn;

use super::import::error::ImportError;
use super::logging::{self, Log};
use super::operator;
use super::options::{DatabaseOptions, LogOptions};
use super::output::printable;
use crate::auth::administration::{self, Administration};
use crate::clock::SystemClock;
use crate::db::{BackupError, DatabaseUrl, Db, OpenError};
use crate::error_chain::ErrorChain;
use crate::password::InvalidPassword;
use crate::token::OsRandom;

/// How long the database may take to be closed. A server that is away does not hold up the end.
const DB_CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What stands in the help of each of these commands.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line cannot be used
  3  there is no such user, or the user is not in the group
  4  the address is registered already, the user is in the group, the file of
     a backup is there, or the database to restore into is not empty
  5  not confirmed, and nothing was done
  6  the database or the backup has the schema of another version of bienvenue,
     or migrate --check finds that the database is not there
  7  the database does not answer, or takes no writes: it is busy, full or
     read-only";

/// Where these commands work, and how they log.
#[derive(Clone, Debug, Args)]
pub struct CommandOptions {
    /// Where the data is.
    #[command(flatten)]
    database: DatabaseOptions,

    /// How the log is written.
    #[command(flatten)]
    log: LogOptions,
}

/// Why a command was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("cannot start")]
    Start(#[source] io::Error),
    #[error(transparent)]
    Open(Box<OpenError>),
    #[error(transparent)]
    Refused(#[from] administration::Error),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error("{} pending: run bienvenue migrate", count(*.0))]
    Pending(usize),
    #[error("told to stop: nothing was done")]
    Stopped,
    #[error("{0}")]
    Usage(&'static str),
    #[error("password {0}")]
    BadPassword(InvalidPassword),
    #[error("not confirmed: nothing was done")]
    NotConfirmed,
    #[error(
        "nothing was done: there is no terminal to ask on; give --yes to do it without being asked"
    )]
    NobodyToAsk,
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error("cannot read")]
    Input(#[source] io::Error),
    #[error("cannot write")]
    Output(#[from] io::Error),
    #[error("cannot write the whole backup to standard output")]
    Stream(#[source] io::Error),
}

impl Failure {
    /// See [`EXIT_CODES`].
    fn code(&self) -> u8 {
        match self {
            Self::Backup(error) if error.is_taken() => 4,
            Self::Backup(error) if error.is_of_other_version() => 6,
            Self::Backup(error) if error.is_away() => 7,
            Self::Usage(_) | Self::Import(ImportError::FlaskFromPipe) => 2,
            Self::Start(_)
            | Self::Backup(_)
            | Self::BadPassword(_)
            | Self::Import(_)
            | Self::Input(_)
            | Self::Output(_)
            | Self::Stream(_)
            | Self::Stopped => 1,
            Self::NotConfirmed | Self::NobodyToAsk => 5,
            Self::Pending(_) => 6,
            Self::Open(error) => code_of(error),
            Self::Refused(error) => match error {
                administration::Error::NoSuchUser(_) | administration::Error::NotInGroup => 3,
                administration::Error::EmailTaken
                | administration::Error::AddressKept
                | administration::Error::InGroup => 4,
                administration::Error::Database(error) if error.is_temporary() => 7,
                _ => 1,
            },
        }
    }

    /// Says why the database cannot be used.
    pub fn open(error: OpenError) -> Self {
        Self::Open(error.into())
    }

    /// Whether whatever reads the output has read enough, as `head` has.
    fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// The exit code where a database cannot be used, of a command and of the service alike.
pub fn code_of(error: &OpenError) -> u8 {
    match error {
        OpenError::Older(..) | OpenError::Newer(..) => 6,
        OpenError::Connect(..) => 7,
        _ => 1,
    }
}

fn count(migrations: usize) -> String {
    match migrations {
        1 => "one migration is".to_owned(),
        several => format!("{several} migrations are"),
    }
}

/// What a command works with.
pub struct Context<'a> {
    /// What it may do.
    pub administration: Administration,
    log: &'a Log,
}

impl Context<'_> {
    /// Tells something beside the data, on standard error.
    pub fn say(&self, text: &str) {
        self.log.say(&format!("bienvenue: {}", printable(text)));
    }
}

/// Opens the database, does the work of a command of this name, such as `users lock`, and says how it
/// went.
pub fn run(
    options: &CommandOptions,
    command: &'static str,
    work: impl AsyncFnOnce(&Context<'_>) -> Result<(), Failure>,
) -> ExitCode {
    run_unopened(options, async |url, log| {
        open_and(url, command, log, work).await
    })
}

/// Does the work of a command that opens the database by itself, and says how it went.
pub fn run_unopened(
    options: &CommandOptions,
    work: impl AsyncFnOnce(&DatabaseUrl, &Log) -> Result<(), Failure>,
) -> ExitCode {
    let log = logging::start(options.log.filter.clone(), options.log.format);
    if let Some(warning) = options.database.warning() {
        warn!("{warning}");
    }
    let failure = match runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let done = runtime.block_on(work(options.database.url(), &log));
            // A thread may still wait for what is typed.
            runtime.shutdown_background();
            done.err()
        }
        Err(error) => Some(Failure::Start(error)),
    };
    match failure {
        Some(failure) if !failure.is_closed_pipe() => {
            let text = ErrorChain(&failure).to_string();
            log.say(&format!("bienvenue: {}", printable(&text)));
            failure.code().into()
        }
        _ => ExitCode::SUCCESS,
    }
}

async fn open_and(
    url: &DatabaseUrl,
    command: &'static str,
    log: &Log,
    work: impl AsyncFnOnce(&Context<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let db = Db::open_existing(url).await;
    let db = db.map_err(Failure::open)?;
    let administration = Administration::new(
        db.clone(),
        Arc::new(SystemClock),
        Arc::new(OsRandom),
        operator::actor(command),
    );
    let context = Context {
        administration,
        log,
    };
    let done = work(&context).await;
    // What was acknowledged is in the database, whether its connections can be closed in time or not.
    let _ = timeout(DB_CLOSE_TIMEOUT, db.close()).await;
    done
}
