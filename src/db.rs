//! The repository: the only room that speaks SQL.
//!
//! The same texts run on SQLite and on PostgreSQL. Uniqueness, single use and expiry are
//! conditions of the statements (see [`statements`]), so that no two requests, and no two
//! processes, can both be told yes.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection, Row};

use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::email::{Email, InvalidEmail};
use crate::token::{ResetTokenDigest, SessionDigest};
use crate::user::{HashedPassword, SessionUser, User, UserId};

mod batch;
mod engine;
mod error;
mod familiar_sources;
mod file;
mod file_watch;
mod loan;
mod open;
mod outbox;
mod sessions;
mod sql;
mod throttles;
mod url;

pub use engine::POSTGRES_SERVING_SETTINGS;
pub use error::Error;
pub use familiar_sources::Proof;
pub use file_watch::LostDatabase;
pub use open::OpenError;
pub use outbox::{
    ClaimedMail, ClaimedMails, MailClaim, MailKind, MailRequest, MailRequestOutcome, Settlement,
};
pub use sql::statements;
pub use throttles::{Bucket, Taken};
pub use url::{DatabaseUrl, InvalidDatabaseUrl};

use batch::Batcher;
use engine::Engine;
use familiar_sources::FamiliarSource;
use file_watch::FileWatch;
use loan::{Pool, lend};
use sessions::{Beginner, Finder, LookUp, NewSession};
use throttles::{Errand, Keeper, unix_micros};

type Result<T> = std::result::Result<T, Error>;

/// How many rows one statement purges, so that no other write waits long behind it.
const PURGE_BATCH: i64 = 500;

/// When something must have been made to be valid now: a session, a reset token, a proof.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// After this: at this moment or before it, it has expired.
    pub after: UnixTime,
    /// Not after this: a clock was wrong.
    pub until: UnixTime,
}

impl Period {
    /// When something that lasts this long must have been made to be valid now.
    #[must_use]
    pub fn of_valid(now: UnixTime, lifetime: Duration) -> Self {
        Self {
            after: now.before(lifetime),
            until: now.after(CLOCK_TOLERANCE),
        }
    }

    /// What something made at this moment is worth.
    fn judge<T>(self, made_at: UnixTime, value: T) -> Found<T> {
        if made_at <= self.after {
            Found::Expired
        } else if made_at > self.until {
            Found::Invalid
        } else {
            Found::Valid(value)
        }
    }
}

/// The moments by which a session is valid or not.
#[derive(Clone, Copy, Debug)]
pub struct SessionCutoffs {
    /// It must have been used after this, or it has expired.
    pub last_seen_after: UnixTime,
    /// When it must have begun.
    pub created: Period,
}

impl SessionCutoffs {
    /// What a session that was last seen and began at these moments is worth.
    fn judge<T>(self, last_seen_at: UnixTime, created_at: UnixTime, value: T) -> Found<T> {
        if last_seen_at <= self.last_seen_after {
            Found::Expired
        } else {
            self.created.judge(created_at, value)
        }
    }
}

/// What a session id or a reset token leads to.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// It is valid, and this is what it is for.
    Valid(T),
    /// It is a session that would be valid but for a change of the password.
    Void(T),
    /// It has expired, and its row is still there.
    Expired,
    /// It does not exist, it is a reset token that a password change has voided, or it was made further
    /// in the future than clocks differ.
    Invalid,
}

/// What may be changed about a user.
#[derive(Clone, Debug)]
pub enum Change {
    /// The same password, hashed anew. Only if the user's hash is still the one that was read.
    Rehash(HashedPassword),
    /// A new reset token, issued at this moment, in the place of any older one.
    ResetToken(ResetTokenDigest, UnixTime),
    /// A new password, for a reset token that is used up by this. Voids every session, every reset
    /// token and every familiar source of the user. Only if the token is the user's, was issued within
    /// the period and is still good.
    Password {
        /// The new hash.
        hashed_password: HashedPassword,
        /// The token that allows it.
        reset_token: ResetTokenDigest,
        /// When it must have been issued.
        issued: Period,
        /// The moment of the change if the user is to be told by mail. The change and the mail are
        /// recorded together or not at all.
        told_by_mail: Option<UnixTime>,
        /// From where this is done, which is then the only familiar source of the user.
        proof: Option<Proof>,
    },
}

/// The users, their sessions and their reset tokens, and what limits their use. Clones share their connections.
#[derive(Clone)]
pub struct Db {
    readers: Pool,
    writer: Pool,
    look_ups: Arc<Batcher<LookUp, Result<Found<SessionUser>>>>,
    new_sessions: Arc<Batcher<NewSession, Result<bool>>>,
    errands: Arc<Batcher<Errand, Result<Taken>>>,
    file_watch: Option<Arc<FileWatch>>,
}

