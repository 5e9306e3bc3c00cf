//! What a mail says that is sent: by whose its address is, and with which token in its link.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

use super::MailKind;
use super::issued_tokens::IssuedToken;
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::db::row::email_in;
use crate::db::sign_ups::SignUp;
use crate::db::{past_addresses, pending_addresses, reset_tokens, sign_ups};
use crate::email::Email;
use crate::language::Language;
use crate::source::Source;
use crate::token::{EmailToken, ResetToken, SignUpToken, TokenSource, UndoToken};
use crate::user::UserId;

/// What a claimed mail says.
#[derive(Clone, Debug)]
pub enum MailContent {
    /// The link to choose a new password by.
    ResetLink(ResetToken),
    /// The news that the password was changed.
    PasswordChanged,
    /// The link to sign up by.
    SignUpLink(SignUpToken),
    /// The notice of a try to sign up with an address that has an account.
    AccountExists,
    /// The news of a login from a source that is not familiar.
    Login {
        /// What it was made with; `None` if that did not say.
        client: Option<ClientName>,
        /// From where; `None` if that cannot be read.
        source: Option<Source>,
    },
    /// The news that the account was deleted.
    AccountDeleted,
    /// The link by which an account gets the address.
    AddressLink(EmailToken),
    /// The notice of a try to give the address of an account to another one.
    AddressTaken,
    /// The news that an account has another address, with the link that takes it back.
    AddressChanged {
        /// What undoes the change.
        token: UndoToken,
        /// When it was made.
        changed_at: UnixTime,
    },
    /// The news that an account has an earlier address again.
    AddressTakenBack,
    /// The news that an account was taken back to the address.
    AddressChangeUndone,
    /// The notice of a try to use an address that an account can still be taken back to.
    AddressKept {
        /// When the account gave it up.
        changed_at: UnixTime,
    },
}

impl MailContent {
    /// The token in its link; `None` if it has none.
    pub fn token(&self) -> Option<IssuedToken> {
        match self {
            Self::ResetLink(token) => Some(IssuedToken::Reset(token.clone())),
            Self::SignUpLink(token) => Some(IssuedToken::SignUp(token.clone())),
            Self::AddressLink(token) => Some(IssuedToken::Email(token.clone())),
            Self::AddressChanged { token, .. } => Some(IssuedToken::Undo(token.clone())),
            _ => None,
        }
    }
}

/// A row of the outbox with the accounts that its address is, or was, of.
pub struct ClaimedRow {
    pub id: i64,
    pub kind: MailKind,
    pub email: Email,
    pub language: Language,
    pub asked_at: UnixTime,
    pub attempts: u32,
    /// The user, and the version of the password.
    user: Option<(UserId, i64)>,
    /// The account that can be taken back to the address.
    past: Option<PastAccount>,
    client: Option<ClientName>,
    source: Option<Source>,
}

/// An account that has given up the address of a row, and can be taken back to it.
#[derive(Clone, Copy)]
pub struct PastAccount {
    id: i64,
    user: UserId,
    changed_at: UnixTime,
}

/// Reads a row of the outbox that was claimed.
///
/// # Errors
///
/// If what is stored is not a mail.
pub fn claimed_row_in(row: &AnyRow) -> sqlx::Result<ClaimedRow> {
    let kind: &str = row.try_get("kind")?;
    let kind = MailKind::ALL.into_iter().find(|one| one.name() == kind);
    let attempts: i64 = row.try_get("attempts")?;
    let language: Option<&str> = row.try_get("language")?;
    let user_id: Option<i64> = row.try_get("user_id")?;
    let version: Option<i64> = row.try_get("password_version")?;
    let past_id: Option<i64> = row.try_get("past_id")?;
    let past = past_id.map(|id| -> sqlx::Result<_> {
        Ok(PastAccount {
            id,
            user: UserId(row.try_get("past_user_id")?),
            changed_at: UnixTime(row.try_get("changed_at")?),
        })
    });
    Ok(ClaimedRow {
        id: row.try_get("id")?,
        kind: kind.ok_or_else(|| sqlx::Error::Decode("unknown kind of mail".into()))?,
        email: email_in(row)?,
        language: language
            .and_then(Language::by_tag)
            .unwrap_or(Language::ALL[0]),
        asked_at: UnixTime(row.try_get("asked_at")?),
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        user: user_id.map(UserId).zip(version),
        client: row
            .try_get::<Option<String>, _>("client")?
            .map(ClientName::new),
        source: row
            .try_get::<Option<&[u8]>, _>("source")?
            .and_then(Source::from_bytes),
        past: past.transpose()?,
    })
}

