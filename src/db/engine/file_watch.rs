//! Notices that the file of an SQLite database is lost while the service runs, and keeps its log small.
//!
//! SQLite goes on writing into a file that was removed, moved or replaced, and what is acknowledged
//! then is gone after a restart. So work on the database counts only if its files are still there
//! afterwards (see [`WatchedFile::ensure_present`]), and a task looks at them when there is no work.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AnyConnection, Connection, Executor, Row};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use super::file::{self, OpenFiles};
use super::wal_index::WalIndex;
use super::{Engine, LOG_LIMIT};
use crate::db::error::{self, Error, LostDatabase, Result};
use crate::error_chain::ErrorChain;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// How long a file that is gone may take to come back.
const GRACE: Duration = Duration::from_secs(10);

/// Set on the connection that truncates the log: how long other writes may wait behind that, in
/// milliseconds, while it waits for readers.
const TRUNCATION_SETTINGS: &str = "PRAGMA busy_timeout = 20";

/// How many pages the truncation may have to write into the database first, while other writes wait.
const MOST_LEFT_TO_TRUNCATION: i64 = 1000;

/// What was last noted of the files.
#[derive(Clone, Debug)]
enum Noted {
    Present,
    /// Since when.
    Gone(LostDatabase, Instant),
    /// It does not come back.
    Lost(LostDatabase),
}

/// The files of a database that is being served.
pub struct WatchedFile {
    path: PathBuf,
    files: OpenFiles,
    wal_index: Option<WalIndex>,
    noted: watch::Sender<Noted>,
}

impl WatchedFile {
    /// That the files are there, by the file system. Takes some microseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`]; what was just written may be lost.
    pub fn ensure_present(&self) -> Result<()> {
        self.ensure_noted_present()?;
        self.lost().map_or(Ok(()), |lost| Err(Error::Lost(lost)))
    }

    /// That a new connection leads to the same database file, and that its log is whole.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`].
    pub fn ensure_same(&self) -> Result<()> {
        self.ensure_noted_present()?;
        if !self.files.has_database() {
            return Err(Error::Lost(LostDatabase::Gone(self.path.clone())));
        }
        self.cut_log().map_or(Ok(()), |lost| Err(Error::Lost(lost)))
    }

    /// That the files were there when they were last looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Lost`].
    pub fn ensure_noted_present(&self) -> Result<()> {
        match &*self.noted.borrow() {
            Noted::Present => Ok(()),
            Noted::Gone(lost, _) | Noted::Lost(lost) => Err(Error::Lost(lost.clone())),
        }
    }

    /// The index of the log, to read its header; `None` where that cannot be relied upon.
    pub fn wal_index(&self) -> Option<WalIndex> {
        self.wal_index
    }

    fn lost(&self) -> Option<LostDatabase> {
        if let Some(name) = self.files.first_gone() {
            return Some(LostDatabase::Gone(name.to_path_buf()));
        }
        self.cut_log()
    }

    /// How the log was cut, if it was and nothing was written to it since, which makes it long again.
    fn cut_log(&self) -> Option<LostDatabase> {
        let log = self.files.log();
        // What the system does not tell is no proof that something is missing.
        let missing = self.wal_index?.missing_bytes(|| file::length(log)).ok()?;
        (missing > 0).then(|| LostDatabase::Cut {
            path: log.to_path_buf(),
            missing,
        })
    }

    /// Looks whether the names lead to the files.
    fn look_for_files(&self) {
        let noted = self.noted.borrow().clone();
        let now = match (noted, self.lost()) {
            (Noted::Present | Noted::Gone(..), Some(lost @ LostDatabase::Cut { .. })) => {
                return self.is_cut(lost);
            }
            (Noted::Present, Some(lost)) => {
                error!(
                    "{lost}. Until then no request is answered from the database, and in {} s the \
                     service ends",
                    GRACE.as_secs()
                );
                Noted::Gone(lost, Instant::now())
            }
            (Noted::Gone(lost, since), Some(_)) if since.elapsed() >= GRACE => Noted::Lost(lost),
            (Noted::Gone(..), None) => {
                info!(database = %self.path.display(), "the files of the database are back");
                Noted::Present
            }
            _ => return,
        };
        self.noted.send_replace(now);
    }

    fn is_cut(&self, lost: LostDatabase) {
        error!("{lost}. The service ends, since what is missing cannot come back");
        self.noted.send_replace(Noted::Lost(lost));
    }
}

