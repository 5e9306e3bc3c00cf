//! The mails that are being sent: who has claimed them, and what becomes of them.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection, Row};
use tracing::warn;
use uuid::Uuid;

use super::{MailKind, Outbox};
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::reset_tokens;
use crate::db::row::email_in;
use crate::db::sessions::cache::Touched;
use crate::db::statement::statements;
use crate::email::Email;
use crate::language::Language;
use crate::token::ResetToken;
use crate::user::UserId;

statements! {
    /// `$1` claim, `$2` its end, `$3` now, `$4` the latest moment at which a mail can be due, `$5` the
    /// latest at which one can have been asked for, `$6` how many rows to look at; claims as many of
    /// these as are to unknown addresses, and `$7` to known ones, but only `$8` of a later turn than the
    /// first.
    ///
    /// What is due later than possible, or was asked for later, counts as due or asked for now: a clock
    /// was wrong.
    ///
    /// SQLite reads tables that are joined by `CROSS JOIN` in this order, so not all users.
    ///
    /// A reset link to a locked user goes the way of those to unknown addresses, here and below.
    ///
    /// The condition stands inside and outside: the inner one chooses, and the outer one is looked at
    /// again when the row is changed, so that of two who choose the same mail one goes without.
    CLAIM = "
        WITH
            head AS (
                SELECT id, kind, email, turn, due_at FROM outbox
                WHERE turn >= 0 AND due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
                ORDER BY turn, due_at
                LIMIT $6),
            known AS (
                SELECT head.id, head.turn, head.due_at
                FROM head CROSS JOIN users
                WHERE users.email = head.email
                  AND (users.locked_at IS NULL OR head.kind <> 'reset_link')),
            chosen AS (
                SELECT id FROM head
                WHERE NOT EXISTS (
                    SELECT 1 FROM users
                    WHERE users.email = head.email
                      AND (users.locked_at IS NULL OR head.kind <> 'reset_link'))
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM known WHERE turn = 0 ORDER BY due_at LIMIT $7) AS first_of_network
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM known ORDER BY turn, due_at LIMIT $8) AS of_any_turn)
        UPDATE outbox SET
            claim = $1,
            due_at = $2,
            asked_at = CASE WHEN asked_at > $5 THEN $3 ELSE asked_at END
        WHERE due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
          AND id IN (SELECT id FROM chosen)";

    /// `$1` claim. Only those to known addresses.
    FIND_CLAIMED = "
        SELECT o.id, o.kind, o.email, o.asked_at, o.attempts, o.language, u.id AS user_id,
            u.password_version
        FROM outbox AS o
        JOIN users AS u ON u.email = o.email AND (u.locked_at IS NULL OR o.kind <> 'reset_link')
        WHERE o.claim = $1";

    /// `$1` claim, `$2` the end of the pause. All those to unknown addresses.
    FINISH_UNKNOWN = "
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE claim = $1 AND NOT EXISTS (
            SELECT 1 FROM users
            WHERE users.email = outbox.email
              AND (users.locked_at IS NULL OR outbox.kind <> 'reset_link'))";

    /// `$1` claim, `$2` the end of the pause, `$3` mail. Not if the claim has passed to another worker.
    FINISH = "
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE id = $3 AND claim = $1";

    /// `$1` claim, `$2` when it is due again, `$3` mail.
    POSTPONE = "
        UPDATE outbox SET due_at = $2, claim = NULL, attempts = attempts + 1
        WHERE id = $3 AND claim = $1";
}

/// How mails are claimed.
#[derive(Clone, Copy, Debug)]
pub struct MailClaim {
    /// A number that no other claim has.
    pub id: Uuid,
    /// When it begins.
    pub now: UnixTime,
    /// When it ends, after which others may claim the same mails.
    pub until: UnixTime,
    /// A mail due after this was written while a clock was wrong, and is due now.
    pub latest_due: UnixTime,
    /// A mail asked for after this was written while a clock was wrong, and counts as asked for now.
    pub latest_asked: UnixTime,
    /// How many rows to look at, in the order in which mails leave.
    pub rows: u32,
    /// How many mails to known addresses to claim at most.
    pub known: u32,
    /// How many of them may have a later turn than the first of their network.
    pub known_of_any_turn: u32,
}

/// What one worker has claimed.
#[derive(Debug)]
pub struct ClaimedMails {
    claim: Uuid,
    /// How many mails there are, to known and to unknown addresses.
    pub count: u64,
    /// Those to known addresses.
    pub known: Vec<ClaimedMail>,
}

impl ClaimedMails {
    /// Nothing is left to do for those to unknown addresses.
    pub fn unknown_done(&self, quiet_until: UnixTime) -> Settlement {
        Settlement {
            statement: FINISH_UNKNOWN,
            claim: self.claim,
            moment: quiet_until,
            id: None,
        }
    }
}

/// A mail to a known address that one worker has claimed.
#[derive(Clone, Debug)]
pub struct ClaimedMail {
    id: i64,
    claim: Uuid,
    /// What it is about.
    pub kind: MailKind,
    /// The address.
    pub email: Email,
    /// The language of who asked for it.
    pub language: Language,
    /// When it was asked for.
    pub asked_at: UnixTime,
    /// How many tries have failed.
    pub attempts: u32,
    /// The token that was issued for it, if it is a reset link.
    pub token: Option<ResetToken>,
}

