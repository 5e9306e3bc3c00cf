//! What those who run the service may do with its users, groups and sessions. The database answers, so it
//! is the same whether the service runs or not, and what is changed holds at its next request.
//!
//! - `users`, `groups`, `sessions`: what may be asked for.
//! - `import`, `export`: taking over the users of another program, and writing out ours.
//! - `new_password`: the passwords that an administrator sets.
//! - `audit`: the line in the log for each change.

use std::sync::Arc;

use crate::clock::{Clock, UnixTime};
use crate::db::{self, Db};
use crate::password::{self, WeakPassword};
use crate::token::TokenSource;
use crate::user::{Account, UserId, UserKey};

mod audit;
mod export;
mod groups;
mod import;
mod new_password;
mod sessions;
mod users;

pub use audit::{Actor, ImportCounts, WholeDatabase};
pub use export::Export;
pub use import::{Import, ImportMode, ImportedUser, Unusable};
pub use new_password::NewPasswords;
pub use users::{AccountDetails, IssuedToken};

use audit::Change;

type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the answer is no. Nothing was changed then, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such user.
    #[error("there is no user {0}")]
    NoSuchUser(UserKey),
    /// A user with this address exists.
    #[error("email already registered")]
    EmailTaken,
    /// No user has the address, but one has given it up lately and can still be taken back to it.
    #[error("a user had this address until lately and can take it back, for a week")]
    AddressKept,
    /// The user is in the group already.
    #[error("the user is in this group already")]
    InGroup,
    /// The user is not in the group.
    #[error("the user is not in this group")]
    NotInGroup,
    /// The password is too weak to be chosen.
    #[error("password {0}")]
    WeakPassword(WeakPassword),
    /// The user cannot log in, so needs no password.
    #[error("user {} is locked: unlock them first", .0.0)]
    Locked(UserId),
    /// The address of the user is not one that anybody can log in with.
    #[error("the address of user {} is not one that anybody can log in with", .0.0)]
    BadAddress(UserId),
    /// The password cannot be hashed.
    #[error("cannot hash the password")]
    Hash(#[source] password::Error),
    /// The database does not answer, or fails. After a time-out, the change may have been made.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// Acts on users in the name of who runs the service.
pub struct Administration {
    db: Db,
    clock: Arc<dyn Clock>,
    tokens: Arc<dyn TokenSource>,
    actor: Actor,
}

impl Administration {
    /// Acts on this database, in the name of this actor.
    pub fn new(db: Db, clock: Arc<dyn Clock>, tokens: Arc<dyn TokenSource>, actor: Actor) -> Self {
        Self {
            db,
            clock,
            tokens,
            actor,
        }
    }

    /// The present moment.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Finds a user.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`].
    pub async fn find(&self, user: &UserKey) -> Result<Account> {
        let account = self.db.users.find_account(user).await?;
        account.ok_or_else(|| Error::NoSuchUser(user.clone()))
    }

    /// Writes down a change of a user that the database has made; that it has not made it, because the
    /// user was deleted since they were found, is the error.
    fn made(&self, change: Change, user: UserId, is_made: bool) -> Result<()> {
        if !is_made {
            return Err(Error::NoSuchUser(UserKey::Number(user)));
        }
        self.actor.log(change, user);
        Ok(())
    }

    /// Writes down a change of a user if the database has made it. False if there was nothing to change.
    fn made_if_due(&self, change: Change, user: UserId, is_made: bool) -> bool {
        if is_made {
            self.actor.log(change, user);
        }
        is_made
    }
}
