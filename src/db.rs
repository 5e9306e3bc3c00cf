//! The repository: the only room that speaks SQL.
//!
//! The same statements run on SQLite and on PostgreSQL. Uniqueness, single use and expiry are
//! conditions of the statements, so that no two requests, and no two processes, can both be told yes.
//!
//! - `users`, `groups`, `sessions`, `app_sessions`, `reset_tokens`, `sign_ups`, `pending_addresses`,
//!   `past_addresses`, `rate_limits`, `outbox`: each has the statements of its tables, what they are used for,
//!   and the worker that runs many of them at once.
//!   `sessions::cache` remembers sessions; every write says which ones it touches.
//! - `statement`: how statements are written down; `all_statements`: the list of them; `row`, `validity`: what
//!   several tables share.
//! - `backup`: all tables into one file, and back into an empty database.
//! - `batch`: a queue whose worker does what waits together.
//! - `connection`: connections, each used for one piece of work at a time, which is done again if the server
//!   undoes it because of another transaction.
//! - `engine`: in what SQLite and PostgreSQL differ; opening a database, its URL, its file, its migrations.
//!   `schema`: whether it has the one of this program.
//! - `inspection`: what a look at a database finds, which changes nothing.
//! - `flask`: reads the database of the Flask service, to import its users.
//! - `error`: what can go wrong, told apart by what the caller can do about it.

use std::future::pending;
use std::path::Path;
use std::sync::Arc;

use tracing::info;

use crate::metrics::Counters;

mod all_statements;
mod app_sessions;
mod backup;
mod batch;
mod connection;
mod engine;
mod error;
mod flask;
mod groups;
mod inspection;
mod outbox;
mod past_addresses;
mod pending_addresses;
mod rate_limits;
mod reset_tokens;
mod row;
mod schema;
mod sessions;
mod sign_ups;
mod statement;
mod users;
mod validity;

pub use all_statements::statements;
pub use app_sessions::{AppSessions, NewAppSession, NewTicket, StoredTicket, TicketOutcome};
pub use backup::make::NewBackup;
pub use backup::tables::{Kind, TABLES, TABLES_LEFT_OUT, Table};
pub use backup::{BackupError, Counts, Progress};
pub use engine::POSTGRES_SERVING_SETTINGS;
pub use engine::open_error::OpenError;
pub use engine::server::{ENOUGH_CONNECTIONS, RIGHT_CLOCKS, Sharing, TAKES_WRITES};
pub use engine::url::{DatabaseUrl, InvalidDatabaseUrl};
pub use error::{Error, LostDatabase};
pub use flask::{FlaskError, FlaskRow, FlaskUsers, FlaskValue};
pub use groups::{Group, Groups};
pub use inspection::{Contents, Files, Integrity, Server, inspect_files};
pub use outbox::content::MailContent;
pub use outbox::delivery::{ClaimedMail, ClaimedMails, MailClaim, Settlement};
pub use outbox::{
    LoginNotice, MailKind, MailPause, MailRequest, MailRequestOutcome, Outbox, WaitingMails,
};
pub use past_addresses::{PastAddress, PastAddresses, UndoTokenWay};
pub use pending_addresses::{AskedAddress, PendingAddress, PendingAddresses, TokenWay};
pub use rate_limits::{Outcome, Proof, RateLimitCounts, TokenBucket};
pub use reset_tokens::ResetTokens;
pub use sessions::Sessions;
pub use sessions::acting::ActingSession;
pub use sessions::found::{FoundSession, SessionKey, StoredSession};
pub use sessions::insert::NewSession;
pub use sessions::of_user::SessionOfUser;
pub use sign_ups::{SignUp, SignUps};
pub use users::accounts::{AccountFilter, AccountPage};
pub use users::address::{
    AddressChange, AddressChangeOutcome, AddressRequest, AddressRequestOutcome, AddressUndo,
};
pub use users::by_session::{OwnDeletion, OwnDeletionOutcome, OwnPasswordChange};
pub use users::export::FullAccount;
pub use users::import::{ImportedAccounts, NewAccount};
pub use users::sign_up::{SignUpOutcome, SignedUp};
pub use users::{NewUser, PasswordChange, Users};
pub use validity::{Found, Period, SessionCutoffs};

use connection::Connections;
use engine::Engine;
use engine::existing;
use engine::file_watch::FileWatch;
use engine::migrations::{MigrationText, last_of};
use engine::open::{self, Pending, Prepared};
use sessions::cache::SessionCache;

