//! What is to be mailed, who is sending it, and what came of it.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Connection, Row};
use tokio::time::sleep;
use tracing::warn;
use uuid::Uuid;

use super::connection::{Connections, REPEAT_PAUSES};
use super::error::Result;
use super::reset_tokens;
use super::row::email_in;
use super::sessions::cache::Touched;
use super::statement::statements;
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::Language;
use crate::source::Network;
use crate::token::ResetToken;
use crate::user::UserId;

statements! {
    /// `$1` kind, `$2` address, `$3` now, `$4` the end of the pause that begins, `$5` network, `$6` the
    /// most rows of a network that may wait, `$7` the latest end of a pause and `$8` of a claim that are
    /// possible, `$9` language.
    ///
    /// Changes nothing in the pause after the last one, while one is being sent, and if too many wait.
    /// In the pause it does bring one forward that still waits in a later turn: a flood of
    /// the outbox cannot make an owner wait with it by asking for the owner's mail, too.
    ASK = "
        INSERT INTO outbox
            (kind, email, asked_at, due_at, quiet_until, attempts, claim, network, turn, language)
        SELECT $1, $2, $3, $3, $4, 0, NULL, $5, count(*), $9
        FROM (SELECT id FROM outbox WHERE network = $5 AND due_at IS NOT NULL LIMIT $6) AS waiting
        HAVING count(*) < $6
        ON CONFLICT (kind, email) DO UPDATE SET
            asked_at = excluded.asked_at,
            due_at = excluded.due_at,
            quiet_until = excluded.quiet_until,
            attempts = 0,
            claim = NULL,
            network = excluded.network,
            turn = excluded.turn,
            language = excluded.language
        WHERE (outbox.claim IS NULL OR outbox.due_at <= excluded.asked_at OR outbox.due_at > $8)
          AND (outbox.quiet_until <= excluded.asked_at OR outbox.quiet_until > $7
               OR (outbox.due_at IS NOT NULL AND outbox.attempts = 0
                   AND excluded.turn < outbox.turn))";

    /// `$1` network; counts up to `$2`.
    COUNT_WAITING_OF_NETWORK = "
        SELECT count(*) AS waiting FROM (
            SELECT id FROM outbox WHERE network = $1 AND due_at IS NOT NULL LIMIT $2) AS waiting";

    /// Counts up to `$1`. Every turn is at least 0: here and below, that is only to say which index to
    /// read.
    COUNT_WAITING = "
        SELECT count(*) AS waiting FROM (
            SELECT id FROM outbox WHERE turn >= 0 AND due_at IS NOT NULL LIMIT $1) AS waiting";

    /// `$1` kind, `$2` address, `$3` now, `$4` language. Knows no pause. Of two events before either could be told,
    /// the later one is.
    ADD_NOTICE = "
        INSERT INTO outbox (kind, email, asked_at, due_at, quiet_until, attempts, claim, language)
        VALUES ($1, $2, $3, $3, $3, 0, NULL, $4)
        ON CONFLICT (kind, email) DO UPDATE SET
            asked_at = excluded.asked_at,
            due_at = excluded.due_at,
            quiet_until = excluded.quiet_until,
            attempts = 0,
            claim = NULL,
            language = excluded.language";

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
    /// The condition stands inside and outside: the inner one chooses, and the outer one is looked at
    /// again when the row is changed, so that of two who choose the same mail one goes without.
    CLAIM = "
        WITH
            head AS (
                SELECT id, email, turn, due_at FROM outbox
                WHERE turn >= 0 AND due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
                ORDER BY turn, due_at
                LIMIT $6),
            known AS (
                SELECT head.id, head.turn, head.due_at
                FROM head CROSS JOIN users
                WHERE users.email = head.email),
            chosen AS (
                SELECT id FROM head
                WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.email = head.email)
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
        JOIN users AS u ON u.email = o.email
        WHERE o.claim = $1";

    /// `$1` claim, `$2` the end of the pause. All those to unknown addresses.
    FINISH_UNKNOWN = "
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE claim = $1 AND NOT EXISTS (SELECT 1 FROM users WHERE users.email = outbox.email)";

    /// `$1` claim, `$2` the end of the pause, `$3` mail. Not if the claim has passed to another worker.
    FINISH = "
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE id = $3 AND claim = $1";

    /// `$1` claim, `$2` when it is due again, `$3` mail.
    POSTPONE = "
        UPDATE outbox SET due_at = $2, claim = NULL, attempts = attempts + 1
        WHERE id = $3 AND claim = $1";

    /// At most `$3` mails with nothing left to do, whose pause ended at `$1` or before, or ends later
    /// than possible, after `$2`.
    PURGE = "
        DELETE FROM outbox
        WHERE due_at IS NULL AND (quiet_until <= $1 OR quiet_until > $2) AND id IN (
            SELECT id FROM outbox
            WHERE due_at IS NULL AND (quiet_until <= $1 OR quiet_until > $2)
            LIMIT $3)";
}

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
    /// The language of who asks.
    pub language: Language,
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