impl Db {
    /// Opens the database, creates the file of an SQLite one that is not there yet, and brings
    /// the schema up to date.
    ///
    /// # Errors
    ///
    /// Says why it cannot be used; then nothing in it was changed.
    pub async fn open(url: &DatabaseUrl) -> std::result::Result<Self, OpenError> {
        sqlx::any::install_default_drivers();
        let file_watch = open::prepare(url).await?.map(Arc::new);
        let (readers, writer) = Engine::of(url)
            .pools(&url.to_connect_url())
            .map_err(|error| OpenError::Connect(url.clone(), error))?;
        let [readers, writer] = [readers, writer].map(|connections| Pool {
            connections,
            file: file_watch.as_ref().map(|watch| watch.file()),
        });
        // One of each: while it works, the next batch comes together. Two finders were measured to
        // answer a tenth less, in smaller batches.
        let finder = Finder::new(readers.clone());
        let beginner = Beginner {
            readers: readers.clone(),
            writer: writer.clone(),
        };
        let keeper = Keeper {
            readers: readers.clone(),
            writer: writer.clone(),
        };
        Ok(Self {
            look_ups: Arc::new(Batcher::start(finder)),
            new_sessions: Arc::new(Batcher::start(beginner)),
            errands: Arc::new(Batcher::start(keeper)),
            readers,
            writer,
            file_watch,
        })
    }

    /// Waits for running statements and closes all connections.
    pub async fn close(&self) {
        self.look_ups.close().await;
        self.new_sessions.close().await;
        self.errands.close().await;
        self.readers.close().await;
        self.writer.close().await;
        if let Some(watch) = &self.file_watch {
            watch.close().await;
        }
    }

    /// How the file of an SQLite database was lost since it was opened; `None` if it was not, or came
    /// back.
    #[must_use]
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

    /// Adds a user, to whom the source of the proof is familiar; `None` if the address is taken.
    ///
    /// # Errors
    ///
    /// See [`Error`], here and for every other method.
    pub async fn add_user(
        &self,
        email: &Email,
        hashed_password: &HashedPassword,
        now: UnixTime,
        proof: Option<Proof>,
    ) -> Result<Option<User>> {
        lend(&self.writer, async |connection| {
            add_user(connection, email, hashed_password, now, proof).await
        })
        .await
    }

    /// Finds the user with this address; `None` if there is none.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user of ours.
    pub async fn find_user_by_email(&self, email: &Email) -> Result<Option<User>> {
        let find = sqlx::query(sql::FIND_USER_BY_EMAIL).bind(email.as_str());
        let row = loan::fetch_optional(&self.readers, find).await?;
        Ok(row.as_ref().map(user_from).transpose()?)
    }

    /// Finds the user of a reset token, which is valid if it was issued within this period.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user of ours.
    pub async fn find_user_by_reset_token(
        &self,
        digest: ResetTokenDigest,
        issued: Period,
    ) -> Result<Found<User>> {
        let find = sqlx::query(sql::FIND_USER_BY_RESET_TOKEN).bind(digest.as_bytes());
        let Some(row) = loan::fetch_optional(&self.readers, find).await? else {
            return Ok(Found::Invalid);
        };
        let created_at = UnixTime(row.try_get("created_at")?);
        Ok(issued.judge(created_at, user_from(&row)?))
    }

