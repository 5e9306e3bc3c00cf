//! The sessions of one user, and those of all for an administrator.

use sqlx::{AnyConnection, Connection, Row};

use super::acting::{ActingSession, is_session_valid};
use super::cache::Touched;
use super::{PURGE, Sessions};
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::statement::statements;
use crate::source::Source;
use crate::token::SessionDigest;
use crate::user::UserId;

statements! {
    /// `$1` user. Not the void ones.
    FIND_OF_USER = "
        SELECT s.digest, s.created_at, s.last_seen_at, s.client, s.source FROM sessions AS s
        JOIN users AS u ON u.id = s.user_id AND u.password_version = s.password_version
        WHERE s.user_id = $1
        ORDER BY s.created_at";

    /// `$1` user. Not the void ones, which are no sessions any more.
    DELETE_OF_USER = "
        DELETE FROM sessions
        WHERE user_id = $1
          AND password_version = (SELECT password_version FROM users WHERE id = $1)";

    /// `$5` digest of a session to end, by the session `$1` of the same user.
    END = concat!("
        DELETE FROM sessions WHERE digest = $5 AND user_id = $2 AND ", is_session_valid!());

    /// Ends all sessions of a user but the session `$1`, by which it is asked for. Not the void ones.
    END_OTHERS = concat!("
        DELETE FROM sessions
        WHERE user_id = $2 AND digest <> $1
          AND password_version = (SELECT password_version FROM users WHERE id = $2)
          AND ", is_session_valid!());
}

/// A session as those see it who may know of it.
#[derive(Clone, Debug)]
pub struct SessionOfUser {
    /// The session.
    pub digest: SessionDigest,
    /// When it began.
    pub created_at: UnixTime,
    /// When it was last noted to be in use.
    pub last_seen_at: UnixTime,
    /// What began it; `None` if that is not known.
    pub client: Option<ClientName>,
    /// From where it was begun; `None` if that is not known.
    pub source: Option<Source>,
}

impl Sessions {
    /// The sessions of a user that no change of the password has ended, the oldest first. Expired ones
    /// are among them until they are purged.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<SessionOfUser>> {
        let find = sqlx::query(FIND_OF_USER).bind(user.0);
        let rows = self.connections.fetch_all(find).await?;
        let sessions = rows.iter().filter_map(|row| {
            let digest = match row.try_get("digest") {
                // No other length is let in.
                Ok(bytes) => SessionDigest::from_bytes(bytes)?,
                Err(error) => return Some(Err(error)),
            };
            Some(session_in(row, digest))
        });
        Ok(sessions.collect::<sqlx::Result<_>>()?)
    }

    /// Ends the sessions of a user. Returns how many there were.
    pub async fn delete_of_user(&self, user: UserId) -> Result<u64> {
        let delete = async |connection: &mut AnyConnection| {
            let delete = sqlx::query(DELETE_OF_USER).bind(user.0);
            Ok(delete.execute(connection).await?.rows_affected())
        };
        let touched = Touched::SessionsOf(user);
        self.connections.write(touched, delete).await
    }

    /// Ends one session of a user by another, or by itself. Returns how many were ended, none if it has
    /// ended already; `None`, with nothing changed, if the acting session is not valid.
    pub async fn end(&self, acting: ActingSession, ended: SessionDigest) -> Result<Option<u64>> {
        self.end_by(acting, Some(ended)).await
    }

    /// Ends all sessions of a user but the acting one. Returns how many there were; `None`, with nothing
    /// changed, if the acting session is not valid.
    pub async fn end_others(&self, acting: ActingSession) -> Result<Option<u64>> {
        self.end_by(acting, None).await
    }

    /// Ends one session, or with `None` all others.
    async fn end_by(
        &self,
        acting: ActingSession,
        ended: Option<SessionDigest>,
    ) -> Result<Option<u64>> {
        let touched = Touched::SessionsOf(acting.user);
        let work = async |connection: &mut AnyConnection| end(connection, acting, ended).await;
        self.connections.write(touched, work).await
    }

    /// Ends some of the sessions that there are, of whatever user. Returns how many; 0 if there are
    /// none left.
    pub async fn delete_some(&self) -> Result<u64> {
        let all = UnixTime(i64::MAX);
        let touched = Touched::SessionsSeenUntil(all);
        self.connections.purge_some(touched, PURGE, [all.0]).await
    }
}

/// Ends one session, or with `None` all but the acting one, in one transaction. `None` if that is not
/// valid.
async fn end(
    connection: &mut AnyConnection,
    acting: ActingSession,
    ended: Option<SessionDigest>,
) -> sqlx::Result<Option<u64>> {
    let mut transaction = connection.begin().await?;
    if !acting.hold(&mut transaction).await? {
        transaction.rollback().await?;
        return Ok(None);
    }
    let end = match ended {
        Some(digest) => acting.bound(END).bind(digest.as_bytes().to_vec()),
        None => acting.bound(END_OTHERS),
    };
    let sessions = end.execute(&mut *transaction).await?.rows_affected();
    transaction.commit().await?;
    Ok(Some(sessions))
}

fn session_in(row: &sqlx::any::AnyRow, digest: SessionDigest) -> sqlx::Result<SessionOfUser> {
    let client: Option<String> = row.try_get("client")?;
    let source: Option<Vec<u8>> = row.try_get("source")?;
    Ok(SessionOfUser {
        digest,
        created_at: UnixTime(row.try_get("created_at")?),
        last_seen_at: UnixTime(row.try_get("last_seen_at")?),
        client: client.map(ClientName::new),
        source: source.and_then(|bytes| Source::from_bytes(&bytes)),
    })
}