/// Every migration in order: number, name, text. Applied ones are never edited.
const MIGRATIONS: &[MigrationText] = &[
    (
        1,
        "users, sessions, reset tokens",
        include_str!("../migrations/0001_users_sessions_reset_tokens.sql"),
    ),
    (
        2,
        "throttles",
        include_str!("../migrations/0002_throttles.sql"),
    ),
    (3, "outbox", include_str!("../migrations/0003_outbox.sql")),
    (
        4,
        "user ids once",
        include_str!("../migrations/0004_user_ids_once.sql"),
    ),
    (
        5,
        "familiar sources",
        include_str!("../migrations/0005_familiar_sources.sql"),
    ),
    (
        6,
        "outbox in turns",
        include_str!("../migrations/0006_outbox_in_turns.sql"),
    ),
    (
        7,
        "outbox language",
        include_str!("../migrations/0007_outbox_language.sql"),
    ),
    (
        8,
        "locks, groups",
        include_str!("../migrations/0008_locks_groups.sql"),
    ),
    (
        9,
        "sessions listed",
        include_str!("../migrations/0009_sessions_listed.sql"),
    ),
    (
        10,
        "sign-ups",
        include_str!("../migrations/0010_sign_ups.sql"),
    ),
    (
        11,
        "outbox, logins",
        include_str!("../migrations/0011_outbox_logins.sql"),
    ),
    (
        12,
        "addresses",
        include_str!("../migrations/0012_addresses.sql"),
    ),
    (13, "apps", include_str!("../migrations/0013_apps.sql")),
];

/// The database, table by table. Clones share their connections.
#[derive(Clone)]
pub struct Db {
    /// Users.
    pub users: Users,
    /// Which groups users are in.
    pub groups: Groups,
    /// Sessions.
    pub sessions: Sessions,
    /// Tickets, and the sessions at apps that they begin.
    pub app_sessions: AppSessions,
    /// Reset tokens.
    pub reset_tokens: ResetTokens,
    /// Sign-up tokens.
    pub sign_ups: SignUps,
    /// Changes of addresses that are not confirmed yet.
    pub pending_addresses: PendingAddresses,
    /// Addresses that accounts had until lately.
    pub past_addresses: PastAddresses,
    /// What rate limits count.
    pub rate_limits: RateLimitCounts,
    /// Mails to be sent.
    pub outbox: Outbox,
    connections: Connections,
    file_watch: Option<Arc<FileWatch>>,
}

impl Db {
    /// Opens the database, creates the file of an SQLite one that is not there yet, and brings
    /// the schema up to date.
    ///
    /// # Errors
    ///
    /// Says why it cannot be used; then nothing in it was changed.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, OpenError> {
        Self::open_and(url, Pending::Migrate).await
    }

    /// Opens a database that is there and has today's schema, to serve.
    ///
    /// # Errors
    ///
    /// Says why it cannot be used, such as those that [`OpenError::is_pending`] tells apart; then nothing
    /// in it was changed.
    pub async fn open_migrated(url: &DatabaseUrl) -> Result<Self, OpenError> {
        Self::open_and(url, Pending::Refuse).await
    }

    async fn open_and(url: &DatabaseUrl, pending: Pending) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let Prepared { watch, before, now } = open::prepare(url, MIGRATIONS, pending).await?;
        if (1..now).contains(&before) {
            info!(
                database = %url,
                "brought the schema from migration {before} to {now}: earlier versions of bienvenue can \
                 no longer be started on this database"
            );
        }
        let file_watch = watch.map(Arc::new);
        let file = file_watch.as_ref().map(|watch| watch.file());
        let wal_index = file.as_ref().and_then(|file| file.wal_index());
        let session_cache = wal_index.map(|index| Arc::new(SessionCache::new(index)));
        let cache_to_tell = session_cache.clone();
        let on_new_writer = move || {
            if let Some(cache) = &cache_to_tell {
                cache.connection_changed();
            }
        };
        let pools = Engine::of(url)
            .pools(&url.to_connect_url(), on_new_writer)
            .map_err(|error| OpenError::Connect(url.clone(), error))?;
        let connections = Connections::new(pools, file, session_cache);
        Ok(Self::of(connections, file_watch))
    }

    /// Opens a database that is there and has today's schema, and changes neither. Notes no loss of
    /// the file of an SQLite database while it is open: for a command that soon ends.
    ///
    /// # Errors
    ///
    /// Says why it cannot be used, such as [`OpenError::Missing`], [`OpenError::OtherOwner`] and
    /// [`OpenError::Older`].
    pub async fn open_existing(url: &DatabaseUrl) -> Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        existing::check(url, MIGRATIONS).await?;
        let pools = Engine::of(url)
            .pools(&url.to_connect_url(), || {})
            .map_err(|error| OpenError::Connect(url.clone(), error))?;
        Ok(Self::of(Connections::new(pools, None, None), None))
    }

    fn of(connections: Connections, file_watch: Option<Arc<FileWatch>>) -> Self {
        Self {
            users: Users::new(connections.clone()),
            groups: Groups::new(connections.clone()),
            sessions: Sessions::new(connections.clone()),
            app_sessions: AppSessions::new(connections.clone()),
            reset_tokens: ResetTokens::new(connections.clone()),
            sign_ups: SignUps::new(connections.clone()),
            pending_addresses: PendingAddresses::new(connections.clone()),
            past_addresses: PastAddresses::new(connections.clone()),
            rate_limits: RateLimitCounts::new(connections.clone()),
            outbox: Outbox::new(connections.clone()),
            connections,
            file_watch,
        }
    }

    /// Waits for running statements and closes all connections.
    pub async fn close(&self) {
        self.sessions.close().await;
        self.rate_limits.close().await;
        self.connections.close().await;
        if let Some(watch) = &self.file_watch {
            watch.close().await;
        }
    }

    /// Asks the database, by one query on one of the connections that serve, whether the schema is there
    /// that this program needs. A newer version of the program may have added to it.
    ///
    /// # Errors
    ///
    /// The database does not answer, or is lost.
    pub async fn is_schema_there(&self) -> Result<bool, Error> {
        schema::has_migration(&self.connections, last_of(MIGRATIONS)).await
    }

    /// How much of the work on the database has failed, by the kind of the error. Work that is done for
    /// many requests at once counts once.
    pub fn errors(&self) -> &Counters<&'static str> {
        self.connections.errors()
    }

    /// How the file of an SQLite database was lost since it was opened; `None` if it was not, or came
    /// back.
    pub fn lost(&self) -> Option<LostDatabase> {
        self.file_watch.as_ref()?.lost()
    }

    /// Completes when the file of an SQLite database is lost and does not come back. Then the process
    /// should end.
    pub async fn lost_for_good(&self) {
        match &self.file_watch {
            Some(watch) => watch.lost_for_good().await,
            None => pending().await,
        }
    }

    /// Looks now after the file of an SQLite database: whether it is there and whole, and whether its
    /// log has grown long. This is also done twice a second.
    pub async fn look_after_file(&self) {
        if let Some(watch) = &self.file_watch {
            watch.look().await;
        }
    }
}