    /// Deletes a reset token if it has expired by this period.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn delete_expired_reset_token(
        &self,
        digest: ResetTokenDigest,
        issued: Period,
    ) -> Result<()> {
        let delete = sqlx::query(sql::DELETE_EXPIRED_RESET_TOKEN)
            .bind(digest.as_bytes())
            .bind(issued.after.0);
        self.execute(delete).await?;
        Ok(())
    }

    /// Finds the user of a session, which is valid or not by these cutoffs.
    ///
    /// # Errors
    ///
    /// Also if what is stored is not a user of ours.
    pub async fn find_user_by_session(
        &self,
        digest: SessionDigest,
        cutoffs: SessionCutoffs,
    ) -> Result<Found<SessionUser>> {
        self.look_ups.ask(LookUp { digest, cutoffs }).await?
    }

    /// Changes a user; false if the condition of the change does not hold, and then nothing was
    /// changed.
    ///
    /// # Errors
    ///
    /// Also if the user is gone.
    pub async fn update_user(&self, user: &User, change: Change) -> Result<bool> {
        match change {
            Change::Rehash(hashed_password) => {
                let rehash = sqlx::query(sql::REHASH)
                    .bind(user.id.0)
                    .bind(user.hashed_password.as_str())
                    .bind(hashed_password.as_str());
                self.change(rehash).await
            }
            Change::ResetToken(digest, now) => {
                let set = sqlx::query(sql::SET_RESET_TOKEN)
                    .bind(user.id.0)
                    .bind(digest.as_bytes())
                    .bind(user.password_version)
                    .bind(now.0);
                self.change(set).await
            }
            Change::Password {
                hashed_password,
                reset_token,
                issued,
                told_by_mail,
                proof,
            } => {
                lend(&self.writer, async |connection| {
                    let token = (reset_token, issued);
                    let notes = (told_by_mail, proof);
                    set_password(connection, user, &hashed_password, token, notes).await
                })
                .await
            }
        }
    }

    /// Begins a session of this user, as of the password that was read, and ends the oldest ones
    /// beyond `max_sessions`, except such as began in this very second. False if the user is gone.
    ///
    /// # Errors
    ///
    /// Also if the digest is not new.
    pub async fn add_session(
        &self,
        user: &User,
        digest: SessionDigest,
        now: UnixTime,
        max_sessions: u32,
    ) -> Result<bool> {
        let session = NewSession {
            digest,
            user: user.id,
            password_version: user.password_version,
            now,
            max_sessions,
        };
        self.new_sessions.ask(session).await?
    }

    /// Notes that a session was in use. A use noted after `latest` is taken for a wrong clock's.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn touch_session(
        &self,
        digest: SessionDigest,
        now: UnixTime,
        latest: UnixTime,
    ) -> Result<()> {
        let touch = sqlx::query(sql::TOUCH_SESSION)
            .bind(digest.as_bytes())
            .bind(now.0)
            .bind(latest.0);
        self.change(touch).await?;
        Ok(())
    }

    /// Ends a session; false if none was valid by these cutoffs.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn delete_session(
        &self,
        digest: SessionDigest,
        cutoffs: SessionCutoffs,
    ) -> Result<bool> {
        let delete = sqlx::query(sql::DELETE_SESSION)
            .bind(digest.as_bytes())
            .bind(cutoffs.last_seen_after.0)
            .bind(cutoffs.created.after.0)
            .bind(cutoffs.created.until.0);
        self.change(delete).await
    }

    /// Deletes a session if it has expired by these cutoffs.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn delete_expired_session(
        &self,
        digest: SessionDigest,
        cutoffs: SessionCutoffs,
    ) -> Result<()> {
        let delete = sqlx::query(sql::DELETE_EXPIRED_SESSION)
            .bind(digest.as_bytes())
            .bind(cutoffs.last_seen_after.0)
            .bind(cutoffs.created.after.0);
        self.execute(delete).await?;
        Ok(())
    }

    /// Deletes the sessions last seen at `seen_before` or earlier and the reset tokens issued at
    /// `issued_before` or earlier, a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// See [`Error`]; what was deleted until then stays deleted.
    pub async fn purge(&self, seen_before: UnixTime, issued_before: UnixTime) -> Result<u64> {
        let sessions = self.purge_by(sql::PURGE_SESSIONS, [seen_before.0]).await?;
        let tokens = self.purge_by(sql::PURGE_RESET_TOKENS, [issued_before.0]);
        Ok(sessions + tokens.await?)
    }

    /// Takes a token of each bucket, or none of any.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn take_tokens(&self, buckets: Vec<Bucket>, now: UnixTime) -> Result<Taken> {
        self.errands.ask(Errand::Take { buckets, now }).await?
    }

    /// Gives a token back to each bucket, and remembers that this user, as they were read, has proved
    /// that the account is theirs.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn give_tokens_back(
        &self,
        buckets: Vec<Bucket>,
        proof: Option<(&User, Proof)>,
    ) -> Result<()> {
        let familiar = proof.map(|(user, proof)| FamiliarSource::of(user, proof));
        let errand = Errand::GiveBack { buckets, familiar };
        self.errands.ask(errand).await?.map(drop)
    }

    /// Whether a proof with this digest was given within this period, and not by an earlier password.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn has_proof(&self, digest: [u8; 32], given: Period) -> Result<bool> {
        let find = sqlx::query(sql::FIND_FAMILIAR_SOURCE)
            .bind(digest.to_vec())
            .bind(given.after.0)
            .bind(given.until.0);
        let row = loan::fetch_optional(&self.readers, find).await?;
        Ok(row.is_some())
    }

    /// Deletes the buckets that are full again and the proofs given at `proved_before` or earlier,
    /// a few at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// See [`Error`]; what was deleted until then stays deleted.
    pub async fn purge_throttles(&self, now: UnixTime, proved_before: UnixTime) -> Result<u64> {
        let buckets = self
            .purge_by(sql::PURGE_THROTTLES, [unix_micros(now)])
            .await?;
        let proofs = self.purge_by(sql::PURGE_FAMILIAR_SOURCES, [proved_before.0]);
        Ok(buckets + proofs.await?)
    }

    /// Repeats a statement that purges a few rows, by these bounds, until there are none.
    async fn purge_by<const N: usize>(
        &self,
        statement: &'static str,
        bounds: [i64; N],
    ) -> Result<u64> {
        let mut purged = 0;
        loop {
            let mut purge = sqlx::query(statement);
            for bound in bounds {
                purge = purge.bind(bound);
            }
            let rows = self.execute(purge.bind(PURGE_BATCH)).await?;
            purged += rows;
            if rows == 0 {
                return Ok(purged);
            }
        }
    }

    /// Runs one statement that changes one row or none, and tells which.
    async fn change(&self, statement: Query<'static, Any, AnyArguments>) -> Result<bool> {
        Ok(self.execute(statement).await? > 0)
    }

    /// Runs one statement that writes, and returns how many rows it changed.
    async fn execute(&self, statement: Query<'static, Any, AnyArguments>) -> Result<u64> {
        loan::execute(&self.writer, statement).await
    }
}

