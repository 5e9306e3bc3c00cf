//! Changing the address of an account, by a token that goes to the new one, and taking the account back to an
//! address that it had.
//!
//! Each transaction has the lock of the row of its user before it looks at anything of theirs, so that what
//! happens to one account happens in turn.

use sqlx::{AnyConnection, Connection, Row};

use super::{Users, delete_void};
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::outbox::{self, MailRequest, MailRequestOutcome, notices};
use crate::db::past_addresses::{self, PastAddress, UndoTokenWay};
use crate::db::pending_addresses::{self, AskedAddress, TokenWay};
use crate::db::rate_limits::Proof;
use crate::db::row::email_in;
use crate::db::sessions;
use crate::db::sessions::acting::{ActingSession, is_session_valid, lock_user};
use crate::db::sessions::cache::Touched;
use crate::db::sessions::insert::NewSession;
use crate::db::statement::statements;
use crate::db::validity::Period;
use crate::email::Email;
use crate::language::Language;
use crate::token::{EmailTokenDigest, UndoTokenDigest};
use crate::user::{HashedPassword, UserId};

statements! {
    /// `$1` address, `$2` after when another account must have given it up to be taken back to it.
    FIND_TAKEN = "
        SELECT id FROM users WHERE email = $1
        UNION ALL
        SELECT id FROM past_addresses WHERE email = $1 AND changed_at > $2";

    /// `$5` new address, `$6` now if the user was found to read its mail, else NULL, `$7` the address until
    /// now, for the user `$2` by the session `$1`. Not if the new address is taken: the index of the column
    /// decides that if two take it at once.
    CHANGE = concat!("
        UPDATE users SET
            email = $5, email_confirmed_at = $6, password_version = password_version + 1
        WHERE id = $2 AND email = $7 AND NOT EXISTS (SELECT 1 FROM users AS o WHERE o.email = $5)
          AND ", is_session_valid!());

    /// `$1` user, `$2` address, `$3` hash, `$4` now if the user was found to read its mail, else NULL.
    TAKE_BACK = "
        UPDATE users SET
            email = $2, hashed_password = $3, email_confirmed_at = $4,
            password_version = password_version + 1
        WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM users AS o WHERE o.email = $2 AND o.id <> $1)";

    /// `$1` user.
    FIND_USER = "
        SELECT email, password_version FROM users WHERE id = $1";
}

/// A request to change an address.
#[derive(Clone, Debug)]
pub struct AddressRequest<'a> {
    /// The session that asks for it.
    pub acting: ActingSession,
    /// The address to be.
    pub email: &'a Email,
    /// How the user gets the token.
    pub way: TokenWay,
    /// The mail that has it, if it goes by mail.
    pub mail: Option<MailRequest<'a>>,
    /// When it is made.
    pub now: UnixTime,
}

/// What came of an [`AddressRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressRequestOutcome {
    /// It is recorded.
    Accepted,
    /// The session is not valid.
    NoSession,
    /// Too many mails wait.
    TooManyWait,
}

/// A change of an address by a token.
#[derive(Clone, Debug)]
pub struct AddressChange {
    /// The session that asks for it.
    pub acting: ActingSession,
    /// The address until now.
    pub email: Email,
    /// The one from now on, as the token was found to be for.
    pub new_email: Email,
    /// The token.
    pub token: EmailTokenDigest,
    /// When the token must have been issued.
    pub issued: Period,
    /// How the token that undoes the change reaches the owner of the old address.
    pub undo: UndoTokenWay,
    /// When another account must have given the new address up to keep it from this one, and this account to
    /// go back to it.
    pub given_up: Period,
    /// The session that takes the place of the one that asks. It is of the version that the change sets.
    pub session: NewSession,
    /// In which language the old address is to be told by mail, if so. The change and the mail are recorded
    /// together or not at all.
    pub told_by_mail: Option<Language>,
    /// The source of the change, with the new address, which is then the only familiar source of the user.
    pub proof: Option<Proof>,
}

/// What came of an [`AddressChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressChangeOutcome {
    /// The user has the new address, and can be taken back to the old one.
    Changed,
    /// The user has an address again that they could be taken back to. This undoes all that came after it, and
    /// nothing undoes this.
    WentBack,
    /// The session is not valid, or the user has another address by now.
    NoSession,
    /// The token is not valid.
    BadToken,
    /// The address is taken, or another account can be taken back to it. The token was not used up.
    EmailTaken,
}