/// A watch over the files of a database.
pub struct FileWatch {
    file: Arc<WatchedFile>,
    eye: Arc<Mutex<Eye>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What looks at the files, on a connection of its own. While that is open, SQLite keeps the log.
struct Eye {
    url: String,
    connection: Option<AnyConnection>,
    /// How long the database file and the log were the last time.
    lengths: [u64; 2],
}

impl FileWatch {
    /// Begins to watch a database.
    pub async fn start(url: &str, path: &Path) -> sqlx::Result<Self> {
        let connection = connect(url).await?;
        let files = OpenFiles::of(path)?;
        let file = Arc::new(WatchedFile {
            path: path.to_path_buf(),
            wal_index: WalIndex::open(&files),
            files,
            noted: watch::Sender::new(Noted::Present),
        });
        let eye = Arc::new(Mutex::new(Eye {
            url: url.to_owned(),
            connection: Some(connection),
            lengths: lengths(path)?,
        }));
        let task = tokio::spawn(keep_looking(Arc::clone(&file), Arc::clone(&eye)));
        Ok(Self {
            file,
            eye,
            task: Mutex::new(Some(task)),
        })
    }

    /// The files that are watched.
    pub fn file(&self) -> Arc<WatchedFile> {
        Arc::clone(&self.file)
    }

    /// Looks at the files once.
    pub async fn look(&self) {
        self.eye.lock().await.look(&self.file).await;
    }

    /// How the database was lost, if it is lost now.
    pub fn lost(&self) -> Option<LostDatabase> {
        match &*self.file.noted.borrow() {
            Noted::Present => self.file.lost(),
            Noted::Gone(lost, _) | Noted::Lost(lost) => Some(lost.clone()),
        }
    }

    /// Completes when the database is lost and does not come back.
    pub async fn lost_for_good(&self) {
        let mut noted = self.file.noted.subscribe();
        let is_lost = |noted: &Noted| matches!(noted, Noted::Lost(_));
        // The sender is ours.
        let _ = noted.wait_for(is_lost).await;
    }

    /// Ends the watch and its connection.
    pub async fn close(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
            // Ended, one way or the other.
            let _ = task.await;
        }
        if let Some(connection) = self.eye.lock().await.connection.take() {
            // It holds nothing that could be lost.
            let _ = connection.close().await;
        }
    }
}

async fn connect(url: &str) -> sqlx::Result<AnyConnection> {
    let mut connection = super::connect(url).await?;
    Engine::Sqlite.configure(&mut connection).await?;
    connection.execute(TRUNCATION_SETTINGS).await?;
    // The first reading opens the log and its index.
    connection
        .execute("SELECT count(*) FROM sqlite_master")
        .await?;
    Ok(connection)
}

/// How long a database file and its log are, in bytes.
fn lengths(database: &Path) -> io::Result<[u64; 2]> {
    let [database, log, _] = file::names(database);
    Ok([file::length(&database)?, file::length(&log)?])
}

async fn keep_looking(file: Arc<WatchedFile>, eye: Arc<Mutex<Eye>>) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        eye.lock().await.look(&file).await;
    }
}

impl Eye {
    async fn look(&mut self, file: &WatchedFile) {
        file.look_for_files();
        if file.ensure_noted_present().is_err() {
            return;
        }
        let looked = async {
            self.look_at_lengths(file).await?;
            self.look_at_log(&file.path).await
        };
        if let Err(error) = looked.await {
            warn!(error = %ErrorChain(&error), "cannot look after the file of the database");
            // A transaction may be open on it. A new one first, so that SQLite keeps the log.
            if self.connection.is_some()
                && let Ok(connection) = connect(&self.url).await
            {
                self.connection = Some(connection);
            }
        }
    }

    /// Notices that the end of the file or of the log was cut off. Asks SQLite whenever a length has
    /// changed: SQLite itself lengthens and shortens both, and a cut may follow within one interval.
    async fn look_at_lengths(&mut self, file: &WatchedFile) -> sqlx::Result<()> {
        let now = lengths(&file.path)?;
        let before = std::mem::replace(&mut self.lengths, now);
        if now == before {
            return Ok(());
        }
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        let missing = match file::missing_bytes(connection, &file.path).await {
            Err(error) if error::is_corrupt(&error) && now[0] < before[0] => before[0] - now[0],
            missing => missing?,
        };
        if missing > 0 {
            let path = file.path.clone();
            file.is_cut(LostDatabase::Cut { path, missing });
            // Left open on purpose. If it were closed, the last connection to be closed would write
            // the log into the file, whose length would then be right and its content zeros.
            std::mem::forget(self.connection.take());
        }
        Ok(())
    }

    /// Writes a long log into the database and truncates it, as far as others still read from it.
    async fn look_at_log(&mut self, database: &Path) -> sqlx::Result<()> {
        let [_, log, _] = file::names(database);
        let Some(connection) = &mut self.connection else {
            return Ok(());
        };
        if file::length(&log)? <= LOG_LIMIT {
            return Ok(());
        }
        // Holds up no write, and leaves the truncation little to do, which does.
        let passive = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)");
        let row = passive.fetch_one(&mut *connection).await?;
        let (logged, written): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
        if logged - written <= MOST_LEFT_TO_TRUNCATION {
            let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
            connection.execute(truncate).await?;
        }
        Ok(())
    }
}
