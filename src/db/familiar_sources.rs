//! The sources that are familiar to a user: from where they have proved that the account is theirs.
//!
//! Like a session, each belongs to a version of the password, and counts only while that is the
//! user's: a proof by an old password that is written down after a reset is void.

use sqlx::AnyConnection;

use super::sql;
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::user::{User, UserId};

/// The most that are kept of one user: more places than people log in from within a month. Whoever
/// has the password could otherwise fill the table from all sources of a network.
const MAX_PER_USER: i64 = 20;

/// That a user has proved from a source that the account is theirs.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Of the address and the source.
    pub digest: [u8; 32],
    /// When it was given.
    pub given_at: UnixTime,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct FamiliarSource {
    pub(super) user: UserId,
    pub(super) password_version: i64,
    pub(super) proof: Proof,
}

impl FamiliarSource {
    /// One that the user, as they were read, has proved.
    pub(super) fn of(user: &User, proof: Proof) -> Self {
        Self {
            user: user.id,
            password_version: user.password_version,
            proof,
        }
    }

    /// Remembers the source, in the place of the oldest if there are too many. Changes nothing if the
    /// user is gone or the password has changed.
    pub(super) async fn remember(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let Proof { digest, given_at } = self.proof;
        let parameters = |statement| {
            sqlx::query(statement)
                .bind(digest.to_vec())
                .bind(self.user.0)
                .bind(self.password_version)
                .bind(given_at.0)
        };
        let touch = parameters(sql::TOUCH_FAMILIAR_SOURCE);
        if touch.execute(&mut *connection).await?.rows_affected() > 0 {
            return Ok(());
        }
        let add = parameters(sql::ADD_FAMILIAR_SOURCE);
        if add.execute(&mut *connection).await?.rows_affected() > 0 {
            let make_room = sqlx::query(sql::DELETE_OLDEST_FAMILIAR_SOURCES)
                .bind(self.user.0)
                .bind(given_at.after(CLOCK_TOLERANCE).0)
                .bind(MAX_PER_USER);
            make_room.execute(connection).await?;
        }
        Ok(())
    }
}