/// What the mail of a row says that is sent; `None` of one that is not.
///
/// If it has a link, that of the last try is sent again, valid as of now, as long as its token is stored: not if
/// it was used or another one has taken its place. Else a token is issued.
pub async fn content_of(
    connection: &mut AnyConnection,
    row: &ClaimedRow,
    last: Option<IssuedToken>,
    now: UnixTime,
    tokens: &dyn TokenSource,
) -> sqlx::Result<Option<MailContent>> {
    Ok(Some(match (row.kind, row.user, row.past) {
        (MailKind::ResetLink, Some((user, version)), _) => {
            let token = match last {
                Some(IssuedToken::Reset(token))
                    if reset_tokens::renew(connection, user, version, token.digest(), now)
                        .await? =>
                {
                    token
                }
                _ => {
                    let token = ResetToken::new(tokens);
                    let digest = token.digest();
                    reset_tokens::set(connection, user, version, digest, now, true).await?;
                    token
                }
            };
            MailContent::ResetLink(token)
        }
        (MailKind::SignUp, None, None) => {
            let token = match last {
                Some(IssuedToken::SignUp(token))
                    if sign_ups::renew(connection, &row.email, token.digest(), now).await? =>
                {
                    token
                }
                _ => {
                    let token = SignUpToken::new(tokens);
                    let sign_up = SignUp {
                        email: row.email.clone(),
                        is_mailed: true,
                    };
                    sign_ups::set(connection, &sign_up, token.digest(), now).await?;
                    token
                }
            };
            MailContent::SignUpLink(token)
        }
        (MailKind::SignUp, Some(_), _) => MailContent::AccountExists,
        (MailKind::PasswordChanged, Some(_), _) => MailContent::PasswordChanged,
        (MailKind::Login, Some(_), _) => MailContent::Login {
            client: row.client.clone(),
            source: row.source,
        },
        (MailKind::AccountDeleted, _, _) => MailContent::AccountDeleted,
        (MailKind::AddressTakenBack, _, _) => MailContent::AddressTakenBack,
        (MailKind::AddressChangeUndone, Some(_), _) => MailContent::AddressChangeUndone,
        (MailKind::ChangeAddress, Some(_), _) => MailContent::AddressTaken,
        (MailKind::ChangeAddress, None, past) => {
            let link = address_link(connection, row, last, now, tokens).await?;
            let kept = past.map(|PastAccount { changed_at, .. }| changed_at);
            return Ok(link.or(kept.map(|changed_at| MailContent::AddressKept { changed_at })));
        }
        (MailKind::AddressChanged, None, Some(PastAccount { id, changed_at, .. })) => {
            let token = match last {
                Some(IssuedToken::Undo(token))
                    if past_addresses::hold_token(connection, id, token.digest()).await? =>
                {
                    token
                }
                _ => {
                    let token = UndoToken::new(tokens);
                    past_addresses::set_token(connection, id, &token).await?;
                    token
                }
            };
            MailContent::AddressChanged { token, changed_at }
        }
        (MailKind::ResetLink | MailKind::SignUp, None, Some(PastAccount { changed_at, .. })) => {
            MailContent::AddressKept { changed_at }
        }
        (
            MailKind::ResetLink
            | MailKind::PasswordChanged
            | MailKind::Login
            | MailKind::AddressChangeUndone,
            None,
            _,
        )
        | (MailKind::AddressChanged, _, _) => return Ok(None),
    }))
}

/// The link by which those get the address who wait for it; `None` if nobody does.
async fn address_link(
    connection: &mut AnyConnection,
    row: &ClaimedRow,
    last: Option<IssuedToken>,
    now: UnixTime,
    tokens: &dyn TokenSource,
) -> sqlx::Result<Option<MailContent>> {
    // The account that can be taken back to it can also come back to it in this way.
    let only_for = row.past.map(|past| past.user);
    let email = &row.email;
    let token = match last {
        Some(IssuedToken::Email(token))
            if pending_addresses::renew(connection, email, only_for, token.digest(), now)
                .await? =>
        {
            token
        }
        _ => EmailToken::new(tokens),
    };
    // Also to those who have asked for the address since the last try.
    let is_set =
        pending_addresses::set_token(connection, email, only_for, token.digest(), now).await?;
    Ok(is_set.then_some(MailContent::AddressLink(token)))
}
