//! Adding many users at once, with hashes that another program has made, and reading all of them.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use sqlx::{AnyConnection, Connection, Row};

use super::{Users, changes};
use crate::clock::UnixTime;
use crate::db::batch::MAX_BATCH;
use crate::db::error::Result;
use crate::db::sessions::cache::Touched;
use crate::db::statement::{Widths, statements};
use crate::db::validity::Period;
use crate::email::Email;
use crate::user::{GroupName, HashedPassword, UserId};

statements! {
    /// `$1` address of a user, `$2` name of a group.
    ADD_TO_GROUP = "
        INSERT INTO user_groups (user_id, name)
        SELECT id, $2 FROM users WHERE email = $1
        ON CONFLICT (user_id, name) DO NOTHING";

    /// `$1` address, `$2` hash, `$3` when they were added: of a user who was added in this transaction.
    TAKE_OUT = "
        DELETE FROM users
        WHERE email = $1 AND hashed_password = $2 AND created_at = $3 AND password_version = 1";
}

/// The texts that add 1, 2, 3, … users: for each the address, the hash, and when they were added, locked
/// and confirmed. No row for those whose address is taken.
pub static ADD: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let texts = (1..=MAX_BATCH).map(|count| {
        let rows: Vec<String> = (0..count)
            .map(|row| {
                let [email, hash, created, locked, confirmed] =
                    [1, 2, 3, 4, 5].map(|column| 5 * row + column);
                format!("(${email}, ${hash}, 1, ${created}, ${locked}, ${confirmed})")
            })
            .collect();
        let text = format!(
            "INSERT INTO users (email, hashed_password, password_version, created_at, locked_at,
                 email_confirmed_at)
             VALUES {}
             ON CONFLICT (email) DO NOTHING",
            rows.join(", ")
        );
        &*text.leak()
    });
    texts.collect()
});

/// `$2`, … addresses, of which it finds those that an account can be taken back to that has given them up after
/// `$1`.
pub static FIND_KEPT: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(2, |emails| {
        format!("SELECT email FROM past_addresses WHERE changed_at > $1 AND email IN ({emails})")
    })
});

/// `$1`, … addresses.
pub static FIND: LazyLock<Widths> = LazyLock::new(|| {
    Widths::new(1, |emails| {
        format!("SELECT id, email, hashed_password FROM users WHERE email IN ({emails})")
    })
});

/// A user of another program, to be added as they were there.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The address.
    pub email: Email,
    /// The hash of the password; `None` if the user has none and chooses one by a reset link.
    pub hashed_password: Option<HashedPassword>,
    /// When the user was added there.
    pub created_at: UnixTime,
    /// Since when the user cannot log in; `None` if they can.
    pub locked_at: Option<UnixTime>,
    /// When it was established that the address is the user's; `None` if it was not.
    pub email_confirmed_at: Option<UnixTime>,
    /// The groups to put the user into.
    pub groups: Vec<GroupName>,
}

/// What became of several accounts. The others were there, and stayed as they were.
#[derive(Clone, Debug, Default)]
pub struct ImportedAccounts {
    /// How many were added.
    pub added: u64,
    /// How many were there with another hash, which was replaced.
    pub replaced: u64,
    /// Which were there with another hash, which stayed: their places among those that were given.
    pub kept: Vec<usize>,
}

impl Users {
    /// Adds those of these users whose addresses are not taken, in one transaction, and to which no account can
    /// be taken back that has given them up within this period. Of the others it replaces the hash if that was
    /// asked for and is another one, and voids what a new password voids.
    pub async fn import(
        &self,
        accounts: &[NewAccount],
        replaces_hashes: bool,
        given_up: Period,
    ) -> Result<ImportedAccounts> {
        let import = async |connection: &mut AnyConnection| {
            // Begins with a write, so that SQLite waits for the lock rather than refuse it.
            let mut transaction = connection.begin().await?;
            let mut imported = ImportedAccounts::default();
            let mut place = 0;
            for chunk in accounts.chunks(MAX_BATCH) {
                let added = if chunk.iter().all(|account| account.groups.is_empty()) {
                    add(&mut transaction, chunk).await?
                } else {
                    add_with_groups(&mut transaction, chunk).await?
                };
                let added = added - take_out_kept(&mut transaction, chunk, given_up).await?;
                imported.added += added;
                if added < chunk.len() as u64 {
                    let stored = find(&mut transaction, chunk).await?;
                    for (offset, account) in chunk.iter().enumerate() {
                        let Some((user, hash)) = stored.other_hash(account) else {
                            continue;
                        };
                        if replaces_hashes
                            && changes::replace_password(&mut transaction, user, hash).await?
                        {
                            imported.replaced += 1;
                        } else {
                            imported.kept.push(place + offset);
                        }
                    }
                }
                place += chunk.len();
            }
            transaction.commit().await?;
            Ok(imported)
        };
        let touched = if replaces_hashes {
            // Of many users: all sessions that there are.
            Touched::SessionsSeenUntil(UnixTime(i64::MAX))
        } else {
            Touched::None
        };
        self.connections.write(touched, import).await
    }

