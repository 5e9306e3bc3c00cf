//! The mails that are being sent: who has claimed them, and what becomes of them.

use sqlx::{AnyConnection, Connection};
use tracing::warn;
use uuid::Uuid;

use super::content::{MailContent, claimed_row_in, content_of};
use super::issued_tokens::{IssuedTokens, MailId};
use super::recipients::{is_sent, with_accounts};
use super::{MailKind, Outbox};
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::sessions::cache::Touched;
use crate::db::statement::statements;
use crate::email::Email;
use crate::language::Language;
use crate::token::TokenSource;

statements! {
    /// `$1` claim, `$2` its end, `$3` now, `$4` the latest moment at which a mail can be due, `$5` the
    /// latest at which one can have been asked for, `$6` how many rows to look at; claims as many of
    /// these as are not sent, and `$7` that are, but only `$8` of a later turn than the first. `$9` after when
    /// an address must have been given up for an account to be taken back to it.
    ///
    /// What is due later than possible, or was asked for later, counts as due or asked for now: a clock
    /// was wrong.
    ///
    /// What would be answered by speaking of the link that takes an account back waits until that is sent.
    ///
    /// The condition stands inside and outside: the inner one chooses, and the outer one is looked at
    /// again when the row is changed, so that of two who choose the same mail one goes without.
    CLAIM = concat!("
        WITH
            head AS (
                SELECT id, kind, email, turn, due_at FROM outbox
                WHERE turn >= 0 AND due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
                  AND (kind NOT IN ('reset_link', 'sign_up', 'change_address') OR NOT EXISTS (
                    SELECT 1 FROM past_addresses AS past
                    JOIN outbox AS link ON link.email = past.email AND link.kind = 'address_changed'
                    WHERE past.email = outbox.email AND link.due_at IS NOT NULL))
                ORDER BY turn, due_at
                LIMIT $6),
            sent AS (
                SELECT head.id, head.turn, head.due_at
                FROM ", with_accounts!("head", "$9"), "
                WHERE ", is_sent!("head"), "),
            chosen AS (
                SELECT id FROM head WHERE id NOT IN (SELECT id FROM sent)
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM sent WHERE turn = 0 ORDER BY due_at LIMIT $7) AS first_of_network
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM sent ORDER BY turn, due_at LIMIT $8) AS of_any_turn)
        UPDATE outbox SET
            claim = $1,
            due_at = $2,
            asked_at = CASE WHEN asked_at > $5 THEN $3 ELSE asked_at END
        WHERE due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
          AND id IN (SELECT id FROM chosen)");

    /// `$1` claim, `$2` after when an address must have been given up. Only those that are sent.
    FIND_CLAIMED = concat!("
        SELECT mail.id, mail.kind, mail.email, mail.asked_at, mail.attempts, mail.language,
            mail.client, mail.source,
            users.id AS user_id, users.password_version,
            past.id AS past_id, past.user_id AS past_user_id, past.changed_at
        FROM outbox AS ", with_accounts!("mail", "$2"), "
        WHERE mail.claim = $1 AND ", is_sent!("mail"));

    /// `$1` claim, `$2` the end of the pause, `$3` after when an address must have been given up. All those
    /// that are not sent.
    FINISH_UNSENT = concat!("
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE claim = $1 AND id NOT IN (
            SELECT mail.id FROM outbox AS ", with_accounts!("mail", "$3"), "
            WHERE mail.claim = $1 AND ", is_sent!("mail"), ")");

    /// `$1` claim, `$2` the end of the pause, `$3` mail, `$4` when it was asked for. Not if the claim has
    /// passed to another worker. If it was asked for since, by one who has no token of this mail, another
    /// follows at the end of the pause.
    FINISH = "
        UPDATE outbox SET
            due_at = CASE WHEN asked_at = $4 THEN NULL ELSE CAST($2 AS BIGINT) END,
            attempts = 0,
            claim = NULL,
            network = CASE WHEN asked_at = $4 THEN NULL ELSE network END,
            quiet_until = $2
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
    /// How many mails to claim at most that are to be sent.
    pub sent: u32,
    /// How many of them may have a later turn than the first of their network.
    pub sent_of_any_turn: u32,
    /// An account can be taken back to an address that it has given up after this.
    pub given_up_after: UnixTime,
}

/// What one worker has claimed.
#[derive(Debug)]
pub struct ClaimedMails {
    claim: Uuid,
    given_up_after: UnixTime,
    /// How many mails there are, with those that are not sent.
    pub count: u64,
    /// Those to be sent.
    pub sent: Vec<ClaimedMail>,
}

impl ClaimedMails {
    /// Nothing is left to do for those that are not sent.
    pub fn unsent_done(&self, quiet_until: UnixTime) -> Settlement {
        Settlement {
            statement: FINISH_UNSENT,
            claim: self.claim,
            moment: quiet_until,
            subject: self.given_up_after.0,
            asked_at: None,
        }
    }
}

/// A mail that one worker has claimed and sends.
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
    /// What it says, with the token of its link.
    pub content: MailContent,
}

