//! What owners are told of what was done: asked for by what is done, in the same transaction.

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection};

use super::{MailKind, add};
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::db::statement::statements;
use crate::email::Email;
use crate::language::Language;
use crate::source::Source;

statements! {
    /// `$1` kind, `$2` address, `$3` now, `$4` the end of the pause that begins, `$5` the latest end of a
    /// pause that is possible, `$6` language, `$7` client, `$8` source. For no network.
    ///
    /// In the pause after the last one it is due when the pause ends. While one is being sent, when its
    /// pause is not known yet, it is only noted as asked for later: see `FINISH`. So what comes many times is
    /// told seldom, but the last one is told.
    ADD_IN_PAUSE = "
        INSERT INTO outbox
            (kind, email, asked_at, due_at, quiet_until, attempts, claim, language, client, source)
        VALUES ($1, $2, $3, $3, $4, 0, NULL, $6, $7, $8)
        ON CONFLICT (kind, email) DO UPDATE SET
            asked_at = CASE
                WHEN outbox.claim IS NULL OR outbox.asked_at < excluded.asked_at THEN excluded.asked_at
                ELSE outbox.asked_at + 1 END,
            due_at = CASE
                WHEN outbox.claim IS NOT NULL THEN outbox.due_at
                WHEN outbox.quiet_until > $3 AND outbox.quiet_until <= $5 THEN outbox.quiet_until
                ELSE excluded.due_at END,
            quiet_until = CASE
                WHEN outbox.claim IS NOT NULL THEN outbox.quiet_until
                WHEN outbox.quiet_until > $3 AND outbox.quiet_until <= $5 THEN outbox.quiet_until
                ELSE excluded.quiet_until END,
            attempts = CASE WHEN outbox.claim IS NULL THEN 0 ELSE outbox.attempts END,
            network = NULL,
            turn = 0,
            language = excluded.language,
            client = excluded.client,
            source = excluded.source";
}

/// The pause that begins with a mail: until it ends, no other mail of its kind goes to its address.
#[derive(Clone, Copy, Debug)]
pub struct MailPause {
    /// When it begins.
    pub now: UnixTime,
    /// When it ends.
    pub ends_at: UnixTime,
    /// A stored pause that ends after this was stored while a clock was wrong.
    pub latest_end: UnixTime,
}

/// The news of a login, for the owner of the account.
#[derive(Clone, Debug)]
pub struct LoginNotice {
    /// The address of the account.
    pub email: Email,
    /// The language of who logged in.
    pub language: Language,
    /// What they logged in with; `None` if that did not say.
    pub client: Option<ClientName>,
    /// From where.
    pub source: Source,
    /// The pause that begins at the moment of the login.
    pub pause: MailPause,
}

impl LoginNotice {
    /// Records it, to be told by mail.
    pub async fn add(&self, connection: &mut AnyConnection) -> sqlx::Result<()> {
        let client = self.client.as_ref().map(ToString::to_string);
        add_in_pause(MailKind::Login, &self.email, self.language, self.pause)
            .bind(client)
            .bind(Some(self.source.to_bytes()))
            .execute(connection)
            .await?;
        Ok(())
    }
}

/// Records that the password of the user with this address was changed, to be told by mail.
pub async fn add_password_changed(
    connection: &mut AnyConnection,
    email: &Email,
    language: Language,
    pause: MailPause,
) -> sqlx::Result<()> {
    add_of_account(MailKind::PasswordChanged, email, language, pause)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records that the account with this address is deleted, to be told by mail.
pub async fn add_account_deleted(
    connection: &mut AnyConnection,
    email: &Email,
    language: Language,
    pause: MailPause,
) -> sqlx::Result<()> {
    add_of_account(MailKind::AccountDeleted, email, language, pause)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records that a user has given up this address, to be told there by mail. Knows no pause: nobody has the
/// address again for days, unless by a mail that goes there.
pub async fn add_address_changed(
    connection: &mut AnyConnection,
    email: &Email,
    language: Language,
    now: UnixTime,
) -> sqlx::Result<()> {
    add(MailKind::AddressChanged, email, language, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records that a user has lost this address to an earlier one, to be told there by mail. Knows no pause: the
/// user has had it by a mail that went there.
pub async fn add_address_taken_back(
    connection: &mut AnyConnection,
    email: &Email,
    language: Language,
    now: UnixTime,
) -> sqlx::Result<()> {
    add(MailKind::AddressTakenBack, email, language, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Records that a user was taken back to this address, to be told there by mail. Knows no pause: it takes
/// a link that was mailed there.
pub async fn add_address_change_undone(
    connection: &mut AnyConnection,
    email: &Email,
    language: Language,
    now: UnixTime,
) -> sqlx::Result<()> {
    add(MailKind::AddressChangeUndone, email, language, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// A notice that names neither client nor source.
fn add_of_account<'a>(
    kind: MailKind,
    email: &Email,
    language: Language,
    pause: MailPause,
) -> Query<'a, Any, AnyArguments> {
    add_in_pause(kind, email, language, pause)
        .bind(None::<String>)
        .bind(None::<Vec<u8>>)
}

/// Takes the client and the source as well.
fn add_in_pause<'a>(
    kind: MailKind,
    email: &Email,
    language: Language,
    pause: MailPause,
) -> Query<'a, Any, AnyArguments> {
    sqlx::query(ADD_IN_PAUSE)
        .bind(kind.name())
        .bind(email.as_str().to_owned())
        .bind(pause.now.0)
        .bind(pause.ends_at.0)
        .bind(pause.latest_end.0)
        .bind(language.tag())
}