    /// What [`import`](Self::import) would do, which changes nothing.
    pub async fn preview_import(
        &self,
        accounts: &[NewAccount],
        replaces_hashes: bool,
        given_up: Period,
    ) -> Result<ImportedAccounts> {
        let preview = self.connections.read(async |connection| {
            let mut imported = ImportedAccounts::default();
            let mut place = 0;
            for chunk in accounts.chunks(MAX_BATCH) {
                let stored = find(connection, chunk).await?;
                let kept = find_kept(connection, chunk, given_up).await?;
                let new = chunk.iter().filter(|account| {
                    let email = account.email.as_str();
                    !stored.0.contains_key(email) && !kept.contains(email)
                });
                imported.added += new.count() as u64;
                for (offset, account) in chunk.iter().enumerate() {
                    if stored.other_hash(account).is_some() {
                        if replaces_hashes {
                            imported.replaced += 1;
                        } else {
                            imported.kept.push(place + offset);
                        }
                    }
                }
                place += chunk.len();
            }
            Ok(imported)
        });
        preview.await
    }
}

/// Adds at most [`MAX_BATCH`] users. Returns how many were added.
async fn add(connection: &mut AnyConnection, accounts: &[NewAccount]) -> sqlx::Result<u64> {
    let none = HashedPassword::none();
    let mut add = sqlx::query(ADD[accounts.len() - 1]);
    for account in accounts {
        let hash = account.hashed_password.as_ref().unwrap_or(&none);
        add = add
            .bind(account.email.as_str())
            .bind(hash.as_str())
            .bind(account.created_at.0)
            .bind(account.locked_at.map(|time| time.0))
            .bind(account.email_confirmed_at.map(|time| time.0));
    }
    Ok(add.execute(connection).await?.rows_affected())
}

/// Adds users one by one, and those who were added to their groups: one who was there gains none.
async fn add_with_groups(
    connection: &mut AnyConnection,
    accounts: &[NewAccount],
) -> sqlx::Result<u64> {
    let mut added = 0;
    for account in accounts {
        if add(connection, std::slice::from_ref(account)).await? == 0 {
            continue;
        }
        added += 1;
        for group in &account.groups {
            let add = sqlx::query(ADD_TO_GROUP).bind(account.email.as_str());
            add.bind(group.as_str()).execute(&mut *connection).await?;
        }
    }
    Ok(added)
}

/// Takes out again those of these users, who were just added, to whose addresses another account can be taken
/// back: looked at after they were added, see `past_addresses`. Returns how many.
async fn take_out_kept(
    connection: &mut AnyConnection,
    accounts: &[NewAccount],
    given_up: Period,
) -> sqlx::Result<u64> {
    let kept = find_kept(connection, accounts, given_up).await?;
    let mut users = 0;
    let none = HashedPassword::none();
    let is_kept = |account: &&NewAccount| kept.contains(account.email.as_str());
    for account in accounts.iter().filter(is_kept) {
        let take_out = sqlx::query(TAKE_OUT)
            .bind(account.email.as_str())
            .bind(account.hashed_password.as_ref().unwrap_or(&none).as_str())
            .bind(account.created_at.0);
        users += take_out.execute(&mut *connection).await?.rows_affected();
    }
    Ok(users)
}

/// The addresses of at most [`MAX_BATCH`] accounts to which another account can be taken back.
async fn find_kept(
    connection: &mut AnyConnection,
    accounts: &[NewAccount],
    given_up: Period,
) -> sqlx::Result<HashSet<String>> {
    let (text, width) = FIND_KEPT.for_keys(accounts.len());
    let mut find = sqlx::query(text).bind(given_up.after.0);
    let last = accounts.last();
    for account in accounts.iter().chain(last.into_iter().cycle()).take(width) {
        find = find.bind(account.email.as_str());
    }
    let rows = find.fetch_all(connection).await?;
    let emails = rows.iter().map(|row| row.try_get("email"));
    emails.collect()
}

/// The users with the addresses of some accounts, by address.
struct StoredHashes(HashMap<String, (UserId, HashedPassword)>);

impl StoredHashes {
    /// The user with the address of this account, and its hash, if the user has another one.
    fn other_hash<'a>(&self, account: &'a NewAccount) -> Option<(UserId, &'a HashedPassword)> {
        let (user, stored) = self.0.get(account.email.as_str())?;
        let hash = account.hashed_password.as_ref()?;
        (hash != stored).then_some((*user, hash))
    }
}

/// Finds the users with the addresses of at most [`MAX_BATCH`] accounts.
async fn find(
    connection: &mut AnyConnection,
    accounts: &[NewAccount],
) -> sqlx::Result<StoredHashes> {
    let (text, width) = FIND.for_keys(accounts.len());
    let mut find = sqlx::query(text);
    let last = accounts.last();
    for account in accounts.iter().chain(last.into_iter().cycle()).take(width) {
        find = find.bind(account.email.as_str());
    }
    let rows = find.fetch_all(connection).await?;
    let stored = rows.iter().map(|row| {
        let hash = HashedPassword::new(row.try_get("hashed_password")?);
        Ok((row.try_get("email")?, (UserId(row.try_get("id")?), hash)))
    });
    Ok(StoredHashes(stored.collect::<sqlx::Result<_>>()?))
}
