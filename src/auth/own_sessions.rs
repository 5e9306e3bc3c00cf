//! What a user does by a session of theirs with all of their sessions: seeing and ending them.
//!
//! Ending one, like everything that cannot be undone, takes a *fresh* session: one whose user has proved who
//! they are within [`Lifetimes::fresh_login`](super::Lifetimes) (OWASP ASVS 7.5.2). Logging in again makes
//! one, by the same steps and limits as every login, in place of the session that asks.
//!
//! None of this has a limit of its own. What changes nothing costs no more than a session check or two, and
//! what changes something ends what a login has begun, and logins are limited. A limit would cost a write.

use super::Auth;
use super::error::{Error, Result};
use super::writes::uninterrupted;
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::db::{ActingSession, Found, Period, SessionOfUser};
use crate::source::Source;
use crate::token::{ListedSessionId, SessionDigest, SessionId};
use crate::user::{SessionUser, UserId};

/// A session as its user sees it.
#[derive(Clone, Debug)]
pub struct ListedSession {
    /// By which it can be ended.
    pub id: ListedSessionId,
    /// Whether it is the one that asks.
    pub is_current: bool,
    /// What began it; `None` if that is not known.
    pub client: Option<ClientName>,
    /// From where it was begun; `None` if that is not known.
    pub source: Option<Source>,
    /// When it began.
    pub began_at: UnixTime,
    /// When it was last noted to be in use.
    pub last_seen_at: UnixTime,
}

impl Auth {
    /// The sessions of the user of this one: this one first, then those that were used last.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub async fn list_sessions(&self, session_id: &SessionId) -> Result<Vec<ListedSession>> {
        let user = self.get_user_from_session_id(session_id).await?;
        let current = session_id.digest();
        let sessions = self.db.sessions.of_user(user.id).await?;
        let mut sessions: Vec<ListedSession> = self
            .valid(sessions, session_id)?
            .into_iter()
            .map(|session| ListedSession {
                id: session.digest.listed_id(),
                is_current: session.digest == current,
                client: session.client,
                source: session.source,
                began_at: session.created_at,
                last_seen_at: session.last_seen_at,
            })
            .collect();
        sessions.sort_by_key(|session| (!session.is_current, -session.last_seen_at.0));
        Ok(sessions)
    }

    /// The user of this session, who has proved lately who they are.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotFresh`].
    pub async fn get_fresh_user(&self, session_id: &SessionId) -> Result<SessionUser> {
        let user = self.get_user_from_session_id(session_id).await?;
        if self.is_fresh(&user) {
            Ok(user)
        } else {
            Err(Error::NotFresh)
        }
    }

    /// Whether the user of a session has proved lately who they are.
    pub fn is_fresh(&self, user: &SessionUser) -> bool {
        // At its end it is over, as a session is at the end of its lifetime.
        user.began_at > self.fresh_since().after
    }

    /// Ends a session of the user of this one, which must be fresh. Returns whether it was this one. The id is
    /// `None` if what was given is not one, and so is no session's.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotFresh`]; [`Error::UnknownSession`] if the user has none with this
    /// id.
    pub async fn end_session(
        &self,
        session_id: &SessionId,
        ended: Option<ListedSessionId>,
        source: Source,
    ) -> Result<bool> {
        let user = self.get_fresh_user(session_id).await?;
        let sessions = self.db.sessions.of_user(user.id).await?;
        let sessions = self.valid(sessions, session_id)?;
        let ended = (sessions.iter()).find(|session| Some(session.digest.listed_id()) == ended);
        let ended = ended.ok_or(Error::UnknownSession)?.digest;
        let acting = self.fresh_acting_session(session_id.digest(), user.id);
        let auth = self.clone();
        uninterrupted(async move {
            match auth.db.sessions.end(acting, ended).await? {
                None => Err(Error::NoSession),
                Some(0) => Err(Error::UnknownSession),
                Some(sessions) => {
                    auth.audit.log_sessions_ended(source, user.id, sessions);
                    Ok(ended == acting.digest)
                }
            }
        })
        .await
    }

    /// Ends all sessions of the user of this one but this one, which must be fresh. Returns how many there
    /// were.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`], [`Error::NotFresh`].
    pub async fn end_other_sessions(&self, session_id: &SessionId, source: Source) -> Result<u64> {
        let user = self.get_fresh_user(session_id).await?;
        // Spares a commit where there is nothing to end, so that one session alone cannot cause many.
        let sessions = self.db.sessions.of_user(user.id).await?;
        let count = sessions.len();
        self.valid(sessions, session_id)?;
        if count == 1 {
            return Ok(0);
        }
        let acting = self.fresh_acting_session(session_id.digest(), user.id);
        let auth = self.clone();
        uninterrupted(async move {
            let ended = auth.db.sessions.end_others(acting).await?;
            let sessions = ended.ok_or(Error::NoSession)?;
            if sessions > 0 {
                auth.audit.log_sessions_ended(source, user.id, sessions);
            }
            Ok(sessions)
        })
        .await
    }

    /// The session of a change that takes a valid one.
    pub(super) fn acting_session(&self, digest: SessionDigest, user: UserId) -> ActingSession {
        ActingSession {
            digest,
            user,
            cutoffs: self.session_cutoffs(self.clock.now()),
        }
    }

    /// The session of a change that takes a fresh one.
    pub(super) fn fresh_acting_session(
        &self,
        digest: SessionDigest,
        user: UserId,
    ) -> ActingSession {
        let mut acting = self.acting_session(digest, user);
        acting.cutoffs.created = self.fresh_since();
        acting
    }

    /// When a session must have begun to be fresh now.
    fn fresh_since(&self) -> Period {
        let lifetimes = &self.lifetimes;
        Period::of_valid(
            self.clock.now(),
            lifetimes.fresh_login.min(lifetimes.session),
        )
    }

    /// Those of these sessions that are valid now, the one that asks among them: it may have ended since it
    /// was looked up.
    fn valid(
        &self,
        mut sessions: Vec<SessionOfUser>,
        session_id: &SessionId,
    ) -> Result<Vec<SessionOfUser>> {
        let cutoffs = self.session_cutoffs(self.clock.now());
        sessions.retain(|session| {
            let found = cutoffs.judge(session.last_seen_at, session.created_at, ());
            matches!(found, Found::Valid(()))
        });
        let current = session_id.digest();
        if sessions.iter().any(|session| session.digest == current) {
            Ok(sessions)
        } else {
            Err(Error::NoSession)
        }
    }
}