impl ClaimedMail {
    /// Nothing is left to do. Asking for another before `quiet_until` changes nothing.
    pub fn done(&self, quiet_until: UnixTime) -> Settlement {
        self.settlement(FINISH, quiet_until, Some(self.asked_at))
    }

    /// It could not be sent and is due again at this moment.
    pub fn postponed(&self, due_at: UnixTime) -> Settlement {
        self.settlement(POSTPONE, due_at, None)
    }

    fn settlement(
        &self,
        statement: &'static str,
        moment: UnixTime,
        asked_at: Option<UnixTime>,
    ) -> Settlement {
        Settlement {
            statement,
            claim: self.claim,
            moment,
            subject: self.id,
            asked_at,
        }
    }
}

/// What becomes of claimed mails.
#[derive(Clone, Copy, Debug)]
pub struct Settlement {
    statement: &'static str,
    claim: Uuid,
    moment: UnixTime,
    /// The mail; for all those that are not sent, after when an address must have been given up.
    subject: i64,
    /// When a mail that is done was asked for.
    asked_at: Option<UnixTime>,
}

impl Settlement {
    /// Writes it down. It changes nothing if another worker has claimed the mail since, or it was asked
    /// for anew: then it is theirs.
    async fn write(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let mut settle = sqlx::query(self.statement)
            .bind(self.claim.as_bytes().as_slice())
            .bind(self.moment.0)
            .bind(self.subject);
        if let Some(asked_at) = self.asked_at {
            settle = settle.bind(asked_at.0);
        }
        settle.execute(connection).await?;
        Ok(())
    }

    /// The mail of which nothing is left to do; `None` for one that is tried again, and for those that are not
    /// sent.
    fn done(&self) -> Option<MailId> {
        self.asked_at.map(|asked_at| (asked_at, self.subject))
    }
}

impl Outbox {
    /// Claims mails that are due, with a token for each link among them, which is that of the last try if it
    /// is still stored. If there are any, also
    /// writes down what became of earlier ones: all in one transaction, so that mails that are sent and
    /// mails that are not take the same number of commits.
    ///
    /// # Errors
    ///
    /// Nothing has changed then, or, after [`Error::TimedOut`](crate::db::Error::TimedOut), perhaps all of
    /// it; mails claimed so fall due again when the claim ends.
    pub async fn claim(
        &self,
        claim: MailClaim,
        earlier: &[Settlement],
        tokens: &dyn TokenSource,
    ) -> Result<ClaimedMails> {
        let issued = &self.issued_tokens;
        let claimed = self
            .connections
            .write(Touched::None, async |connection| {
                claim_mails(connection, claim, earlier, issued, tokens).await
            })
            .await?;
        for mail in &claimed.sent {
            if let Some(token) = mail.content.token() {
                issued.remember((mail.asked_at, mail.id), token);
            }
        }
        if claimed.count > 0 {
            self.forget_done(earlier);
        }
        Ok(claimed)
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
            .await?;
        self.forget_done(settlements);
        Ok(())
    }

    fn forget_done(&self, settlements: &[Settlement]) {
        for mail in settlements.iter().filter_map(Settlement::done) {
            self.issued_tokens.forget(mail);
        }
    }
}

async fn claim_mails(
    connection: &mut AnyConnection,
    claim: MailClaim,
    earlier: &[Settlement],
    issued: &IssuedTokens,
    tokens: &dyn TokenSource,
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
        .bind(i64::from(claim.sent))
        .bind(i64::from(claim.sent_of_any_turn))
        .bind(claim.given_up_after.0);
    let count = update.execute(&mut *transaction).await?.rows_affected();
    let mut sent = Vec::new();
    if count > 0 {
        let find = sqlx::query(FIND_CLAIMED)
            .bind(id)
            .bind(claim.given_up_after.0);
        for row in find.fetch_all(&mut *transaction).await? {
            let found = match claimed_row_in(&row) {
                Ok(found) => found,
                // Left alone until the claim ends, so that one bad row does not stop the others.
                Err(error) => {
                    warn!(%error, "a row of the outbox cannot be read");
                    continue;
                }
            };
            let last = issued.of((found.asked_at, found.id));
            let content = content_of(&mut transaction, &found, last, claim.now, tokens).await?;
            sent.extend(content.map(|content| ClaimedMail {
                id: found.id,
                claim: claim.id,
                kind: found.kind,
                email: found.email,
                language: found.language,
                asked_at: found.asked_at,
                attempts: found.attempts,
                content,
            }));
        }
        for settlement in earlier {
            settlement.write(&mut transaction).await?;
        }
    }
    transaction.commit().await?;
    Ok(ClaimedMails {
        claim: claim.id,
        given_up_after: claim.given_up_after,
        count,
        sent,
    })
}
