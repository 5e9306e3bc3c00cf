//! Remembers sessions as long as it is proved that they are in the database as they were read, so that
//! most session checks need no query.
//!
//! # Why a remembered session is what the database would answer
//!
//! An SQLite database with a write-ahead log is, to a reader who begins now, what the header in the index
//! of the log says (<https://www.sqlite.org/walformat.html>, 2.1): every commit, of any connection of any
//! process, writes another header before it is acknowledged. No header comes twice, since it counts the
//! commits. So what was read under a header is still there as long as the same header stands:
//!
//! 1. A look-up reads the header, *then* asks the database, and its answer is remembered under that
//!    header, if that is still what the cache stands at ([`SessionCache::begin_look_up`],
//!    [`SessionCache::remember`]). If a commit came in between, the answer may be newer than the
//!    header, which then does not stand any more, and never will again.
//! 2. A check reads the header and takes what is remembered only if the cache stands at this very
//!    header ([`SessionCache::find`]). Any other header, and one that is just being written, leads to
//!    the database.
//! 3. If the header is another, somebody has committed. The next look-up empties the cache and lets it
//!    stand at the header that is there now. It reads that one under the lock, so that the cache never
//!    goes back to an earlier one, under which a slow look-up could remember what has passed.
//!
//! With that alone each of our own commits would empty the cache too. They are followed instead:
//!
//! 4. All writes of this process go through one connection, and each says which sessions it touches
//!    ([`Touched`]). After a write ([`WriteInProgress::finish`]) the header is read, and then SQLite is
//!    asked for the connection's `data_version`, which changes if and only if another connection has
//!    committed (<https://www.sqlite.org/pragma.html#pragma_data_version>). If it is what it was after
//!    the write before, then all commits between the two were ours: what they touched is forgotten, and
//!    the cache stands at the header just read. It stood at none from before: the write before set it,
//!    or a look-up between the two, for while a write is under way a look-up sets none.
//! 5. Any doubt empties the cache: another connection has committed, the header cannot be read, or the
//!    write was the first on its connection. After a write that failed or was cut off the connection is
//!    closed, so the next one is the first on another. Each of these may also have brought triggers,
//!    by which a write touches more than it says: while there are any, no write is followed.
//!
//! Only sessions that exist are remembered, so a new one touches none. Times are judged at each check.
//!
//! A session at an app is remembered as a link to its session, and is worth nothing without that: what ends
//! the session, by whose foreign key the link goes too, makes it forgotten. What ends links alone says so
//! ([`Touched::AppSessionsOf`]). Both are found under one header.
//!
//! The index stays the file that was opened: [`FileWatch`](crate::db::engine::file_watch::FileWatch)
//! keeps a connection open, so that SQLite does not remove it. If somebody else does, SQLite goes on with
//! the removed file like us, until the watch sees it and no request is answered from the database.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem::take;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sqlx::{AnyConnection, Row};

use crate::clock::UnixTime;
use crate::db::engine::wal_index::{WalIndex, WalIndexHeader};
use crate::protected_app::AppHost;
use crate::token::{AppSessionDigest, SessionDigest};
use crate::user::{GroupList, UserId};

use super::found::{FoundSession, SessionKey, StoredSession};

/// How many sessions are remembered at most, in two generations of this many: as many as a table of 16,384
/// places holds. With their addresses they take 6 MB at most; with groups, each list of them takes its length
/// besides. As many sessions at apps take 4 MB more, where there are apps.
const MAX_IN_GENERATION: usize = 14_336;

/// Sessions of users with longer addresses are not remembered, in bytes, nor with longer lists of groups.
/// Bounds what a session takes.
const MAX_ADDRESS_BYTES: usize = 64;
const MAX_GROUPS_BYTES: usize = 256;

/// The sessions whose rows, or the rows of whose users or their groups, a write adds, changes or deletes.
#[derive(Clone, Copy, Debug)]
pub enum Touched {
    /// None, or only new ones.
    None,
    /// This one.
    Session(SessionDigest),
    /// Those of this user.
    SessionsOf(UserId),
    /// Those last seen at this moment or before.
    SessionsSeenUntil(UnixTime),
    /// None, but sessions at apps that are of this one.
    AppSessionsOf(SessionDigest),
}

