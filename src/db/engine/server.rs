//! What is asked of a PostgreSQL server before it is used: whether each connection to it is one of its own,
//! what time it is there, and whether it takes writes.

use std::time::Duration;

use sqlx::{AnyConnection, Connection, Executor, Row};
use tokio::time::timeout;
use tracing::warn;

use super::open_error::OpenError;
use super::url::DatabaseUrl;
use super::{connect, within};
use crate::clock::{ClockDifference, SystemClock};

/// How many times two connections are compared. A pooler that shares one connection to the server between
/// them gives it away at the first time, if no other client comes in between.
const COMPARISONS: usize = 3;

/// How long the server may take to say who answers. A pooler lets a client in at once and has it wait for
/// a free connection to the server, for two minutes and more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a second connection may take. A service needs more than one.
const SECOND_CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks which process of which server answers, what time it is there, in milliseconds since 1970, and whether it
/// takes writes.
const ASK: &str = "
    SELECT pg_backend_pid() || '@' || pg_postmaster_start_time() AS process,
           (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS time,
           current_setting('transaction_read_only') = 'on' AS is_read_only";

/// What to do where a second connection cannot be had.
pub const ENOUGH_CONNECTIONS: &str = "let each process of bienvenue have 12, in max_connections of PostgreSQL or in \
     the pool of a pooler";

/// What to do where clocks differ.
pub const RIGHT_CLOCKS: &str = "set the clocks of both machines by NTP: sessions, reset tokens and rate limits are \
     measured by the clock of the process that looks at them";

/// What to do where nothing can be written.
pub const TAKES_WRITES: &str = "give the URL of the primary server, not of a standby, and check \
     default_transaction_read_only";

/// Where the connections of a client lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Each to a process of the server that is its own, as far as can be told.
    Own,
    /// To processes that they share: a pooler gives each transaction or each statement another one.
    Shared,
    /// There was no second connection to compare with within two seconds.
    Unknown,
}

/// What is found by asking.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// Where connections lead.
    pub sharing: Sharing,
    /// By how much the server's clock differs.
    pub clock: ClockDifference,
    /// Whether nothing can be written, as on a standby.
    pub is_read_only: bool,
}

/// What is said on one connection.
struct Answer {
    process: String,
    clock: ClockDifference,
    is_read_only: bool,
}

impl Answers {
    /// Warns of what lets a service run worse than it could.
    pub fn warn(self, url: &DatabaseUrl) {
        if self.sharing == Sharing::Unknown {
            warn!(
                database = %url,
                "a second connection to the database could not be had within {} s: {ENOUGH_CONNECTIONS}",
                SECOND_CONNECTION_TIMEOUT.as_secs()
            );
        }
        if self.clock.is_large() {
            warn!(database = %url, "{}: {RIGHT_CLOCKS}", self.clock);
        }
        if self.is_read_only {
            warn!(database = %url, "the database takes no writes: {TAKES_WRITES}");
        }
    }
}

/// Refuses a server behind a pooler that shares connections: settings and prepared statements of one
/// client would be on the connections of others.
pub async fn refuse_shared(
    url: &DatabaseUrl,
    connection: &mut AnyConnection,
) -> Result<Answers, OpenError> {
    let answers = ask(url, connection).await;
    let answers = answers.map_err(|error| OpenError::connect(url, error))?;
    match answers.sharing {
        Sharing::Shared => Err(OpenError::Pooled(url.clone())),
        Sharing::Own | Sharing::Unknown => Ok(answers),
    }
}

/// Compares this connection with a second one. By statements that nothing prepares, since what is
/// prepared on a shared connection is met by another client.
pub async fn ask(url: &DatabaseUrl, first: &mut AnyConnection) -> sqlx::Result<Answers> {
    let Answer {
        process,
        clock,
        is_read_only,
    } = within(ANSWER_TIMEOUT, ask_one(first)).await?;
    let answers = |sharing| Answers {
        sharing,
        clock,
        is_read_only,
    };
    let second = timeout(SECOND_CONNECTION_TIMEOUT, ask_a_second(url));
    // It may be one too many for the server, which the service will be told of when it needs it.
    let Ok(Ok((mut second, other))) = second.await else {
        return Ok(answers(Sharing::Unknown));
    };
    let mut is_shared = process == other;
    for _ in 1..COMPARISONS {
        if is_shared {
            break;
        }
        let again = within(ANSWER_TIMEOUT, ask_one(first)).await?;
        let other_again = within(ANSWER_TIMEOUT, ask_one(&mut second)).await?;
        is_shared = again.process != process || other_again.process != other;
    }
    let _ = second.close().await;
    Ok(answers(if is_shared {
        Sharing::Shared
    } else {
        Sharing::Own
    }))
}

async fn ask_a_second(url: &DatabaseUrl) -> sqlx::Result<(AnyConnection, String)> {
    let mut second = connect(&url.to_connect_url()).await?;
    let answer = ask_one(&mut second).await?;
    Ok((second, answer.process))
}

async fn ask_one(connection: &mut AnyConnection) -> sqlx::Result<Answer> {
    let before = SystemClock.since_epoch();
    let row = connection.fetch_one(ASK).await?;
    let after = SystemClock.since_epoch();
    let time: i64 = row.try_get("time")?;
    let time = Duration::from_millis(u64::try_from(time).unwrap_or_default());
    Ok(Answer {
        process: row.try_get("process")?,
        clock: ClockDifference::between(before, time, after),
        is_read_only: row.try_get("is_read_only")?,
    })
}