impl ClaimedMail {
    /// Nothing is left to do. Asking for another before `quiet_until` changes nothing.
    pub fn done(&self, quiet_until: UnixTime) -> Settlement {
        self.settlement(FINISH, quiet_until)
    }

    /// It could not be sent and is due again at this moment.
    pub fn postponed(&self, due_at: UnixTime) -> Settlement {
        self.settlement(POSTPONE, due_at)
    }

    fn settlement(&self, statement: &'static str, moment: UnixTime) -> Settlement {
        Settlement {
            statement,
            claim: self.claim,
            moment,
            id: Some(self.id),
        }
    }
}

/// What becomes of claimed mails.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    statement: &'static str,
    claim: Uuid,
    moment: UnixTime,
    /// `None` for all those to unknown addresses.
    id: Option<i64>,
}

impl Settlement {
    /// Writes it down. It changes nothing if another worker has claimed the mail since, or it was asked
    /// for anew: then it is theirs.
    async fn write(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let mut settle = sqlx::query(self.statement)
            .bind(self.claim.as_bytes().as_slice())
            .bind(self.moment.0);
        if let Some(id) = self.id {
            settle = settle.bind(id);
        }
        settle.execute(connection).await?;
        Ok(())
    }
}

impl Outbox {
    /// Claims mails that are due, and issues a token for each reset link among them. If there are any,
    /// also writes down what became of earlier ones: all in one transaction, so that mails to known
    /// and to unknown addresses take the same number of commits.
    ///
    /// # Errors
    ///
    /// Nothing has changed then, or, after [`Error::TimedOut`](crate::db::Error::TimedOut), perhaps all of
    /// it; mails claimed so fall due again when the claim ends.
    pub async fn claim(
        &self,
        claim: MailClaim,
        earlier: &[Settlement],
        new_token: impl Fn() -> ResetToken,
    ) -> Result<ClaimedMails> {
        self.connections
            .write(Touched::None, async |connection| {
                claim_mails(connection, claim, earlier, &new_token).await
            })
            .await
    }

    /// Writes down what became of claimed mails.
    ///
    /// # Errors
    ///
    /// The mails fall due again when their claims end.
    pub async fn settle(&self, settlements: &[Settlement]) -> Result<()> {
        self.connections
            .write(Touched::None, async |connection| {
                let mut transaction = connection.begin().await?;
                for settlement in settlements {
                    settlement.write(&mut transaction).await?;
                }
                transaction.commit().await
            })
            .await
    }
}

async fn claim_mails(
    connection: &mut AnyConnection,
    claim: MailClaim,
    earlier: &[Settlement],
    new_token: &impl Fn() -> ResetToken,
) -> sqlx::Result<ClaimedMails> {
    let id = claim.id.as_bytes().as_slice();
    let mut transaction = connection.begin().await?;
    let update = sqlx::query(CLAIM)
        .bind(id)
        .bind(claim.until.0)
        .bind(claim.now.0)
        .bind(claim.latest_due.0)
        .bind(claim.latest_asked.0)
        .bind(i64::from(claim.rows))
        .bind(i64::from(claim.known))
        .bind(i64::from(claim.known_of_any_turn));
    let count = update.execute(&mut *transaction).await?.rows_affected();
    let mut known = Vec::new();
    if count > 0 {
        let find = sqlx::query(FIND_CLAIMED).bind(id);
        for row in find.fetch_all(&mut *transaction).await? {
            let mut claimed = match claimed_mail_in(&row, claim.id) {
                Ok(claimed) => claimed,
                Err(error) => {
                    // Left alone until the claim ends, so that one bad row does not stop the others.
                    warn!(%error, "a row of the outbox cannot be read");
                    continue;
                }
            };
            if claimed.kind == MailKind::ResetLink {
                let token = new_token();
                let user = UserId(row.try_get("user_id")?);
                let version = row.try_get("password_version")?;
                let digest = token.digest();
                reset_tokens::set(&mut transaction, user, version, digest, claim.now).await?;
                claimed.token = Some(token);
            }
            known.push(claimed);
        }
        for settlement in earlier {
            settlement.write(&mut transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(ClaimedMails {
        claim: claim.id,
        count,
        known,
    })
}

/// The mail in a row, without a token.
fn claimed_mail_in(row: &AnyRow, claim: Uuid) -> sqlx::Result<ClaimedMail> {
    let kind: &str = row.try_get("kind")?;
    let kind = MailKind::ALL.into_iter().find(|one| one.name() == kind);
    let attempts: i64 = row.try_get("attempts")?;
    let language: Option<&str> = row.try_get("language")?;
    Ok(ClaimedMail {
        id: row.try_get("id")?,
        claim,
        kind: kind.ok_or_else(|| sqlx::Error::Decode("unknown kind of mail".into()))?,
        email: email_in(row)?,
        language: language
            .and_then(Language::by_tag)
            .unwrap_or(Language::ALL[0]),
        asked_at: UnixTime(row.try_get("asked_at")?),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        token: None,
    })
}