/// Adds a user with the source they come from, in one transaction; `None` if the address is taken.
async fn add_user(
    connection: &mut AnyConnection,
    email: &Email,
    hashed_password: &HashedPassword,
    now: UnixTime,
    proof: Option<Proof>,
) -> sqlx::Result<Option<User>> {
    let mut transaction = connection.begin().await?;
    let add = sqlx::query(sql::ADD_USER)
        .bind(email.as_str())
        .bind(hashed_password.as_str())
        .bind(now.0);
    if add.execute(&mut *transaction).await?.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(None);
    }
    let find = sqlx::query(sql::FIND_USER_BY_EMAIL).bind(email.as_str());
    let user = user_from(&find.fetch_one(&mut *transaction).await?)?;
    if let Some(proof) = proof {
        let source = FamiliarSource::of(&user, proof);
        source.remember(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(Some(user))
}

/// Sets a password by a token issued within a period, in one transaction with all that goes with it;
/// false if the token is no good.
async fn set_password(
    connection: &mut AnyConnection,
    user: &User,
    hashed_password: &HashedPassword,
    (reset_token, issued): (ResetTokenDigest, Period),
    (told_by_mail, proof): (Option<UnixTime>, Option<Proof>),
) -> sqlx::Result<bool> {
    let mut transaction = connection.begin().await?;
    let set = sqlx::query(sql::SET_PASSWORD)
        .bind(user.id.0)
        .bind(hashed_password.as_str())
        .bind(reset_token.as_bytes())
        .bind(issued.after.0)
        .bind(issued.until.0);
    if set.execute(&mut *transaction).await?.rows_affected() == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    // Before the tokens, because the worker that sends mails locks them in this order, too.
    if let Some(now) = told_by_mail {
        sqlx::query(sql::TELL_BY_MAIL)
            .bind(MailKind::PasswordChanged.name())
            .bind(user.email.as_str())
            .bind(now.0)
            .execute(&mut *transaction)
            .await?;
    }
    // The new version of the password voids these, and all sessions, which stay until they expire or
    // are logged out of.
    for void in [
        sql::DELETE_RESET_TOKEN_OF_USER,
        sql::DELETE_FAMILIAR_SOURCES_OF_USER,
    ] {
        sqlx::query(void)
            .bind(user.id.0)
            .execute(&mut *transaction)
            .await?;
    }
    if let Some(proof) = proof {
        let source = FamiliarSource {
            password_version: user.password_version + 1,
            ..FamiliarSource::of(user, proof)
        };
        source.remember(&mut transaction).await?;
    }
    transaction.commit().await?;
    Ok(true)
}

/// The user in a row.
fn user_from(row: &AnyRow) -> sqlx::Result<User> {
    Ok(User {
        id: UserId(row.try_get("id")?),
        email: email_in(row)?,
        hashed_password: HashedPassword::new(row.try_get("hashed_password")?),
        password_version: row.try_get("password_version")?,
    })
}

fn email_in(row: &AnyRow) -> sqlx::Result<Email> {
    let text: &str = row.try_get("email")?;
    text.parse().map_err(|error| sqlx::Error::ColumnDecode {
        index: "email".to_owned(),
        source: Box::<InvalidEmail>::new(error),
    })
}
