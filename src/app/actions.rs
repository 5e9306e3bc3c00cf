//! What one can ask for with a body of fields: the same for programs and for people in browsers.
//!
//! Each action takes the fields apart and asks [`Auth`](crate::auth::Auth). Who asked in which way
//! shows only in how the answer is put.

use super::error::Error;
use super::fields::{Fields, Malformed};
use super::session::PresentedSession;
use super::{Edge, Result};
use crate::auth::{self, Reset};
use crate::email::{self, Email};
use crate::password::Password;
use crate::source::Source;
use crate::token::{ResetToken, SessionId};
use crate::user::User;

/// Adds a user, and says under which address.
pub(super) async fn register(edge: &Edge, source: Source, fields: &Fields) -> Result<Email> {
    let (email, password) = new_credentials(fields)?;
    edge.auth
        .register_user(&email, &password, source)
        .await
        .map_err(Error::of_new_password("password"))?;
    Ok(email)
}

/// Adds a user and begins their first session; `None` if they have to log in for it.
pub(super) async fn register_and_log_in(
    edge: &Edge,
    source: Source,
    replaced: Option<PresentedSession>,
    fields: &Fields,
) -> Result<Option<SessionId>> {
    let (email, password) = new_credentials(fields)?;
    edge.auth
        .register_and_log_in(&email, &password, replaced.map(|session| session.0), source)
        .await
        .map_err(Error::of_new_password("password"))
}

/// Begins a session in place of the one that is presented, and says whose.
pub(super) async fn log_in(
    edge: &Edge,
    source: Source,
    replaced: Option<PresentedSession>,
    fields: &Fields,
    malformed: Malformed,
) -> Result<(User, SessionId)> {
    let email = fields.address("email", malformed)?;
    let password: Password = fields.parse("password")?;
    let user = edge
        .auth
        .valid_login(email.as_ref(), &password, source)
        .await?;
    let replaced = replaced.map(|session| session.0);
    let session_id = edge.auth.create_session(&user, replaced, source).await?;
    Ok((user, session_id))
}

/// Lets the owner of an address choose a new password, and says which address was asked for.
pub(super) async fn ask_for_reset(
    edge: &Edge,
    source: Source,
    fields: &Fields,
    malformed: Malformed,
) -> Result<(String, Reset)> {
    let email = fields.address("email", malformed)?;
    let reset = edge.auth.ask_for_reset(email.as_ref(), source).await?;
    Ok((email::spelled_as_address(fields.text("email")?), reset))
}

/// Uses up a reset token for a new password, and says whose.
pub(super) async fn update_password(
    edge: &Edge,
    source: Source,
    fields: &Fields,
    malformed: Malformed,
) -> Result<Email> {
    let email = fields.address("email", malformed)?;
    // A text that cannot be a token is one token more that nobody was given.
    let token = ResetToken::parse(fields.text("reset_token")?);
    let new_password: Password = fields.parse("new_password")?;
    let (Some(email), Some(token)) = (email, token) else {
        return Err(auth::Error::BadResetToken.into());
    };
    edge.auth
        .update_password(&email, &token, &new_password, source)
        .await
        .map_err(Error::of_new_password("new_password"))?;
    Ok(email)
}

fn new_credentials(fields: &Fields) -> Result<(Email, Password)> {
    Ok((fields.parse("email")?, fields.parse("password")?))
}
