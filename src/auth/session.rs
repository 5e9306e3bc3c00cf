//! Sessions: whose they are, and how they begin and end.

use std::time::Duration;

use super::Auth;
use super::audit::Event;
use super::error::{Error, Result};
use super::writes::{briefly, uninterrupted};
use crate::client::ClientName;
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::db::{Found, FoundSession, NewSession, Period, SessionCutoffs, SessionKey};
use crate::protected_app::AppHost;
use crate::source::Source;
use crate::token::SessionId;
use crate::user::{SessionUser, User};

/// The most sessions that one user can have; the oldest goes when another begins.
pub const MAX_SESSIONS_PER_USER: u32 = 50;

/// Use of a session is written down at most this often, so that reading a profile is rarely a
/// write. A session may therefore end this much before its idle timeout.
const LAST_SEEN_RESOLUTION: Duration = Duration::from_mins(5);

impl Auth {
    /// Begins a session for a user who has just proved who they are. Their other sessions go on;
    /// one that it replaces, of whomever, ends (OWASP ASVS 7.2.4).
    ///
    /// If the password was changed since the user was read, the session is void from the start.
    ///
    /// # Errors
    ///
    /// [`Error::BadCredentials`] if the user is gone.
    pub async fn create_session(
        &self,
        user: &User,
        replaced: Option<SessionId>,
        client: Option<ClientName>,
        source: Source,
    ) -> Result<SessionId> {
        let session_id = SessionId::new(&*self.tokens);
        let session = self.new_session(user, &session_id, client, source);
        let (auth, user) = (self.clone(), user.id);
        uninterrupted(async move {
            if !auth.db.sessions.add(session).await? {
                return Err(Error::BadCredentials);
            }
            auth.audit.log(Event::Login, source, Some(user));
            if let Some(replaced) = replaced {
                match auth.destroy_session(&replaced, source).await {
                    Ok(()) | Err(Error::NoSession) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(session_id)
        })
        .await
    }

    /// A session that begins now.
    pub(super) fn new_session(
        &self,
        user: &User,
        session_id: &SessionId,
        client: Option<ClientName>,
        source: Source,
    ) -> NewSession {
        NewSession {
            digest: session_id.digest(),
            user: user.id,
            password_version: user.password_version,
            client,
            source,
            now: self.clock.now(),
            max_sessions: MAX_SESSIONS_PER_USER,
        }
    }

    /// Finds the user whose session this is, and notes that it is in use.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub async fn get_user_from_session_id(&self, session_id: &SessionId) -> Result<SessionUser> {
        let key = SessionKey::Plain(session_id.digest());
        Ok(self.use_session(key, None).await?.session.user)
    }

    /// Finds a session that is valid, and notes that it is in use. With a host it is one at the app there.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`].
    pub(super) async fn use_session(
        &self,
        key: SessionKey,
        app: Option<&AppHost>,
    ) -> Result<FoundSession> {
        let now = self.clock.now();
        let found = self.find_session(key, self.session_cutoffs(now)).await?;
        let (found, Found::Valid(())) = found else {
            return Err(Error::NoSession);
        };
        if found.app.as_ref() != app {
            return Err(Error::NoSession);
        }
        let last_seen_at = found.session.user.last_seen_at;
        let stale = now.before(LAST_SEEN_RESOLUTION.min(self.lifetimes.session_idle / 4));
        let latest = now.after(CLOCK_TOLERANCE);
        if last_seen_at <= stale || last_seen_at > latest {
            let touch = self.db.sessions.touch(found.digest, now, latest);
            // In a box, as below: what few checks need takes no room in the future of every one.
            Box::pin(briefly("note that a session is in use", touch)).await;
        }
        Ok(found)
    }

    /// Finds a session, and what it is worth. An expired one is deleted, so that it stays refused if the
    /// clock is turned back.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it is not there.
    async fn find_session(
        &self,
        key: SessionKey,
        cutoffs: SessionCutoffs,
    ) -> Result<(FoundSession, Found<()>)> {
        let found = self.db.sessions.find(key).await?.ok_or(Error::NoSession)?;
        let worth = found.session.judge(cutoffs);
        if let Found::Expired = worth {
            let (db, digest) = (self.db.clone(), found.digest);
            let delete = async move { db.sessions.delete_expired(digest, cutoffs).await };
            let delete = briefly("delete an expired session", uninterrupted(delete));
            Box::pin(delete).await;
        }
        Ok((found, worth))
    }

    /// Ends a session, be it valid or void: who logs out after a change of the password has no less
    /// logged out.
    ///
    /// # Errors
    ///
    /// [`Error::NoSession`] if it was logged out before, expired or never was.
    pub async fn destroy_session(&self, session_id: &SessionId, source: Source) -> Result<()> {
        let digest = session_id.digest();
        let cutoffs = self.session_cutoffs(self.clock.now());
        // Looked at first only to know who it is; what decides is the deletion.
        let found = self
            .find_session(SessionKey::Plain(digest), cutoffs)
            .await?;
        let (found, Found::Valid(()) | Found::Void(())) = found else {
            return Err(Error::NoSession);
        };
        let (auth, user) = (self.clone(), found.session.user.id);
        uninterrupted(async move {
            if !auth.db.sessions.delete(digest, cutoffs).await? {
                return Err(Error::NoSession);
            }
            auth.audit.log(Event::Logout, source, Some(user));
            Ok(())
        })
        .await
    }

    pub(super) fn session_cutoffs(&self, now: UnixTime) -> SessionCutoffs {
        SessionCutoffs {
            last_seen_after: now.before(self.lifetimes.session_idle),
            created: Period::of_valid(now, self.lifetimes.session),
        }
    }
}
