//! Connections, lent out of a pool for one piece of work at a time.

use std::future::Future;
use std::sync::Arc;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool};

use super::Result;
use super::error::Error;
use super::file_watch::WatchedFile;
use crate::wait_budget;

/// A pool of connections, and the file that they lead to, if the database is one.
#[derive(Clone)]
pub(super) struct Pool {
    pub(super) connections: AnyPool,
    pub(super) file: Option<Arc<WatchedFile>>,
}

impl Pool {
    /// That new connections lead to the file that was opened.
    pub(super) fn ensure_same_file(&self) -> Result<()> {
        let file = self.file.as_ref();
        file.map_or(Ok(()), |file| file.ensure_same())
    }

    /// That what was written is found after a restart.
    fn ensure_files_present(&self) -> Result<()> {
        let file = self.file.as_ref();
        file.map_or(Ok(()), |file| file.ensure_present())
    }

    /// That the files were there when they were last looked at, which takes no time.
    pub(super) fn ensure_noted_present(&self) -> Result<()> {
        let file = self.file.as_ref();
        file.map_or(Ok(()), |file| file.ensure_noted_present())
    }

    pub(super) async fn close(&self) {
        self.connections.close().await;
    }
}

/// A connection that goes back to its pool if all work on it succeeded, and is closed otherwise.
///
/// After an error its state is unknown. A transaction may be open that `sqlx` does not count, or
/// closed that it does: when SQLite has rolled a failed `COMMIT` back by itself, the `ROLLBACK` that
/// follows fails too, and from then on `sqlx` takes each `BEGIN` for a savepoint, whose commit is none.
/// The same goes for work that is dropped before its end, because the time is up, the client has gone
/// or the work has panicked. What the next one did there would be acknowledged and lost.
struct Loan {
    connection: PoolConnection<Any>,
    has_succeeded: bool,
}

impl Drop for Loan {
    fn drop(&mut self) {
        if !self.has_succeeded {
            self.connection.close_on_drop();
        }
    }
}

/// Does work on a connection of a pool. Waits for both no longer than the request may still wait. If
/// the file is gone, nothing is done; if it is gone by the end of the work, what was done is lost.
///
/// The work must hand on the first error that it meets: what PostgreSQL commits of a transaction in
/// which a statement failed is nothing, and no error.
pub(super) async fn lend<T>(
    pool: &Pool,
    work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>,
) -> Result<T> {
    pool.ensure_same_file()?;
    let done = within_budget(async {
        let mut loan = Loan {
            connection: pool.connections.acquire().await?,
            has_succeeded: false,
        };
        let done = work(&mut loan.connection).await?;
        loan.has_succeeded = true;
        Ok(done)
    })
    .await?;
    pool.ensure_files_present()?;
    Ok(done)
}

type Statement<'a> = Query<'a, Any, AnyArguments>;

/// Runs one statement to its end and returns how many rows it changed.
///
/// To its end: statements that return a row are not used to write, because `sqlx` stops after
/// the row it wants, before SQLite commits, and does not hear if the commit then fails.
pub(super) async fn execute(pool: &Pool, statement: Statement<'_>) -> Result<u64> {
    let done = lend(pool, async |connection| statement.execute(connection).await);
    Ok(done.await?.rows_affected())
}

/// Reads one row, if there is one.
pub(super) async fn fetch_optional(
    pool: &Pool,
    statement: Statement<'_>,
) -> Result<Option<AnyRow>> {
    lend(pool, async |connection| {
        statement.fetch_optional(connection).await
    })
    .await
}

/// Reads all rows.
pub(super) async fn fetch_all(pool: &Pool, statement: Statement<'_>) -> Result<Vec<AnyRow>> {
    lend(pool, async |connection| {
        statement.fetch_all(connection).await
    })
    .await
}

/// Waits for the database no longer than the request may still wait.
///
/// # Errors
///
/// [`Error::TimedOut`], with the work dropped where it was.
pub(super) async fn within_budget<T>(work: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    let done = wait_budget::spend(work).await;
    Ok(done.map_err(|_| Error::TimedOut)??)
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use sqlx::Connection;
    use sqlx::any::AnyPoolOptions;

    use super::*;

    /// A pool of one connection.
    async fn pool(folder: &std::path::Path) -> Pool {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}?mode=rwc", folder.join("b.db").display());
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await;
        Pool {
            connections: pool.unwrap(),
            file: None,
        }
    }

    /// Whether the pool's connection is the one that was marked.
    async fn is_marked(pool: &Pool) -> bool {
        let look = sqlx::query("SELECT id FROM mark");
        fetch_all(pool, look).await.is_ok()
    }

    /// Marks the pool's connection in a way that only this very one knows.
    async fn mark(pool: &Pool) {
        let mark = sqlx::query("CREATE TEMP TABLE mark (id INTEGER)");
        execute(pool, mark).await.unwrap();
        assert!(is_marked(pool).await, "not given back after a success");
    }

    #[tokio::test]
    async fn a_connection_on_which_work_failed_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        mark(&pool).await;
        let failing = sqlx::query("SELECT nothing FROM nowhere");
        assert!(execute(&pool, failing).await.is_err());
        assert!(!is_marked(&pool).await);

        // Also if the error is only met when the work is almost done.
        mark(&pool).await;
        let failing = lend(&pool, async |connection| {
            connection.begin().await?.commit().await?;
            Err::<(), _>(sqlx::Error::RowNotFound)
        });
        assert!(failing.await.is_err());
        assert!(!is_marked(&pool).await);
    }

    #[tokio::test]
    async fn a_connection_on_which_work_is_cut_off_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        mark(&pool).await;
        let cut_off = wait_budget::with(Duration::from_millis(50), async {
            lend(&pool, async |connection| {
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
                lend(&pool, async |connection| {
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
