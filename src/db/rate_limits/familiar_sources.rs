//! The sources that are familiar to a user: from where they have proved that the account is theirs.
//!
//! Like a session, each belongs to a version of the password, and counts only while that is the
//! user's: a proof by an old password that is written down after a reset is void.

use sqlx::AnyConnection;

use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::db::connection::Connections;
use crate::db::error::Result;
use crate::db::sessions::cache::Touched;
use crate::db::statement::statements;
use crate::db::validity::Period;
use crate::user::{User, UserId};

statements! {
    /// `$1` digest, `$2` user, `$3` password version, `$4` now. No row if the source is not familiar.
    TOUCH = "
        UPDATE familiar_sources SET last_proof_at = $4
        WHERE digest = $1 AND user_id = $2 AND password_version = $3";

    /// The same of a source that is not familiar. No row unless the user has this password version.
    ADD = "
        INSERT INTO familiar_sources (digest, user_id, password_version, last_proof_at)
        SELECT $1, id, password_version, $4 FROM users WHERE id = $2 AND password_version = $3
        ON CONFLICT (digest) DO UPDATE SET
            user_id = excluded.user_id,
            password_version = excluded.password_version,
            last_proof_at = excluded.last_proof_at";

    /// Of user `$1`, all but the newest `$3`. What was proved after `$2` was proved by a clock that
    /// was ahead, and counts as the oldest.
    DELETE_OLDEST = "
        DELETE FROM familiar_sources
        WHERE user_id = $1 AND digest NOT IN (
            SELECT digest FROM familiar_sources
            WHERE user_id = $1
            ORDER BY last_proof_at > $2, last_proof_at DESC
            LIMIT $3)";

    /// `$1` user.
    DELETE_OF_USER = "
        DELETE FROM familiar_sources WHERE user_id = $1";

    /// `$1` digest; only if last proved after `$2` and not after `$3`, and the password is the same.
    FIND = "
        SELECT s.last_proof_at FROM familiar_sources AS s
        WHERE s.digest = $1 AND s.last_proof_at > $2 AND s.last_proof_at <= $3 AND EXISTS (
            SELECT 1 FROM users AS u
            WHERE u.id = s.user_id AND u.password_version = s.password_version)";

    /// At most `$2` familiar sources last proved at `$1` or before.
    PURGE = "
        DELETE FROM familiar_sources WHERE last_proof_at <= $1 AND digest IN (
            SELECT digest FROM familiar_sources WHERE last_proof_at <= $1 LIMIT $2)";
}

/// The most that are kept of one user: more places than people log in from within a month. Someone
/// with the password could otherwise fill the table from all sources of a network.
const MAX_PER_USER: i64 = 20;

/// That a user has proved from a source that the account is theirs.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    /// Of the address and the source.
    pub digest: [u8; 32],
    /// When it was given.
    pub given_at: UnixTime,
}

/// A source that is familiar to a user of this password version.
#[derive(Clone, Copy, Debug)]
pub struct FamiliarSource {
    pub user: UserId,
    pub password_version: i64,
    pub proof: Proof,
}

impl FamiliarSource {
    /// The source from which the user, as they were read, has given this proof.
    pub fn of(user: &User, proof: Proof) -> Self {
        Self {
            user: user.id,
            password_version: user.password_version,
            proof,
        }
    }

    /// Adds the source, in place of the oldest if there are too many. Changes nothing if the user is
    /// gone or the password has changed.
    pub async fn add(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let Proof { digest, given_at } = self.proof;
        let parameters = |statement| {
            sqlx::query(statement)
                .bind(digest.to_vec())
                .bind(self.user.0)
                .bind(self.password_version)
                .bind(given_at.0)
        };
        let touch = parameters(TOUCH);
        if touch.execute(&mut *connection).await?.rows_affected() > 0 {
            return Ok(());
        }
        let add = parameters(ADD);
        if add.execute(&mut *connection).await?.rows_affected() > 0 {
            let make_room = sqlx::query(DELETE_OLDEST)
                .bind(self.user.0)
                .bind(given_at.after(CLOCK_TOLERANCE).0)
                .bind(MAX_PER_USER);
            make_room.execute(connection).await?;
        }
        Ok(())
    }
}

/// Whether a proof with this digest was given within this period, and not by an earlier password.
pub async fn has_proof(connections: &Connections, digest: [u8; 32], given: Period) -> Result<bool> {
    let find = sqlx::query(FIND)
        .bind(digest.to_vec())
        .bind(given.after.0)
        .bind(given.until.0);
    Ok(connections.fetch_optional(find).await?.is_some())
}

/// Deletes all of a user.
pub async fn delete_of_user(connection: &mut AnyConnection, user: UserId) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_OF_USER).bind(user.0);
    delete.execute(connection).await?;
    Ok(())
}

/// Deletes those last proved at this moment or earlier, a few at a time. Returns how many.
pub async fn purge(connections: &Connections, proved_before: UnixTime) -> Result<u64> {
    let bounds = [proved_before.0];
    connections.purge(Touched::None, PURGE, bounds).await
}