/// Taking an account back to an address that it had.
#[derive(Clone, Debug)]
pub struct AddressUndo {
    /// What the token is for, as it was found. If the token was mailed, the address is the user's.
    pub past: PastAddress,
    /// The token.
    pub token: UndoTokenDigest,
    /// When the address must have been given up.
    pub given_up: Period,
    /// The new hash.
    pub hashed_password: HashedPassword,
    /// When it is done.
    pub now: UnixTime,
    /// In which language the address is to be told by mail that it is the user's again, and the one that the
    /// user has until then that it is no longer theirs, if so.
    pub told_by_mail: Option<Language>,
    /// The source of the request, which is then the only familiar source of the user.
    pub proof: Option<Proof>,
}

impl Users {
    /// Whether a user has this address, or one who has given it up within this period can be taken back to
    /// it.
    pub async fn is_taken(&self, email: &Email, given_up: Period) -> Result<bool> {
        let find = sqlx::query(FIND_TAKEN)
            .bind(email.as_str())
            .bind(given_up.after.0);
        Ok(self.connections.fetch_optional(find).await?.is_some())
    }

    /// The same for who has this number, who can take back an address of their own.
    pub async fn is_taken_for(
        &self,
        user: UserId,
        email: &Email,
        given_up: Period,
    ) -> Result<bool> {
        if self.find_by_email(email).await?.is_some() {
            return Ok(true);
        }
        let find = self.connections.read(async |connection| {
            past_addresses::is_of_other(connection, email, Some(user), given_up).await
        });
        find.await
    }

    /// Records that a user asks for another address, and that its mail is asked for. The same is done whether
    /// or not the address is taken.
    pub async fn ask_for_address(
        &self,
        request: &AddressRequest<'_>,
    ) -> Result<AddressRequestOutcome> {
        let work = async |connection: &mut AnyConnection| ask(connection, request).await;
        self.connections.write(Touched::None, work).await
    }

    /// Gives a user the address that a token is for, and begins a session in place of the one that asks for
    /// it. Voids every other session, every reset token and every familiar source of the user, and records
    /// the old address with the mail to it, unless the user goes back to one that they had before it. Changes
    /// nothing unless it succeeds.
    pub async fn change_address(&self, change: &AddressChange) -> Result<AddressChangeOutcome> {
        let touched = Touched::SessionsOf(change.acting.user);
        // Holds as long as the session does, of which the transaction makes sure: what changes the addresses
        // that a user had ends their sessions.
        let (user, new, given_up) = (change.acting.user, &change.new_email, change.given_up);
        let find = self.connections.read(async |connection| {
            past_addresses::find_own(connection, user, new, given_up).await
        });
        let earlier = find.await?;
        let work = async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin().await?;
            let outcome = self::change(&mut transaction, change, earlier.as_ref()).await?;
            match outcome {
                AddressChangeOutcome::Changed | AddressChangeOutcome::WentBack => {
                    transaction.commit().await?;
                }
                _ => transaction.rollback().await?,
            }
            Ok(outcome)
        };
        match self.connections.write(touched, work).await {
            // Another one has taken it in this moment.
            Err(error) if error.is_unique_violation() => Ok(AddressChangeOutcome::EmailTaken),
            done => done,
        }
    }

    /// Takes a user back to an address that they had, with a new password. Voids every session, every reset
    /// token, every familiar source and every later change of the address, made or asked for. False, with
    /// nothing changed, if the token is not valid.
    pub async fn undo_address_change(&self, undo: &AddressUndo) -> Result<bool> {
        let touched = Touched::SessionsOf(undo.past.user);
        let work = async |connection: &mut AnyConnection| {
            let mut transaction = connection.begin().await?;
            let is_done = self::undo(&mut transaction, undo).await?;
            if is_done {
                transaction.commit().await?;
            } else {
                transaction.rollback().await?;
            }
            Ok(is_done)
        };
        match self.connections.write(touched, work).await {
            // Somebody has it who found it free by another clock.
            Err(error) if error.is_unique_violation() => Ok(false),
            done => done,
        }
    }
}

