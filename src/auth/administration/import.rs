//! Taking over the users of another program, with the hashes of their passwords.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::audit::ImportCounts;
use super::{Administration, Result};
use crate::auth::address_lifetimes::undo_period;
use crate::clock::UnixTime;
use crate::db::NewAccount;
use crate::email::{Email, InvalidEmail};
use crate::password::{HashKind, UnusableHash};
use crate::user::HashedPassword;
use crate::wait_budget;

/// How often a batch is tried while the database is busy or away, and the pause between two tries.
const TRIES: u32 = 5;
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long the database may take for a batch. Half a second on an SSD; a disk that turns reads a page of
/// the index for nearly each user.
const BATCH_TIMEOUT: Duration = Duration::from_mins(1);

/// A user whom a file has.
#[derive(Clone, Debug)]
pub struct ImportedUser {
    /// Where in the file: the number of the line or of the row.
    pub position: i64,
    /// The user.
    pub account: NewAccount,
    /// Whether the hash is of another function than bcrypt.
    pub is_foreign: bool,
}

/// Why a user of a file cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Nobody can log in with the address.
    #[error("email {0}")]
    Email(InvalidEmail),
    /// No password can be checked against the hash.
    #[error("{0}: the password hash is {1}")]
    Hash(Email, UnusableHash),
    /// The file has the address before, in whatever case.
    #[error("{0}: the address stands before, and the first one counts")]
    Repeated(Email),
}

impl ImportedUser {
    /// Reads the address and the hash of a user, who may have none. The user is added now, unless the
    /// file says when they were.
    ///
    /// # Errors
    ///
    /// [`Unusable::Email`], [`Unusable::Hash`].
    pub fn parse(
        position: i64,
        email: &str,
        password_hash: Option<&str>,
        now: UnixTime,
    ) -> Result<Self, Unusable> {
        let email: Email = email.parse().map_err(Unusable::Email)?;
        let kind = password_hash.map(HashKind::of).transpose();
        let kind = kind.map_err(|reason| Unusable::Hash(email.clone(), reason))?;
        Ok(Self {
            position,
            account: NewAccount {
                email,
                hashed_password: password_hash.map(|hash| HashedPassword::new(hash.to_owned())),
                created_at: now,
                locked_at: None,
                email_confirmed_at: None,
                groups: Vec::new(),
            },
            is_foreign: kind.is_some_and(|kind| kind != HashKind::Bcrypt),
        })
    }
}

/// How users are taken over.
#[derive(Clone, Copy, Debug)]
pub struct ImportMode {
    /// Change nothing, and say what would be changed.
    pub is_dry_run: bool,
    /// Replace the hash of those who are there with another one.
    pub replaces_hashes: bool,
}

/// An import that goes on.
///
/// Each batch is a transaction. An import that was ended on the way is complete after another one of the
/// same file: who was added is there then, and stays as they are.
pub struct Import<'a> {
    administration: &'a Administration,
    mode: ImportMode,
    counts: ImportCounts,
    foreign: u64,
    addresses: AddressSet,
}

impl Administration {
    /// Begins an import.
    pub fn import(&self, mode: ImportMode) -> Import<'_> {
        Import {
            administration: self,
            mode,
            counts: ImportCounts::default(),
            foreign: 0,
            addresses: AddressSet::default(),
        }
    }
}

impl Import<'_> {
    /// Checks that the file has the address of a user for the first time.
    ///
    /// # Errors
    ///
    /// [`Unusable::Repeated`]. Of a million addresses one is taken for another with a probability of
    /// 1 in 30 million; another import of the file would add it.
    pub fn check_new(&mut self, user: &ImportedUser) -> Result<(), Unusable> {
        let email = &user.account.email;
        if self.addresses.insert(email) {
            Ok(())
        } else {
            Err(Unusable::Repeated(email.clone()))
        }
    }

    /// Counts a user who cannot be taken over.
    pub fn count_unusable(&mut self) {
        self.counts.unusable += 1;
    }

    /// Adds those of these users whose addresses are not taken, in this order, all or none; an address to which
    /// an account can be taken back counts as taken. Returns the
    /// users who are there with another hash, which stayed.
    ///
    /// Leaves the time between batches to the writes of the service, a third of all: SQLite lets one write
    /// at a time, and does not queue those who wait.
    ///
    /// # Errors
    ///
    /// The batches before stay added.
    pub async fn add(&mut self, users: Vec<ImportedUser>) -> Result<Vec<ImportedUser>> {
        let accounts = users.iter().map(|user| user.account.clone());
        let accounts: Vec<NewAccount> = accounts.collect();
        let mut tries = 1;
        let imported = loop {
            let since = Instant::now();
            let table = &self.administration.db.users;
            let replaces_hashes = self.mode.replaces_hashes;
            let given_up = undo_period(self.administration.now());
            let imported = if self.mode.is_dry_run {
                let preview = table.preview_import(&accounts, replaces_hashes, given_up);
                preview.await
            } else {
                let import = table.import(&accounts, replaces_hashes, given_up);
                wait_budget::with(BATCH_TIMEOUT, import).await
            };
            match imported {
                Ok(imported) => {
                    if !self.mode.is_dry_run {
                        sleep(since.elapsed() / 2).await;
                    }
                    break imported;
                }
                // After a time-out it may have been done: then these users are there at the next try.
                Err(error) if error.is_temporary() && tries < TRIES => {
                    tries += 1;
                    sleep(RETRY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.counts.imported += imported.added;
        self.counts.replaced += imported.replaced;
        self.counts.existing += users.len() as u64 - imported.added - imported.replaced;
        self.foreign += users.iter().filter(|user| user.is_foreign).count() as u64;
        let kept = imported.kept.iter().map(|place| users[*place].clone());
        Ok(kept.collect())
    }

    /// What became of the users until now.
    pub fn counts(&self) -> ImportCounts {
        self.counts
    }

    /// How many of those who were not unusable have a hash of another function than bcrypt.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }
}

/// Writes down what was changed, however the import ends.
impl Drop for Import<'_> {
    fn drop(&mut self) {
        if !self.mode.is_dry_run {
            self.administration.actor.log_import(self.counts);
        }
    }
}

/// Which addresses were met, by hashes of 8 bytes under a random key: 9 to 18 bytes for each address,
/// however long it is.
#[derive(Default)]
struct AddressSet {
    key: RandomState,
    hashes: HashSet<u64>,
}

impl AddressSet {
    /// Adds an address. False if it is there already.
    fn insert(&mut self, email: &Email) -> bool {
        self.hashes.insert(self.key.hash_one(email))
    }
}