/// How many migrations a database lacks, all if it is not there. Changes nothing.
///
/// # Errors
///
/// Says why it cannot be used, such as [`OpenError::Newer`].
pub async fn count_pending_migrations(url: &DatabaseUrl) -> Result<usize, OpenError> {
    sqlx::any::install_default_drivers();
    let applied = match existing::check(url, MIGRATIONS).await {
        Ok(()) => last_of(MIGRATIONS),
        Err(OpenError::Older(_, applied, _)) => applied,
        Err(error) if error.is_pending() => 0,
        Err(error) => return Err(error),
    };
    let pending = MIGRATIONS.iter().filter(|(version, ..)| *version > applied);
    Ok(pending.count())
}

/// Brings the schema of a database up to date, which it creates if it is not there. Returns the numbers of
/// its last migration before, 0 for none, and now.
///
/// # Errors
///
/// Says why it cannot be used, such as [`OpenError::Newer`] and [`OpenError::OtherOwner`]. The schema was
/// not changed then.
pub async fn migrate(url: &DatabaseUrl) -> Result<(i64, i64), OpenError> {
    sqlx::any::install_default_drivers();
    let last = last_of(MIGRATIONS);
    match existing::check(url, MIGRATIONS).await {
        Ok(()) => return Ok((last, last)),
        Err(error) if error.is_pending() => {}
        Err(error) => return Err(error),
    }
    let Prepared { watch, before, now } = open::prepare(url, MIGRATIONS, Pending::Migrate).await?;
    if let Some(watch) = watch {
        watch.close().await;
    }
    Ok((before, now))
}

/// Makes a backup of a database that is there and has today's schema. Others may use it meanwhile.
///
/// `name` is what the backup will be called, and whether a file of this name is to be replaced; without,
/// the backup is put into the folder for temporary files.
///
/// # Errors
///
/// Says why there is none. Nothing under the name was changed.
pub async fn back_up(
    url: &DatabaseUrl,
    name: Option<(&Path, bool)>,
    progress: &Progress,
) -> Result<NewBackup, BackupError> {
    sqlx::any::install_default_drivers();
    if let Some((name, replaces)) = name {
        backup::make::check_name(url, name, replaces)?;
    }
    NewBackup::make(url, MIGRATIONS, name.map(|(name, _)| name), progress).await
}

/// Fills a database that is empty, or not there, from a backup. Returns how many rows it has now.
///
/// # Errors
///
/// Says why it is as empty as before.
pub async fn restore(
    url: &DatabaseUrl,
    file: &Path,
    progress: &Progress,
) -> Result<Counts, BackupError> {
    sqlx::any::install_default_drivers();
    backup::restore::restore(url, MIGRATIONS, file, progress).await
}

/// Asks a PostgreSQL server about itself and the database in it.
///
/// # Errors
///
/// Nothing answers there, or it does not let us in.
pub async fn inspect_server(url: &DatabaseUrl) -> Result<Server, OpenError> {
    sqlx::any::install_default_drivers();
    inspection::inspect_server(url, MIGRATIONS).await
}

/// Reads the SQLite database of a file that [`inspect_files`] has found; `None` if its log was left with
/// data in it and without the index that reading it takes.
///
/// # Errors
///
/// It cannot be read, is damaged or cut.
pub async fn inspect_contents(url: &DatabaseUrl) -> Result<Option<Contents>, OpenError> {
    sqlx::any::install_default_drivers();
    inspection::inspect_contents(url, MIGRATIONS).await
}

#[cfg(test)]
mod tests;
