//! Connections of a pool, used for one piece of work at a time.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool, Execute, SqlStr};
use tokio::time::sleep;

use super::engine::file_watch::WatchedFile;
use super::error::{Error, Result};
use super::sessions::cache::{SessionCache, Touched};
use crate::metrics::Counters;
use crate::wait_budget;

/// How many rows one statement purges, so that no other write waits long behind it.
const PURGE_BATCH: i64 = 500;

type Statement<'a> = Query<'a, Any, AnyArguments>;

/// The pools of connections, the file that they lead to, if the database is one, and the sessions that
/// are remembered of it.
#[derive(Clone)]
pub struct Connections(Arc<Pools>);

struct Pools {
    reader: AnyPool,
    writer: AnyPool,
    file: Option<Arc<WatchedFile>>,
    session_cache: Option<Arc<SessionCache>>,
    errors: Counters<&'static str>,
}

impl Connections {
    /// A cache of sessions is told of the writes, and must be told of each new connection of the writer,
    /// which is then a single one.
    pub fn new(
        (reader, writer): (AnyPool, AnyPool),
        file: Option<Arc<WatchedFile>>,
        session_cache: Option<Arc<SessionCache>>,
    ) -> Self {
        Self(Arc::new(Pools {
            reader,
            writer,
            file,
            session_cache,
            errors: Counters::new(Error::KINDS),
        }))
    }

    /// The sessions that are remembered, where any are.
    pub fn session_cache(&self) -> Option<&SessionCache> {
        self.0.session_cache.as_deref()
    }