/// Whether a write to any table can change what is remembered by more than its own statements. Foreign keys of
/// our own do so only when a user or a session is deleted.
const HAS_SIDE_EFFECTS: &str = "
    SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger')
        OR EXISTS (SELECT 1 FROM pragma_foreign_key_list('users'))
        OR EXISTS (SELECT 1 FROM pragma_foreign_key_list('sessions') WHERE \"table\" <> 'users')
        OR EXISTS (SELECT 1 FROM pragma_foreign_key_list('user_groups') WHERE \"table\" <> 'users')
        OR EXISTS (SELECT 1 FROM pragma_foreign_key_list('app_sessions') WHERE \"table\" <> 'sessions')";

/// The sessions that are remembered.
pub struct SessionCache {
    wal_index: WalIndex,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The header under which the sessions are in the database as they are here; `None` if nothing can be
    /// remembered.
    header: Option<WalIndexHeader>,
    sessions: Generations<SessionDigest, StoredSession>,
    /// Sessions at apps.
    links: Generations<AppSessionDigest, Link>,
    /// Whether a write of ours is under way, which may have committed already.
    is_writing: bool,
    /// The `data_version` after the last write; `None` if there was none on the connection that is written
    /// on, or if it had side effects.
    last_data_version: Option<i64>,
    /// Whether a commit was seen to change the header. Until then none is relied upon.
    is_proved: bool,
    is_closed: bool,
}

impl SessionCache {
    /// A cache that stands at nothing yet.
    pub fn new(wal_index: WalIndex) -> Self {
        Self {
            wal_index,
            state: Mutex::default(),
        }
    }

    /// A session that is in the database like this at this moment; `None` if the database must be asked.
    pub fn find(&self, key: &SessionKey) -> Option<FoundSession> {
        let header = self.wal_index.header()?;
        let mut state = self.state();
        if state.header == Some(header) {
            state.find(key)
        } else {
            None
        }
    }

    /// Call this before a query for sessions, and give what it returns to [`remember`](Self::remember).
    pub fn begin_look_up(&self) -> Option<WalIndexHeader> {
        let mut state = self.state();
        let header = self.wal_index.header()?;
        // A write of ours that is under way may have committed, and tells when it is finished.
        let is_usable = state.is_proved && !state.is_writing && !state.is_closed;
        if state.header != Some(header) && is_usable {
            state.stand_at(Some(header));
        }
        Some(header)
    }

    /// Remembers sessions that a query found, before which the header was this one.
    pub fn remember(
        &self,
        header: Option<WalIndexHeader>,
        sessions: impl Iterator<Item = (SessionKey, FoundSession)>,
    ) {
        let mut state = self.state();
        if header.is_some() && state.header == header {
            for (key, found) in sessions {
                state.insert(key, found);
            }
        }
    }

    /// Notes that writes go through a new connection, which tells nothing of those before it.
    pub fn connection_changed(&self) {
        self.state().last_data_version = None;
    }

    /// Call this before each write, on the only connection that there is to write on, and
    /// [`finish`](WriteInProgress::finish) what it returns once the write has succeeded.
    pub fn begin_write(&self) -> WriteInProgress<'_> {
        self.state().is_writing = true;
        WriteInProgress {
            cache: self,
            header_before: self.wal_index.header(),
        }
    }

    /// Forgets everything for good.
    pub fn close(&self) {
        let mut state = self.state();
        state.stand_at(None);
        state.is_closed = true;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What is remembered under the header of this moment.
    fn find(&mut self, key: &SessionKey) -> Option<FoundSession> {
        let (digest, needs_groups, app) = match key {
            SessionKey::Plain(digest) => (*digest, false, None),
            SessionKey::WithGroups(digest) => (*digest, true, None),
            SessionKey::App(digest) => {
                let link = self.links.get(digest)?;
                (link.session, true, Some(link.app))
            }
        };
        let session = self.sessions.get(&digest)?;
        let has_all = session.groups.is_some() || !needs_groups;
        has_all.then_some(FoundSession {
            digest,
            session,
            app,
        })
    }

    fn insert(&mut self, key: SessionKey, found: FoundSession) {
        let FoundSession {
            digest,
            session,
            app,
        } = found;
        let groups = session.groups.as_ref().map_or("", GroupList::as_str);
        if session.user.email.as_str().len() > MAX_ADDRESS_BYTES || groups.len() > MAX_GROUPS_BYTES
        {
            return;
        }
        self.sessions.insert(digest, session);
        if let (SessionKey::App(key), Some(app)) = (key, app) {
            let session = digest;
            self.links.insert(key, Link { session, app });
        }
    }

    fn forget(&mut self, touched: Touched) {
        match touched {
            Touched::None => {}
            Touched::Session(digest) => self.sessions.remove(&digest),
            Touched::SessionsOf(user) => self.sessions.retain(|session| session.user.id != user),
            Touched::SessionsSeenUntil(time) => {
                self.sessions
                    .retain(|session| session.user.last_seen_at > time);
            }
            Touched::AppSessionsOf(digest) => self.links.retain(|link| link.session != digest),
        }
    }

    /// Forgets everything, and stands at this header from now on.
    fn stand_at(&mut self, header: Option<WalIndexHeader>) {
        self.sessions = Generations::default();
        self.links = Generations::default();
        self.header = header;
    }
}

/// A write that is under way until this is dropped.
pub struct WriteInProgress<'a> {
    cache: &'a SessionCache,
    header_before: Option<WalIndexHeader>,
}

impl WriteInProgress<'_> {
    /// Follows the commits of the write, if nobody else has committed since the one before.
    ///
    /// # Errors
    ///
    /// Then the connection must not be used any more.
    pub async fn finish(
        self,
        connection: &mut AnyConnection,
        touched: Touched,
    ) -> sqlx::Result<()> {
        // In this order: a commit that comes after the header is not in what the version is asked of.
        let header = self.cache.wal_index.header();
        let data_version = number_by(connection, "PRAGMA data_version").await?;
        let are_all_ours = self.cache.state().last_data_version == Some(data_version);
        // No write of ours changes that.
        let has_side_effects = !are_all_ours && number_by(connection, HAS_SIDE_EFFECTS).await? != 0;

        let mut state = self.cache.state();
        state.is_proved |= header.is_some() && header != self.header_before;
        if are_all_ours && header.is_some() {
            state.forget(touched);
            state.header = header;
        } else {
            state.stand_at(None);
        }
        state.last_data_version = (!has_side_effects).then_some(data_version);
        Ok(())
    }
}

async fn number_by(connection: &mut AnyConnection, question: &'static str) -> sqlx::Result<i64> {
    let row = sqlx::query(question).fetch_one(connection).await?;
    row.try_get(0)
}

impl Drop for WriteInProgress<'_> {
    fn drop(&mut self) {
        self.cache.state().is_writing = false;
    }
}

/// Which session a session at an app is of.
#[derive(Clone)]
struct Link {
    session: SessionDigest,
    /// The host of the app.
    app: AppHost,
}

/// What is remembered in the order of its last use, roughly: what was not used while a whole generation came up
/// is forgotten.
struct Generations<Key, Value> {
    young: HashMap<Key, Value>,
    old: HashMap<Key, Value>,
}

impl<Key, Value> Default for Generations<Key, Value> {
    fn default() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }
}

impl<Key: Copy + Eq + Hash, Value: Clone> Generations<Key, Value> {
    fn get(&mut self, key: &Key) -> Option<Value> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(*key, value.clone());
        Some(value)
    }

    fn insert(&mut self, key: Key, value: Value) {
        if self.young.len() >= MAX_IN_GENERATION {
            self.old = take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &Key) {
        self.young.remove(key);
        self.old.remove(key);
    }

    fn retain(&mut self, is_kept: impl Fn(&Value) -> bool) {
        self.young.retain(|_, value| is_kept(value));
        self.old.retain(|_, value| is_kept(value));
    }
}

#[cfg(test)]
mod tests;