/// The table of mails to be sent.
#[derive(Clone)]
pub struct Outbox {
    connections: Connections,
}

impl Outbox {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Records that a mail is asked for. In the pause after the last one, and while one is being sent,
    /// this changes nothing, which is not told.
    pub async fn ask(&self, request: MailRequest<'_>) -> Result<MailRequestOutcome> {
        let network = request.network.to_string();
        let most = i64::from(request.most_of_network);
        let ask = sqlx::query(ASK)
            .bind(request.kind.name())
            .bind(request.email.as_str())
            .bind(request.now.0)
            .bind(request.quiet_until.0)
            .bind(network.clone())
            .bind(most)
            .bind(request.latest_quiet_until.0)
            .bind(request.latest_claim.0)
            .bind(request.language.tag());
        if self.connections.execute(Touched::None, ask).await? > 0 {
            return Ok(MailRequestOutcome::Accepted);
        }
        let count = sqlx::query(COUNT_WAITING_OF_NETWORK)
            .bind(network)
            .bind(most);
        Ok(if self.count(count).await? < most {
            MailRequestOutcome::Accepted
        } else {
            MailRequestOutcome::TooManyWait
        })
    }

    /// Whether at least so many mails wait.
    pub async fn are_waiting(&self, count: u32) -> Result<bool> {
        let most = i64::from(count);
        let count = sqlx::query(COUNT_WAITING).bind(most);
        Ok(self.count(count).await? >= most)
    }

    async fn count(&self, count: Query<'static, Any, AnyArguments>) -> Result<i64> {
        let row = self.connections.fetch_optional(count).await?;
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
    pub async fn claim(
        &self,
        claim: MailClaim,
        earlier: &[Settlement],
        new_token: impl Fn() -> ResetToken,
    ) -> Result<ClaimedMails> {
        let mut pauses = REPEAT_PAUSES.into_iter();
        loop {
            let claimed = self.connections.write(Touched::None, async |connection| {
                claim_mails(connection, claim, earlier, &new_token).await
            });
            match (claimed.await, pauses.next()) {
                // With another worker, which locks the same rows in another order.
                (Err(error), Some(pause)) if error.is_deadlock() => sleep(pause).await,
                (claimed, _) => return claimed,
            }
        }
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

    /// Deletes the mails with nothing left to do whose pause ended at `now` or before, or ends after
    /// `latest`. Returns how many.
    ///
    /// # Errors
    ///
    /// What was deleted until then stays deleted.
    pub async fn purge(&self, now: UnixTime, latest: UnixTime) -> Result<u64> {
        let bounds = [now.0, latest.0];
        self.connections.purge(Touched::None, PURGE, bounds).await
    }
}

/// Records that the password of the user with this address was changed, to be told by mail.
pub async fn add_password_changed(
    connection: &mut AnyConnection,
    email: &Email,
    language: Language,
    now: UnixTime,
) -> sqlx::Result<()> {
    let add = sqlx::query(ADD_NOTICE)
        .bind(MailKind::PasswordChanged.name())
        .bind(email.as_str())
        .bind(now.0)
        .bind(language.tag());
    add.execute(connection).await?;
    Ok(())
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