    /// How much of the work on the database has failed, by the kind of the error. Work that is done for
    /// many requests at once counts once.
    pub fn errors(&self) -> &Counters<&'static str> {
        &self.0.errors
    }

    /// A connection to read from that does not go back to its pool.
    pub async fn detached_reader(&self) -> sqlx::Result<AnyConnection> {
        Ok(acquire(&self.0.reader).await?.detach())
    }

    pub async fn close(&self) {
        if let Some(cache) = self.session_cache() {
            cache.close();
        }
        self.0.reader.close().await;
        self.0.writer.close().await;
    }

    /// Checks that new connections lead to the file that was opened.
    pub fn ensure_same_file(&self) -> Result<()> {
        let file = self.0.file.as_ref();
        file.map_or(Ok(()), |file| file.ensure_same())
    }

    /// Checks that what was written is found after a restart.
    fn ensure_files_present(&self) -> Result<()> {
        let file = self.0.file.as_ref();
        file.map_or(Ok(()), |file| file.ensure_present())
    }

    /// Checks that the files were there when they were last looked at, which takes no time.
    pub fn ensure_noted_present(&self) -> Result<()> {
        let file = self.0.file.as_ref();
        file.map_or(Ok(()), |file| file.ensure_noted_present())
    }

    /// Reads, on a connection of its own.
    pub async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T> + Clone,
    ) -> Result<T> {
        self.with_connection(&self.0.reader, async |guard| {
            guard.work(async |connection| work(connection).await).await
        })
        .await
    }

    /// Writes, on a connection of its own. What it touches must be told whole. The work is one statement or
    /// one transaction, since it is done again if that was undone.
    pub async fn write<T>(
        &self,
        touched: Touched,
        work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T> + Clone,
    ) -> Result<T> {
        self.with_connection(&self.0.writer, async |guard| {
            let Some(cache) = self.session_cache() else {
                return guard.work(async |connection| work(connection).await).await;
            };
            let write = cache.begin_write();
            let done = guard
                .work(async |connection| work(connection).await)
                .await?;
            // What was written is written, whether the cache can follow it or not.
            let followed = guard.work(async |connection| write.finish(connection, touched).await);
            let _ = followed.await;
            Ok(done)
        })
        .await
    }

    /// Does work on a connection of a pool. Waits for both no longer than the request may still wait.
    /// If the file is gone, nothing is done; if it is gone by the end of the work, what was done is
    /// lost. Work that was undone because of another transaction is done again, a few times.
    ///
    /// The work must return the first error that it meets: what PostgreSQL commits of a transaction in
    /// which a statement failed is nothing, and no error.
    ///
    /// It is cloned for each try, and not a function that is called several times (`AsyncFn`): of the
    /// futures of those rustc cannot tell that they are `Send`, as they must be in a task.
    async fn with_connection<T>(
        &self,
        pool: &AnyPool,
        work: impl AsyncFnOnce(&mut ConnectionGuard) -> sqlx::Result<T> + Clone,
    ) -> Result<T> {
        let mut pauses = REPEAT_PAUSES.into_iter();
        self.counted(async {
            loop {
                let done = self.try_with_connection(pool, work.clone()).await;
                match (done, pauses.next()) {
                    (Err(error), Some(pause)) if error.is_conflict() => {
                        if wait_budget::spend(sleep(pause)).await.is_err() {
                            return Err(error);
                        }
                    }
                    (done, _) => return done,
                }
            }
        })
        .await
    }

    /// Does work on a connection of a pool, once.
    async fn try_with_connection<T>(
        &self,
        pool: &AnyPool,
        work: impl AsyncFnOnce(&mut ConnectionGuard) -> sqlx::Result<T>,
    ) -> Result<T> {
        self.ensure_same_file()?;
        let done = within_budget(async {
            let mut guard = ConnectionGuard {
                connection: acquire(pool).await?,
                has_succeeded: false,
            };
            work(&mut guard).await
        })
        .await?;
        self.ensure_files_present()?;
        Ok(done)
    }

    /// Counts the error of this work, if it ends in one. A row that is refused because its user is gone, or
    /// because another one has what it is to have, is an answer.
    pub async fn counted<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = work.await;
        if let Err(error) = &done
            && !error.is_foreign_key_violation()
            && !error.is_unique_violation()
        {
            self.0.errors.add(error.kind());
        }
        done
    }

    /// Runs one statement to its end and returns how many rows it changed.
    ///
    /// To its end: statements that return a row are not used to write, because `sqlx` stops after
    /// the row it wants, before SQLite commits, and does not hear if the commit then fails.
    pub async fn execute(&self, touched: Touched, statement: Statement<'_>) -> Result<u64> {
        let statement = Repeatable::new(statement)?;
        let done = self.write(touched, async |connection| {
            statement.query().execute(connection).await
        });
        Ok(done.await?.rows_affected())
    }

    /// Reads one row, if there is one.
    pub async fn fetch_optional(&self, statement: Statement<'_>) -> Result<Option<AnyRow>> {
        let statement = Repeatable::new(statement)?;
        self.read(async |connection| statement.query().fetch_optional(connection).await)
            .await
    }

    /// Reads all rows.
    pub async fn fetch_all(&self, statement: Statement<'_>) -> Result<Vec<AnyRow>> {
        let statement = Repeatable::new(statement)?;
        self.read(async |connection| statement.query().fetch_all(connection).await)
            .await
    }

    /// Repeats a statement that purges a few rows, by these bounds, until there are none.
    pub async fn purge<const N: usize>(
        &self,
        touched: Touched,
        statement: &'static str,
        bounds: [i64; N],
    ) -> Result<u64> {
        let mut purged = 0;
        loop {
            let rows = self.purge_some(touched, statement, bounds).await?;
            purged += rows;
            if rows == 0 {
                return Ok(purged);
            }
        }
    }

    /// Runs a statement that purges a few rows, by these bounds, once.
    pub async fn purge_some<const N: usize>(
        &self,
        touched: Touched,
        statement: &'static str,
        bounds: [i64; N],
    ) -> Result<u64> {
        let mut purge = sqlx::query(statement);
        for bound in bounds {
            purge = purge.bind(bound);
        }
        self.execute(touched, purge.bind(PURGE_BATCH)).await
    }
}

/// A statement with its arguments, which can be run several times.
struct Repeatable {
    text: SqlStr,
    arguments: AnyArguments,
}

impl Repeatable {
    fn new(mut statement: Statement<'_>) -> sqlx::Result<Self> {
        let arguments = statement.take_arguments().map_err(sqlx::Error::Encode)?;
        Ok(Self {
            text: statement.sql(),
            arguments: arguments.unwrap_or_default(),
        })
    }

    fn query(&self) -> Statement<'static> {
        let mut arguments = AnyArguments::default();
        arguments.values.0.clone_from(&self.arguments.values.0);
        sqlx::query_with(self.text.clone(), arguments)
    }
}

/// A connection that goes back to its pool if all work on it succeeded, and is closed otherwise.
///
/// After an error its state is unknown. A transaction may be open that `sqlx` does not count, or
/// closed that it does: when SQLite has rolled a failed `COMMIT` back by itself, the `ROLLBACK` that
/// follows fails too, and from then on `sqlx` takes each `BEGIN` for a savepoint, whose commit is none.
/// The same goes for work that is dropped before its end, because the time is up, the client has gone
/// or the work has panicked. What the next one did there would be acknowledged and lost.
struct ConnectionGuard {
    connection: PoolConnection<Any>,
    has_succeeded: bool,
}

