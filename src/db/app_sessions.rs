//! Tickets, which hand users over to apps on other hosts, and the sessions there that they begin. Whose an app
//! session is, is looked up with all sessions, in `sessions::look_up`.

use sqlx::{AnyConnection, Connection, Row};

use super::connection::Connections;
use super::error::Result;
use super::row::not_understood;
use super::sessions::acting::ActingSession;
use super::sessions::cache::Touched;
use super::statement::statements;
use crate::clock::UnixTime;
use crate::protected_app::AppHost;
use crate::token::{AppLoginState, AppSessionDigest, SessionDigest, TicketDigest};
use crate::user::UserId;

statements! {
    /// `$1` session; those issued after `$2`, used or not.
    COUNT_TICKETS = "
        SELECT count(*) AS tickets FROM tickets WHERE session_digest = $1 AND created_at > $2";

    /// `$1` digest, `$2` session, `$3` app, `$4` state, `$5` path to go on to, `$6` now.
    ADD_TICKET = "
        INSERT INTO tickets (digest, session_digest, app, state, next, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";

    /// `$1` digest. Finds a used and an expired one too.
    FIND_TICKET = "
        SELECT t.session_digest, s.user_id, t.app, t.state, t.next, t.created_at, t.used_at
        FROM tickets AS t
        JOIN sessions AS s ON s.digest = t.session_digest
        WHERE t.digest = $1";

    /// `$1` digest, `$2` now. Decides a race for one ticket: the database lets only one request use it.
    USE_UP = "
        UPDATE tickets SET used_at = $2 WHERE digest = $1 AND used_at IS NULL";

    /// `$1` digest, `$2` session, `$3` app, `$4` now.
    ADD = "
        INSERT INTO app_sessions (digest, session_digest, app, created_at) VALUES ($1, $2, $3, $4)";

    /// Of session `$1`, ends the app sessions besides the newest `$3` and the one that has just begun, `$2`.
    DELETE_OLDEST = "
        DELETE FROM app_sessions
        WHERE session_digest = $1 AND digest <> $2 AND digest NOT IN (
            SELECT digest FROM app_sessions WHERE session_digest = $1
            ORDER BY created_at DESC LIMIT $3)";

    /// At most `$2` tickets issued at `$1` or before.
    PURGE_TICKETS = "
        DELETE FROM tickets WHERE created_at <= $1 AND digest IN (
            SELECT digest FROM tickets WHERE created_at <= $1 LIMIT $2)";
}

/// A ticket to be issued.
#[derive(Clone, Debug)]
pub struct NewTicket {
    /// What is stored of it.
    pub digest: TicketDigest,
    /// The host of the app.
    pub app: AppHost,
    /// Which browser it is for.
    pub state: AppLoginState,
    /// The path of the app that the browser goes on to.
    pub next: String,
    /// The present moment.
    pub now: UnixTime,
    /// Tickets of the session that were issued after this count.
    pub counted_after: UnixTime,
    /// How many of those there may be.
    pub max_tickets: u32,
}

/// How issuing a ticket ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TicketOutcome {
    /// It can be used.
    Issued,
    /// The session is not valid. Nothing was changed.
    NoSession,
    /// There are as many as there may be. Nothing was changed.
    TooMany,
}

/// A ticket that was issued.
#[derive(Clone, Debug)]
pub struct StoredTicket {
    /// The session that it is of.
    pub session: SessionDigest,
    /// The user of that session.
    pub user: UserId,
    /// The host of the app.
    pub app: AppHost,
    /// Which browser it is for.
    pub state: AppLoginState,
    /// The path of the app that the browser goes on to.
    pub next: String,
    /// When it was issued.
    pub created_at: UnixTime,
    /// Whether it was used.
    pub is_used: bool,
}

/// An app session to begin.
#[derive(Clone, Debug)]
pub struct NewAppSession {
    /// What is stored of its id.
    pub digest: AppSessionDigest,
    /// The session that it is of, which must be valid.
    pub acting: ActingSession,
    /// The host of the app.
    pub app: AppHost,
    /// When it begins.
    pub now: UnixTime,
    /// How many there may be of one session, of all apps together.
    pub max_app_sessions: u32,
}

/// The tables of tickets and app sessions.
#[derive(Clone)]
pub struct AppSessions {
    connections: Connections,
}

impl AppSessions {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Issues a ticket of this session, if that is valid and has not too many.
    pub async fn issue(&self, acting: ActingSession, ticket: &NewTicket) -> Result<TicketOutcome> {
        let issue = async |connection: &mut AnyConnection| issue(connection, acting, ticket).await;
        self.connections.write(Touched::None, issue).await
    }

