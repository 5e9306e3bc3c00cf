//! What is to be mailed: asked for here, and in `notices` to tell of what was done; in `delivery` claimed by
//! who sends it, with what came of it. `content` has what a mail says, with the token of its link.

use std::sync::Arc;

use sqlx::any::AnyArguments;
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, Row};

use super::connection::Connections;
use super::error::Result;
use super::sessions::cache::Touched;
use super::statement::statements;
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::Language;
use crate::source::Network;
use crate::user::UserId;

pub(super) mod content;
pub(super) mod delivery;
mod issued_tokens;
pub(super) mod notices;
mod recipients;
pub(super) mod waiting;

use issued_tokens::IssuedTokens;
pub use notices::{LoginNotice, MailPause};
pub use waiting::WaitingMails;

/// The condition on the news to an address of the user `$1`. The kinds are named because the index begins with
/// them.
macro_rules! is_news_of_user {
    () => {
        "(kind IN (
                'password_changed', 'login', 'account_deleted', 'address_taken_back',
                'address_change_undone')
              AND email = (SELECT email FROM users WHERE id = $1)
           OR kind = 'address_changed'
              AND email IN (SELECT email FROM past_addresses WHERE user_id = $1))"
    };
}

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

    /// `$1` kind, `$2` address, `$3` now, `$4` language. For no network, and knows no pause: it is for what
    /// operators ask for, and for what nobody can repeat without the mails that go to the address. Of two
    /// events before either could be told, the later one is.
    ADD = "
        INSERT INTO outbox (kind, email, asked_at, due_at, quiet_until, attempts, claim, language)
        VALUES ($1, $2, $3, $3, $3, 0, NULL, $4)
        ON CONFLICT (kind, email) DO UPDATE SET
            asked_at = excluded.asked_at,
            due_at = excluded.due_at,
            quiet_until = excluded.quiet_until,
            attempts = 0,
            claim = NULL,
            network = NULL,
            turn = 0,
            language = excluded.language";

    /// `$1` kind, `$2` address, `$3` now, `$4` network, `$5` language, `$6` user. In the pause after the last
    /// mail to the address that a user is to have, has another follow at its end, if that user has no token
    /// yet: they have called off what the last one was for, or somebody else has asked for it. While that is
    /// being sent, when its pause is not known yet, it is only noted as asked for later: see `FINISH`.
    PUT_OFF = "
        UPDATE outbox SET
            asked_at = CASE WHEN asked_at < $3 THEN $3 ELSE asked_at + 1 END,
            due_at = coalesce(due_at, quiet_until),
            attempts = CASE WHEN due_at IS NULL THEN 0 ELSE attempts END,
            network = $4,
            turn = 0,
            language = $5
        WHERE kind = $1 AND email = $2
          AND (claim IS NOT NULL OR due_at IS NULL AND quiet_until > $3) AND EXISTS (
            SELECT 1 FROM pending_addresses AS p
            WHERE p.user_id = $6 AND p.email = outbox.email AND p.digest IS NULL)";

    /// `$1` user. With them ends their pause, since the links in them are dead: who signs up again is to get
    /// new ones. How many can be asked for an address within an hour is limited besides. A link by which an
    /// account gets the address is of whoever asked for it, and stays.
    DELETE_LINKS_OF_USER = "
        DELETE FROM outbox
        WHERE kind IN ('reset_link', 'sign_up') AND email = (SELECT email FROM users WHERE id = $1)";

    /// `$1` user, `$2` now, `$3` the latest end of a pause that is possible. Not in a pause, nor what is being
    /// sent: see `SILENCE_NEWS_OF_USER`.
    DELETE_NEWS_OF_USER = concat!("
        DELETE FROM outbox
        WHERE claim IS NULL AND (quiet_until <= $2 OR quiet_until > $3) AND ", is_news_of_user!());

    /// `$1` user, `$2` the end of a pause that begins now. Nothing is left to do for those mails, but the pauses
    /// after them go on, so that who deletes an account and signs up again has no more of them sent to an
    /// address than who does not. The pause after what is being sent begins now.
    SILENCE_NEWS_OF_USER = concat!("
        UPDATE outbox SET
            due_at = NULL,
            quiet_until = CASE WHEN claim IS NULL THEN quiet_until ELSE $2 END,
            attempts = 0,
            claim = NULL,
            network = NULL,
            turn = 0,
            client = NULL,
            source = NULL
        WHERE ", is_news_of_user!());

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
    /// A link to sign up by or, if the address has an account, the notice of a try to.
    SignUp,
    /// The news of a login from a source that is not familiar.
    Login,
    /// The news that the account was deleted.
    AccountDeleted,
    /// A link to the address that an account is to have or, if another one has it, the notice of the try.
    ChangeAddress,
    /// The news, to the address that an account had, that it has another, with a link to undo that.
    AddressChanged,
    /// The news, to the address that an account had, that it has an earlier one again.
    AddressTakenBack,
    /// The news, to the address that an account has again, that it was taken back to it.
    AddressChangeUndone,
}

impl MailKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::ResetLink,
        Self::PasswordChanged,
        Self::SignUp,
        Self::Login,
        Self::AccountDeleted,
        Self::ChangeAddress,
        Self::AddressChanged,
        Self::AddressTakenBack,
        Self::AddressChangeUndone,
    ];

    /// The name under which it is stored and logged.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResetLink => "reset_link",
            Self::PasswordChanged => "password_changed",
            Self::SignUp => "sign_up",
            Self::Login => "login",
            Self::AccountDeleted => "account_deleted",
            Self::ChangeAddress => "change_address",
            Self::AddressChanged => "address_changed",
            Self::AddressTakenBack => "address_taken_back",
            Self::AddressChangeUndone => "address_change_undone",
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
    /// The pause that begins when it is made. Asking again within changes nothing.
    pub pause: MailPause,
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

