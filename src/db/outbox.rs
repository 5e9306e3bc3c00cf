//! What is to be mailed, who is sending it, and what came of it.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection, Row};
use tracing::warn;
use uuid::Uuid;

use super::loan::{self, lend};
use super::{Db, Result, email_in, sql};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::source::Network;
use crate::token::ResetToken;

/// What a mail is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailKind {
    /// A link to choose a new password by.
    ResetLink,
    /// The news that the password was changed.
    PasswordChanged,
}

impl MailKind {
    const ALL: [Self; 2] = [Self::ResetLink, Self::PasswordChanged];

    /// The name under which it is stored and logged.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ResetLink => "reset_link",
            Self::PasswordChanged => "password_changed",
        }
    }
}

/// A request for a mail.
#[derive(Clone, Debug)]
pub struct MailRequest<'a> {
    /// What it is about.
    pub kind: MailKind,
    /// The address, known or not.
    pub email: &'a Email,
    /// Where the request comes from.
    pub network: Network,
    /// When it is made.
    pub now: UnixTime,
    /// Until when asking again changes nothing.
    pub quiet_until: UnixTime,
    /// A stored pause that ends after this was stored while a clock was wrong.
    pub latest_quiet_until: UnixTime,
    /// A stored claim that ends after this was stored while a clock was wrong.
    pub latest_claim: UnixTime,
    /// How many rows may wait that were asked for from one network.
    pub most_of_network: u32,
}

/// What came of a [`MailRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailRequestOutcome {
    /// There is a row for it, this one's or an earlier one's.
    Accepted,
    /// Too many rows wait that were asked for from this network; whether the address has one is not
    /// told.
    TooManyWait,
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
    #[must_use]
    pub fn unknown_done(&self, quiet_until: UnixTime) -> Settlement {
        Settlement {
            statement: sql::FINISH_UNKNOWN_MAILS,
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
    /// When it was asked for.
    pub asked_at: UnixTime,
    /// How many tries have failed.
    pub attempts: u32,
    /// The token that was issued for it, if it is a reset link.
    pub token: Option<ResetToken>,
}

impl ClaimedMail {
    /// Nothing is left to do. Asking for another before `quiet_until` changes nothing.
    #[must_use]
    pub fn done(&self, quiet_until: UnixTime) -> Settlement {
        self.settlement(sql::FINISH_MAIL, quiet_until)
    }

    /// It could not be sent and is due again at this moment.
    #[must_use]
    pub fn postponed(&self, due_at: UnixTime) -> Settlement {
        self.settlement(sql::POSTPONE_MAIL, due_at)
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

impl Db {
    /// Records that a mail is asked for. In the pause after the last one, and while one is being sent,
    /// this changes nothing, which is not told.
    ///
    /// # Errors
    ///
    /// See [`Error`](super::Error), here and below.
    pub async fn ask_for_mail(&self, request: MailRequest<'_>) -> Result<MailRequestOutcome> {
        let network = request.network.to_string();
        let most = i64::from(request.most_of_network);
        let ask = sqlx::query(sql::ASK_FOR_MAIL)
            .bind(request.kind.name())
            .bind(request.email.as_str())
            .bind(request.now.0)
            .bind(request.quiet_until.0)
            .bind(network.clone())
            .bind(most)
            .bind(request.latest_quiet_until.0)
            .bind(request.latest_claim.0);
        if self.change(ask).await? {
            return Ok(MailRequestOutcome::Accepted);
        }
        let count = sqlx::query(sql::COUNT_WAITING_MAILS_OF_NETWORK)
            .bind(network)
            .bind(most);
        Ok(if self.count(count).await? < most {
            MailRequestOutcome::Accepted
        } else {
            MailRequestOutcome::TooManyWait
        })
    }

    /// Whether at least so many mails wait.
    ///
    /// # Errors
    ///
    /// See [`Error`](super::Error).
    pub async fn are_mails_waiting(&self, count: u32) -> Result<bool> {
        let most = i64::from(count);
        let count = sqlx::query(sql::COUNT_WAITING_MAILS).bind(most);
        Ok(self.count(count).await? >= most)
    }

    async fn count(&self, count: Query<'static, Any, AnyArguments>) -> Result<i64> {
        let row = loan::fetch_optional(&self.readers, count).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get("waiting"))?)
    }

    /// Claims mails that are due, and issues a token for each reset link among them. If there are any,
    /// also writes down what became of earlier ones: all in one transaction, so that mails to known
    /// and to unknown addresses take the same number of commits.
    ///
    /// # Errors
    ///
    /// Nothing has changed then, or, after [`Error::TimedOut`](super::Error::TimedOut), perhaps all of
    /// it; mails claimed so fall due again when the claim ends.
    pub async fn claim_mails(
        &self,
        claim: MailClaim,
        earlier: &[Settlement],
        new_token: impl Fn() -> ResetToken,
    ) -> Result<ClaimedMails> {
        let claim_once = || {
            lend(&self.writer, async |connection| {
                claim_mails(connection, claim, earlier, &new_token).await
            })
        };
        match claim_once().await {
            // With another worker, which takes the same rows in another order.
            Err(error) if error.is_deadlock() => claim_once().await,
            claimed => claimed,
        }
    }

    /// Writes down what became of claimed mails.
    ///
    /// # Errors
    ///
    /// See [`Error`](super::Error); the mails fall due again when their claims end.
    pub async fn settle_mails(&self, settlements: &[Settlement]) -> Result<()> {
        lend(&self.writer, async |connection| {
            let mut transaction = connection.begin().await?;
            for settlement in settlements {
                settlement.write(&mut transaction).await?;
            }
            transaction.commit().await
        })
        .await
    }

    /// Deletes the mails with nothing left to do whose pause ended at `now` or before, or ends after
    /// `latest`. Returns how many.
    ///
    /// # Errors
    ///
    /// See [`Error`](super::Error); what was deleted until then stays deleted.
    pub async fn purge_mails(&self, now: UnixTime, latest: UnixTime) -> Result<u64> {
        self.purge_by(sql::PURGE_MAILS, [now.0, latest.0]).await
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
    let update = sqlx::query(sql::CLAIM_MAILS)
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
        let find = sqlx::query(sql::FIND_CLAIMED_MAILS).bind(id);
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
                sqlx::query(sql::SET_RESET_TOKEN)
                    .bind(row.try_get::<i64, _>("user_id")?)
                    .bind(token.digest().as_bytes())
                    .bind(row.try_get::<i64, _>("password_version")?)
                    .bind(claim.now.0)
                    .execute(&mut *transaction)
                    .await?;
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
    Ok(ClaimedMail {
        id: row.try_get("id")?,
        claim,
        kind: kind.ok_or_else(|| sqlx::Error::Decode("unknown kind of mail".into()))?,
        email: email_in(row)?,
        asked_at: UnixTime(row.try_get("asked_at")?),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        token: None,
    })
}