    /// Finds a ticket, valid or not. Changes nothing, so that strangers who try any can change nothing.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a ticket.
    pub async fn find_ticket(&self, digest: TicketDigest) -> Result<Option<StoredTicket>> {
        let find = sqlx::query(FIND_TICKET).bind(digest.as_bytes());
        let Some(row) = self.connections.fetch_optional(find).await? else {
            return Ok(None);
        };
        let session = SessionDigest::from_bytes(row.try_get("session_digest")?);
        let state = AppLoginState::from_bytes(row.try_get("state")?);
        Ok(Some(StoredTicket {
            session: session.ok_or_else(|| not_understood("session_digest"))?,
            user: UserId(row.try_get("user_id")?),
            app: AppHost::from_stored(row.try_get("app")?).ok_or_else(|| not_understood("app"))?,
            state: state.ok_or_else(|| not_understood("state"))?,
            next: row.try_get("next")?,
            created_at: UnixTime(row.try_get("created_at")?),
            is_used: row.try_get::<Option<i64>, _>("used_at")?.is_some(),
        }))
    }

    /// Uses a ticket up, and begins an app session, if one is given for it. False if the ticket was used
    /// before, or the session is not valid: then none begins.
    pub async fn use_up(
        &self,
        ticket: TicketDigest,
        now: UnixTime,
        begun: Option<&NewAppSession>,
    ) -> Result<bool> {
        let touched = begun.map_or(Touched::None, |begun| {
            Touched::AppSessionsOf(begun.acting.digest)
        });
        let work =
            async |connection: &mut AnyConnection| use_up(connection, ticket, now, begun).await;
        self.connections.write(touched, work).await
    }

    /// Deletes the tickets issued at this moment or earlier, a few at a time. Returns how many.
    ///
    /// App sessions go with their sessions.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge_tickets(&self, issued_before: UnixTime) -> Result<u64> {
        self.connections
            .purge(Touched::None, PURGE_TICKETS, [issued_before.0])
            .await
    }
}

async fn issue(
    connection: &mut AnyConnection,
    acting: ActingSession,
    ticket: &NewTicket,
) -> sqlx::Result<TicketOutcome> {
    let mut transaction = connection.begin().await?;
    // Tickets of one session are issued one after the other, so that the count is right.
    if !acting.hold(&mut transaction).await? {
        transaction.rollback().await?;
        return Ok(TicketOutcome::NoSession);
    }
    let count = sqlx::query(COUNT_TICKETS)
        .bind(acting.digest.as_bytes().to_vec())
        .bind(ticket.counted_after.0);
    let tickets: i64 = count
        .fetch_one(&mut *transaction)
        .await?
        .try_get("tickets")?;
    if tickets >= i64::from(ticket.max_tickets) {
        transaction.rollback().await?;
        return Ok(TicketOutcome::TooMany);
    }
    let add = sqlx::query(ADD_TICKET)
        .bind(ticket.digest.as_bytes().to_vec())
        .bind(acting.digest.as_bytes().to_vec())
        .bind(ticket.app.as_str())
        .bind(ticket.state.as_bytes().to_vec())
        .bind(ticket.next.as_str())
        .bind(ticket.now.0);
    add.execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(TicketOutcome::Issued)
}

async fn use_up(
    connection: &mut AnyConnection,
    ticket: TicketDigest,
    now: UnixTime,
    begun: Option<&NewAppSession>,
) -> sqlx::Result<bool> {
    let mut transaction = connection.begin().await?;
    // First: who ends the session locks the rows in this order too.
    if let Some(begun) = begun
        && !begun.acting.hold(&mut transaction).await?
    {
        transaction.rollback().await?;
        return Ok(false);
    }
    let use_up = sqlx::query(USE_UP)
        .bind(ticket.as_bytes().to_vec())
        .bind(now.0);
    if use_up.execute(&mut *transaction).await?.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    if let Some(begun) = begun {
        add(&mut transaction, begun).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// Adds an app session, and ends the oldest ones of its session beyond the most that there may be.
async fn add(connection: &mut AnyConnection, begun: &NewAppSession) -> sqlx::Result<()> {
    let (digest, session) = (begun.digest, begun.acting.digest);
    let add = sqlx::query(ADD)
        .bind(digest.as_bytes().to_vec())
        .bind(session.as_bytes().to_vec())
        .bind(begun.app.as_str())
        .bind(begun.now.0);
    add.execute(&mut *connection).await?;
    let delete = sqlx::query(DELETE_OLDEST)
        .bind(session.as_bytes().to_vec())
        .bind(digest.as_bytes().to_vec())
        .bind(i64::from(begun.max_app_sessions));
    delete.execute(connection).await?;
    Ok(())
}