/// The table of mails to be sent.
#[derive(Clone)]
pub struct Outbox {
    connections: Connections,
    issued_tokens: Arc<IssuedTokens>,
}

impl Outbox {
    pub(super) fn new(connections: Connections) -> Self {
        Self {
            connections,
            issued_tokens: Arc::default(),
        }
    }

    /// Records that a mail is asked for. In the pause after the last one, and while one is being sent,
    /// this changes nothing, which is not told.
    pub async fn ask(&self, request: MailRequest<'_>) -> Result<MailRequestOutcome> {
        let work = async |connection: &mut AnyConnection| ask(connection, &request).await;
        self.connections.write(Touched::None, work).await
    }

    /// Records that an administrator asks for a reset link to this address, in whatever pause.
    pub async fn add_reset_link(
        &self,
        email: &Email,
        language: Language,
        now: UnixTime,
    ) -> Result<()> {
        let add = add(MailKind::ResetLink, email, language, now);
        self.connections.execute(Touched::None, add).await?;
        Ok(())
    }

    async fn count(&self, count: Query<'static, Any, AnyArguments>) -> Result<i64> {
        let row = self.connections.fetch_optional(count).await?;
        Ok(row.map_or(Ok(0), |row| row.try_get("waiting"))?)
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

/// The same in a transaction.
pub async fn ask(
    connection: &mut AnyConnection,
    request: &MailRequest<'_>,
) -> sqlx::Result<MailRequestOutcome> {
    let network = request.network.to_string();
    let most = i64::from(request.most_of_network);
    let ask = sqlx::query(ASK)
        .bind(request.kind.name())
        .bind(request.email.as_str())
        .bind(request.pause.now.0)
        .bind(request.pause.ends_at.0)
        .bind(network.as_str())
        .bind(most)
        .bind(request.pause.latest_end.0)
        .bind(request.latest_claim.0)
        .bind(request.language.tag());
    if ask.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(MailRequestOutcome::Accepted);
    }
    let count = sqlx::query(COUNT_WAITING_OF_NETWORK)
        .bind(network.as_str())
        .bind(most);
    let waiting: i64 = count.fetch_one(connection).await?.try_get("waiting")?;
    Ok(if waiting < most {
        MailRequestOutcome::Accepted
    } else {
        MailRequestOutcome::TooManyWait
    })
}

/// Has a mail to the address that this user is to have follow at the end of the pause, if it is asked for
/// within, or while one is being sent, and the user has no token of an earlier one.
pub async fn put_off(
    connection: &mut AnyConnection,
    request: &MailRequest<'_>,
    user: UserId,
) -> sqlx::Result<()> {
    let put_off = sqlx::query(PUT_OFF)
        .bind(request.kind.name())
        .bind(request.email.as_str())
        .bind(request.pause.now.0)
        .bind(request.network.to_string())
        .bind(request.language.tag())
        .bind(user.0);
    put_off.execute(connection).await?;
    Ok(())
}

/// Takes no note of a pause.
fn add<'a>(
    kind: MailKind,
    email: &Email,
    language: Language,
    now: UnixTime,
) -> Query<'a, Any, AnyArguments> {
    sqlx::query(ADD)
        .bind(kind.name())
        .bind(email.as_str().to_owned())
        .bind(now.0)
        .bind(language.tag())
}

/// Deletes the mails about a user; what is left until they end are the pauses after the news.
pub async fn delete_of_user(
    connection: &mut AnyConnection,
    user: UserId,
    pause: MailPause,
) -> sqlx::Result<()> {
    let delete = sqlx::query(DELETE_LINKS_OF_USER).bind(user.0);
    delete.execute(&mut *connection).await?;
    let delete = sqlx::query(DELETE_NEWS_OF_USER)
        .bind(user.0)
        .bind(pause.now.0)
        .bind(pause.latest_end.0);
    delete.execute(&mut *connection).await?;
    let silence = sqlx::query(SILENCE_NEWS_OF_USER)
        .bind(user.0)
        .bind(pause.ends_at.0);
    silence.execute(connection).await?;
    Ok(())
}
