//! Finds the users of many sessions by one query.

use std::collections::HashMap;
use std::sync::LazyLock;

use futures_util::TryStreamExt;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};

use super::cache::SessionCache;
use super::found::{FoundSession, SessionKey, StoredSession};
use crate::clock::UnixTime;
use crate::db::batch::{MAX_BATCH, Worker};
use crate::db::connection::{Connections, within_budget};
use crate::db::error::Result;
use crate::db::row::{email_in, not_understood};
use crate::db::statement::Widths;
use crate::protected_app::AppHost;
use crate::token::SessionDigest;
use crate::user::{GroupList, GroupName, SessionUser, UserId};

/// `$1`, … digests. Finds expired and void sessions too.
pub static FIND_USERS: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(1, |digests| {
        format!(
            "SELECT s.digest, u.id, u.email, s.created_at, s.last_seen_at, u.password_version,
                 s.password_version AS begun_under
             FROM sessions AS s
             JOIN users AS u ON u.id = s.user_id
             WHERE s.digest IN ({digests})"
        )
    })
});

/// The same, with a row for each group that the user is in, or one with none.
pub static FIND_USERS_WITH_GROUPS: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(1, |digests| {
        format!(
            "SELECT s.digest, u.id, u.email, s.created_at, s.last_seen_at, u.password_version,
                 s.password_version AS begun_under, g.name AS group_name
             FROM sessions AS s
             JOIN users AS u ON u.id = s.user_id
             LEFT JOIN user_groups AS g ON g.user_id = u.id
             WHERE s.digest IN ({digests})"
        )
    })
});

/// The same by the digests of app sessions.
pub static FIND_APP_USERS: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(1, |digests| {
        format!(
            "SELECT a.digest AS asked, a.app, s.digest, u.id, u.email, s.created_at, s.last_seen_at,
                 u.password_version, s.password_version AS begun_under, g.name AS group_name
             FROM app_sessions AS a
             JOIN sessions AS s ON s.digest = a.session_digest
             JOIN users AS u ON u.id = s.user_id
             LEFT JOIN user_groups AS g ON g.user_id = u.id
             WHERE a.digest IN ({digests})"
        )
    })
});

/// Looks up all sessions that are asked for by one query of each kind, on a connection that it keeps.
pub struct SessionLookUp {
    connections: Connections,
    connection: Option<AnyConnection>,
}

type Answer = Result<Option<FoundSession>>;

impl SessionLookUp {
    pub fn new(connections: Connections) -> Self {
        Self {
            connections,
            connection: None,
        }
    }

    /// What is stored of each of the sessions. Remembers those that exist, if the database can be followed.
    ///
    /// # Errors
    ///
    /// Also if it cannot be told which session a row is of.
    async fn look_up(&mut self, keys: &[SessionKey]) -> Result<Vec<Answer>> {
        let cache = self.connections.session_cache();
        let header = cache.and_then(SessionCache::begin_look_up);
        let mut answers: Vec<Answer> = keys.iter().map(|_| Ok(None)).collect();
        // Mostly all are of one kind.
        for kind in Kind::ALL {
            let numbers = (0..keys.len()).filter(|number| Kind::of(&keys[*number]) == kind);
            let numbers: Vec<usize> = numbers.collect();
            if numbers.is_empty() {
                continue;
            }
            let digests: Vec<&[u8]> = numbers
                .iter()
                .map(|number| keys[*number].as_bytes())
                .collect();
            let connections = self.connections.clone();
            let rows = connections.counted(self.find(kind, &digests)).await?;
            let rows = by_digest(kind, &rows)?;
            for (number, digest) in numbers.into_iter().zip(digests) {
                let rows = rows.get(digest);
                answers[number] = rows
                    .map(|(row, groups)| Ok(found_in(kind, row, groups)?))
                    .transpose();
            }
        }
        if let Some(cache) = self.connections.session_cache() {
            let found = keys.iter().zip(&answers);
            let found =
                found.filter_map(|(key, answer)| Some((*key, answer.as_ref().ok()?.clone()?)));
            cache.remember(header, found);
        }
        Ok(answers)
    }

    /// The rows of the sessions that exist.
    async fn find(&mut self, kind: Kind, digests: &[&[u8]]) -> Result<Vec<AnyRow>> {
        self.connections.ensure_noted_present()?;
        let is_fresh = self.connection.is_none();
        match self.query(kind, digests).await {
            // The connection was kept while the server went away and came back, or another transaction was
            // in the way. A reading may be repeated.
            Err(error) if error.is_conflict() || error.is_temporary() && !is_fresh => {
                self.query(kind, digests).await
            }
            rows => rows,
        }
    }