async fn ask(
    connection: &mut AnyConnection,
    request: &AddressRequest<'_>,
) -> sqlx::Result<AddressRequestOutcome> {
    let mut transaction = connection.begin().await?;
    // First: the worker that sends mails locks the rows in this order too.
    if let Some(mail) = &request.mail
        && outbox::ask(&mut transaction, mail).await? == MailRequestOutcome::TooManyWait
    {
        transaction.rollback().await?;
        return Ok(AddressRequestOutcome::TooManyWait);
    }
    let AddressRequest {
        acting,
        email,
        way,
        now,
        ..
    } = *request;
    let is_set = acting.hold(&mut transaction).await?
        && pending_addresses::set(&mut transaction, acting, email, way, now).await?;
    if !is_set {
        transaction.rollback().await?;
        return Ok(AddressRequestOutcome::NoSession);
    }
    if let Some(mail) = &request.mail {
        outbox::put_off(&mut transaction, mail, acting.user).await?;
    }
    transaction.commit().await?;
    Ok(AddressRequestOutcome::Accepted)
}

async fn change(
    connection: &mut AnyConnection,
    change: &AddressChange,
    earlier: Option<&PastAddress>,
) -> sqlx::Result<AddressChangeOutcome> {
    let (acting, new, now) = (change.acting, &change.new_email, change.session.now);
    let (user, given_up) = (acting.user, change.given_up);
    // First: the worker that sends mails locks the rows in this order too.
    if let Some(language) = change.told_by_mail {
        let old = &change.email;
        if earlier.is_some() {
            notices::add_address_taken_back(connection, old, language, now).await?;
        } else {
            notices::add_address_changed(connection, old, language, now).await?;
        }
    }
    if !acting.hold(connection).await? {
        return Ok(AddressChangeOutcome::NoSession);
    }
    let asked = pending_addresses::find(connection, acting.user, change.token).await?;
    let is_valid =
        |asked: &AskedAddress| asked.email == *new && change.issued.contains(asked.issued_at);
    let Some(asked) = asked.filter(is_valid) else {
        return Ok(AddressChangeOutcome::BadToken);
    };
    let set = acting
        .bound(CHANGE)
        .bind(new.as_str().to_owned())
        .bind(asked.is_mailed.then_some(now.0))
        .bind(change.email.as_str().to_owned());
    let is_changed = set.execute(&mut *connection).await?.rows_affected() > 0;
    // Looked at after the change: see `past_addresses`.
    if !is_changed || past_addresses::is_of_other(connection, new, Some(user), given_up).await? {
        return Ok(AddressChangeOutcome::EmailTaken);
    }
    // It may have been the user's before.
    past_addresses::delete(connection, new).await?;
    match earlier {
        // Else the address that is given up, a thief's perhaps, would be one to take the account back to.
        Some(earlier) => past_addresses::delete_later(connection, earlier).await?,
        None => past_addresses::add(connection, user, &change.email, change.undo, now).await?,
    }
    let version = change.session.password_version;
    let proof = change.proof.map(|proof| (version, proof));
    delete_void(connection, user, proof).await?;
    sessions::delete(connection, acting.digest).await?;
    change.session.add(connection).await?;
    Ok(match earlier {
        Some(_) => AddressChangeOutcome::WentBack,
        None => AddressChangeOutcome::Changed,
    })
}

async fn undo(connection: &mut AnyConnection, undo: &AddressUndo) -> sqlx::Result<bool> {
    let AddressUndo { past, now, .. } = undo;
    let user = past.user;
    lock_user(connection, user).await?;
    if !past_addresses::use_up(connection, past, undo.token, undo.given_up).await? {
        return Ok(false);
    }
    let (lost, version) = email_and_version(connection, user).await?;
    let take_back = sqlx::query(TAKE_BACK)
        .bind(user.0)
        .bind(past.email.as_str())
        .bind(undo.hashed_password.as_str())
        .bind(past.is_mailed.then_some(now.0));
    if take_back.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    // Before the tokens: the worker that sends mails locks the rows in this order too.
    if let Some(language) = undo.told_by_mail {
        notices::add_address_change_undone(connection, &past.email, language, *now).await?;
        notices::add_address_taken_back(connection, &lost, language, *now).await?;
    }
    past_addresses::delete_later(connection, past).await?;
    let proof = undo.proof.map(|proof| (version + 1, proof));
    delete_void(connection, user, proof).await?;
    Ok(true)
}

async fn email_and_version(
    connection: &mut AnyConnection,
    user: UserId,
) -> sqlx::Result<(Email, i64)> {
    let find = sqlx::query(FIND_USER).bind(user.0);
    let row = find.fetch_one(connection).await?;
    Ok((email_in(&row)?, row.try_get("password_version")?))
}