impl ConnectionGuard {
    /// Does work on the connection.
    async fn work<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>,
    ) -> sqlx::Result<T> {
        self.has_succeeded = false;
        let done = work(&mut self.connection).await?;
        self.has_succeeded = true;
        Ok(done)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        if !self.has_succeeded {
            self.connection.close_on_drop();
        }
    }
}

/// The pauses before work is done again that was undone because of another transaction: long enough that
/// the other one, which was at the same rows, has done with them. Four tries were measured to leave of a
/// hundred requests of many clients at a serializable PostgreSQL less than one to be refused, and one try
/// nine.
const REPEAT_PAUSES: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(40),
    Duration::from_millis(160),
];

/// A connection of a pool. Whatever keeps a server from letting us in may be over soon, such as a role
/// that was locked or a database that accepts no connections for now.
async fn acquire(pool: &AnyPool) -> sqlx::Result<PoolConnection<Any>> {
    let refused = |error| match error {
        error @ sqlx::Error::Database(_) => sqlx::Error::Io(io::Error::other(error)),
        error => error,
    };
    pool.acquire().await.map_err(refused)
}

/// Waits for the database no longer than the request may still wait.
///
/// # Errors
///
/// [`Error::TimedOut`], with the work dropped where it was.
pub async fn within_budget<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    let done = wait_budget::spend(work).await;
    Ok(done.map_err(|_| Error::TimedOut)??)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use sqlx::Connection;
    use sqlx::any::AnyPoolOptions;

    use super::*;

    /// A pool of one connection.
    async fn pool(folder: &std::path::Path) -> Connections {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}?mode=rwc", folder.join("b.db").display());
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await;
        let pool = pool.unwrap();
        Connections::new((pool.clone(), pool), None, None)
    }

    /// Whether the pool's connection is the one that was marked.
    async fn is_marked(pool: &Connections) -> bool {
        let look = sqlx::query("SELECT id FROM mark");
        pool.fetch_all(look).await.is_ok()
    }

    /// Marks the pool's connection in a way that only this very one knows.
    async fn mark(pool: &Connections) {
        let mark = sqlx::query("CREATE TEMP TABLE mark (id INTEGER)");
        pool.execute(Touched::None, mark).await.unwrap();
        assert!(is_marked(pool).await, "not given back after a success");
    }

    #[tokio::test]
    async fn a_connection_on_which_work_failed_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        mark(&pool).await;
        let failing = sqlx::query("SELECT nothing FROM nowhere");
        assert!(pool.execute(Touched::None, failing).await.is_err());
        assert!(!is_marked(&pool).await);

        // Also if the error is only met when the work is almost done.
        mark(&pool).await;
        let failing = pool.write(Touched::None, async |connection| {
            connection.begin().await?.commit().await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        });
        assert!(failing.await.is_err());
        assert!(!is_marked(&pool).await);
    }

    #[tokio::test]
    async fn a_connection_on_which_later_work_failed_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        mark(&pool).await;
        let done = pool.with_connection(&pool.0.writer, async |guard| {
            guard.work(async |_| Ok(())).await?;
            let failed = guard.work(async |_| Err::<(), _>(sqlx::Error::RowNotFound));
            assert!(failed.await.is_err());
            Ok(())
        });
        assert!(done.await.is_ok());
        assert!(!is_marked(&pool).await);
    }

    #[tokio::test]
    async fn a_connection_on_which_work_is_cut_off_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        mark(&pool).await;
        let cut_off = wait_budget::with(Duration::from_millis(50), async {
            pool.write(Touched::None, async |connection| {
                let transaction = connection.begin().await?;
                std::mem::forget(transaction);
                pending::<sqlx::Result<()>>().await
            })
            .await
        });
        assert!(matches!(cut_off.await, Err(Error::TimedOut)));
        assert!(!is_marked(&pool).await);
    }

    #[tokio::test]
    async fn a_connection_on_which_work_panics_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        mark(&pool).await;
        let panicking = tokio::spawn({
            let pool = pool.clone();
            async move {
                pool.write(Touched::None, async |connection| {
                    std::mem::forget(connection.begin().await?);
                    panic!("on purpose");
                    #[expect(unreachable_code)]
                    Ok(())
                })
                .await
            }
        });
        assert!(panicking.await.is_err());
        assert!(!is_marked(&pool).await);
    }
}
