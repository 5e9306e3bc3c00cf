//! What is to be mailed, who is sending it, and what came of it.

use sqlx::Row;
use uuid::Uuid;

use super::{Db, Result, loan, sql};
use crate::clock::UnixTime;
use crate::email::{Email, InvalidEmail};

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

/// A mail that one worker has claimed.
#[derive(Clone, Debug)]
pub struct ClaimedMail {
    id: i64,
    claim: Uuid,
    /// What it is about.
    pub kind: MailKind,
    /// Whom it is for, if anybody has this address.
    pub email: Email,
    /// When it was asked for.
    pub asked_at: UnixTime,
    /// How many tries have failed.
    pub attempts: u32,
}

/// What becomes of a claimed mail.
#[derive(Clone, Copy, Debug)]
pub enum Settlement {
    /// Nothing is left to do. Asking for another before `quiet_until` changes nothing.
    Done {
        /// When the pause ends.
        quiet_until: UnixTime,
    },
    /// It could not be sent and is tried again.
    Postponed {
        /// When.
        due_at: UnixTime,
    },
}

impl Db {
    /// Records that a mail is asked for. Changes nothing if the last one was asked for or sent less
    /// than a pause ago, which nobody learns.
    ///
    /// # Errors
    ///
    /// See [`Error`](super::Error), here and below.
    pub async fn ask_for_mail(
        &self,
        kind: MailKind,
        email: &Email,
        now: UnixTime,
        quiet_until: UnixTime,
    ) -> Result<()> {
        let ask = sqlx::query(sql::ASK_FOR_MAIL)
            .bind(kind.name())
            .bind(email.as_str())
            .bind(now.0)
            .bind(quiet_until.0);
        self.execute(ask).await?;
        Ok(())
    }

    /// Claims the mails that are due, at most eight, until `claimed_until`: nobody else gets them
    /// before. The claim is a number that nobody else has drawn.
    ///
    /// # Errors
    ///
    /// Also if what is stored is no mail of ours.
    pub async fn claim_mails(
        &self,
        claim: Uuid,
        now: UnixTime,
        claimed_until: UnixTime,
    ) -> Result<Vec<ClaimedMail>> {
        let update = sqlx::query(sql::CLAIM_MAILS)
            .bind(claim.as_bytes().as_slice())
            .bind(claimed_until.0)
            .bind(now.0);
        if self.execute(update).await? == 0 {
            return Ok(Vec::new());
        }
        let find = sqlx::query(sql::FIND_CLAIMED_MAILS)
            .bind(claim.as_bytes().as_slice())
            .bind(claimed_until.0);
        let rows = loan::fetch_all(&self.readers, find).await?;
        rows.iter()
            .map(|row| {
                let kind: String = row.try_get("kind")?;
                let kind = MailKind::ALL.into_iter().find(|one| one.name() == kind);
                let email: String = row.try_get("email")?;
                let email = email
                    .parse()
                    .map_err(|error: InvalidEmail| sqlx::Error::Decode(error.into()))?;
                let attempts: i64 = row.try_get("attempts")?;
                Ok(ClaimedMail {
                    id: row.try_get("id")?,
                    claim,
                    kind: kind.ok_or_else(|| sqlx::Error::Decode("unknown kind of mail".into()))?,
                    email,
                    asked_at: UnixTime(row.try_get("asked_at")?),
                    attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
                })
            })
            .collect()
    }

    /// Writes down what came of a claimed mail. False if somebody else has claimed it since, or it was
    /// asked for anew: then it is theirs.
    ///
    /// # Errors
    ///
    /// See [`Error`](super::Error); the mail falls due again when the claim ends.
    pub async fn settle_mail(&self, claimed: &ClaimedMail, settlement: Settlement) -> Result<bool> {
        let (text, moment) = match settlement {
            Settlement::Done { quiet_until } => (sql::FINISH_MAIL, quiet_until),
            Settlement::Postponed { due_at } => (sql::POSTPONE_MAIL, due_at),
        };
        let settle = sqlx::query(text)
            .bind(claimed.id)
            .bind(claimed.claim.as_bytes().as_slice())
            .bind(moment.0);
        self.change(settle).await
    }
}
