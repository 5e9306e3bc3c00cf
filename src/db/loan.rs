//! Connections, lent out of a pool for one piece of work at a time.

use std::future::Future;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AnyPool};
use tokio::time::timeout;

use super::Result;
use super::error::{DEADLINE, Error};

/// A connection that goes back to its pool when the work on it has come to an end, good or bad.
///
/// Dropped before that, because the time is up or because whoever asked has gone, it is closed: the
/// server may still be at the work or be out of reach, and a transaction may be open of which the
/// pool knows nothing. What the next one did would belong to that, and be acknowledged and lost.
struct Loan {
    connection: PoolConnection<Any>,
    has_ended: bool,
}

impl Loan {
    /// Waits for a connection, for as long as the pool lets one wait.
    async fn of(pool: &AnyPool) -> Result<Self> {
        Ok(Self {
            connection: pool.acquire().await?,
            has_ended: false,
        })
    }

    /// Gives the connection back.
    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if !self.has_ended {
            self.connection.close_on_drop();
        }
    }
}

/// Does work on a connection of a pool, within the deadline.
pub(super) async fn lend<T>(
    pool: &AnyPool,
    work: impl AsyncFnOnce(&mut AnyConnection) -> sqlx::Result<T>,
) -> Result<T> {
    let mut loan = Loan::of(pool).await?;
    let done = within_deadline(work(&mut loan.connection)).await?;
    loan.end();
    Ok(done?)
}

type Statement<'a> = Query<'a, Any, AnyArguments>;

/// Runs one statement to its end and returns how many rows it changed.
///
/// To its end: statements that return a row are not used to write, because `sqlx` stops after
/// the row it wants, before SQLite commits, and does not hear if the commit then fails.
pub(super) async fn execute(pool: &AnyPool, statement: Statement<'_>) -> Result<u64> {
    let done = lend(pool, async |connection| statement.execute(connection).await);
    Ok(done.await?.rows_affected())
}

/// Reads one row, if there is one.
pub(super) async fn fetch_optional(
    pool: &AnyPool,
    statement: Statement<'_>,
) -> Result<Option<AnyRow>> {
    lend(pool, async |connection| {
        statement.fetch_optional(connection).await
    })
    .await
}

/// Reads all rows.
pub(super) async fn fetch_all(pool: &AnyPool, statement: Statement<'_>) -> Result<Vec<AnyRow>> {
    lend(pool, async |connection| {
        statement.fetch_all(connection).await
    })
    .await
}

/// Waits for work on a connection no longer than the [`DEADLINE`].
///
/// # Errors
///
/// [`Error::TimedOut`], with the work let go of in the middle.
pub(super) async fn within_deadline<T>(work: impl Future<Output = T>) -> Result<T> {
    timeout(DEADLINE, work).await.map_err(|_| Error::TimedOut)
}

#[cfg(test)]
mod tests {
    use sqlx::any::AnyPoolOptions;
    use sqlx::{Connection, Executor};

    use super::*;

    /// A pool of one connection.
    async fn pool(folder: &std::path::Path) -> AnyPool {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite:{}?mode=rwc", folder.join("b.db").display());
        let pool = AnyPoolOptions::new().max_connections(1).connect(&url).await;
        pool.unwrap()
    }

    /// Leaves something behind that only this very connection knows.
    async fn mark(connection: &mut AnyConnection) {
        let mark = "CREATE TEMP TABLE mark (id INTEGER)";
        connection.execute(mark).await.unwrap();
    }

    async fn is_marked(pool: &AnyPool) -> bool {
        let look = sqlx::query("SELECT id FROM mark");
        fetch_all(pool, look).await.is_ok()
    }

    #[tokio::test]
    async fn a_connection_comes_back_when_its_work_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        let mut loan = Loan::of(&pool).await.unwrap();
        mark(&mut loan.connection).await;
        loan.end();
        assert!(is_marked(&pool).await);
        // So it does when the work has failed.
        let failing = sqlx::query("SELECT nothing FROM nowhere");
        assert!(execute(&pool, failing).await.is_err());
        assert!(is_marked(&pool).await);
    }

    #[tokio::test]
    async fn a_connection_that_is_let_go_of_in_the_middle_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let pool = pool(folder.path()).await;
        let mut loan = Loan::of(&pool).await.unwrap();
        mark(&mut loan.connection).await;
        let transaction = loan.connection.begin().await.unwrap();
        std::mem::forget(transaction);
        drop(loan);
        assert!(!is_marked(&pool).await);
    }
}