    /// Runs the query, and lets go of a connection on which it failed.
    async fn query(&mut self, kind: Kind, digests: &[&[u8]]) -> Result<Vec<AnyRow>> {
        let (text, width) = kind.texts().for_keys(digests.len());
        let mut query = sqlx::query(text);
        for number in 0..width {
            query = query.bind(digests[number.min(digests.len() - 1)]);
        }
        let kept = self.connection.take();
        if kept.is_none() {
            self.connections.ensure_same_file()?;
        }
        let (rows, connection) = within_budget(async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connections.detached_reader().await?,
            };
            let mut found = query.fetch(&mut connection);
            let mut rows = Vec::with_capacity(digests.len());
            // Without groups there are no more rows than sessions, and to be told so takes as long as a row.
            while (kind.has_groups() || rows.len() < digests.len())
                && let Some(row) = found.try_next().await?
            {
                rows.push(row);
            }
            drop(found);
            Ok((rows, connection))
        })
        .await?;
        self.connection = Some(connection);
        Ok(rows)
    }
}

/// What is looked up together: what one statement finds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    WithGroups,
    App,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Plain, Self::WithGroups, Self::App];

    fn of(key: &SessionKey) -> Self {
        match key {
            SessionKey::Plain(_) => Self::Plain,
            SessionKey::WithGroups(_) => Self::WithGroups,
            SessionKey::App(_) => Self::App,
        }
    }

    fn texts(self) -> &'static Widths {
        match self {
            Self::Plain => &FIND_USERS,
            Self::WithGroups => &FIND_USERS_WITH_GROUPS,
            Self::App => &FIND_APP_USERS,
        }
    }

    fn has_groups(self) -> bool {
        self != Self::Plain
    }

    /// The column of what was asked for.
    fn asked(self) -> &'static str {
        match self {
            Self::Plain | Self::WithGroups => "digest",
            Self::App => "asked",
        }
    }
}

/// The row of a session, and the groups out of all of its rows.
type Rows<'a> = (&'a AnyRow, Vec<GroupName>);

/// The rows of each session that was asked for: one, and the groups out of all.
fn by_digest(kind: Kind, rows: &[AnyRow]) -> sqlx::Result<HashMap<&[u8], Rows<'_>>> {
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let digest: &[u8] = row.try_get(kind.asked())?;
        let (_, groups) = found.entry(digest).or_insert_with(|| (row, Vec::new()));
        if kind.has_groups() {
            // Another program may have written something that is no name: nobody is in that group.
            let name: Option<&str> = row.try_get("group_name")?;
            groups.extend(name.and_then(|name| name.parse::<GroupName>().ok()));
        }
    }
    Ok(found)
}

/// What the rows of a session say.
fn found_in(kind: Kind, row: &AnyRow, groups: &[GroupName]) -> sqlx::Result<FoundSession> {
    let [version, begun_under]: [i64; 2] = [
        row.try_get("password_version")?,
        row.try_get("begun_under")?,
    ];
    let digest = SessionDigest::from_bytes(row.try_get("digest")?);
    let app = match kind {
        Kind::Plain | Kind::WithGroups => None,
        Kind::App => {
            let app = AppHost::from_stored(row.try_get("app")?);
            Some(app.ok_or_else(|| not_understood("app"))?)
        }
    };
    Ok(FoundSession {
        digest: digest.ok_or_else(|| not_understood("digest"))?,
        session: StoredSession {
            user: SessionUser {
                id: UserId(row.try_get("id")?),
                email: email_in(row)?,
                began_at: UnixTime(row.try_get("created_at")?),
                last_seen_at: UnixTime(row.try_get("last_seen_at")?),
            },
            is_void: begun_under != version,
            groups: kind
                .has_groups()
                .then(|| GroupList::with_everyone(groups.to_vec())),
        },
        app,
    })
}

impl Worker<SessionKey, Answer> for SessionLookUp {
    /// Retries one by one if the batch fails, so that one damaged row fails only its own look-up.
    async fn work(&mut self, keys: &[SessionKey]) -> Vec<Answer> {
        match self.look_up(keys).await {
            Ok(answers) => answers,
            Err(error) if error.is_temporary() || keys.len() == 1 => {
                keys.iter().map(|_| Err(error.clone())).collect()
            }
            Err(_) => {
                let mut answers = Vec::with_capacity(MAX_BATCH);
                for key in keys.chunks(1) {
                    let answer = self.look_up(key).await;
                    answers.push(answer.and_then(|mut answer| answer.remove(0)));
                }
                answers
            }
        }
    }

    async fn finish(self) {
        if let Some(connection) = self.connection {
            // It only reads, so nothing is lost if it does not end well.
            let _ = connection.close().await;
        }
    }
}
