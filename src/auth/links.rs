//! The links in mails.

use crate::email::Email;
use crate::public_url::{PublicUrl, path_with_query};
use crate::token::{EmailToken, ResetToken, SignUpToken, UndoToken};

/// The link behind which the holder of a token chooses a password; without a public URL, what follows
/// the URL by which the service is reached.
pub fn reset_link(public_url: Option<&PublicUrl>, email: &Email, token: &ResetToken) -> String {
    let token = token.reveal();
    let query = [("email", email.as_str()), ("reset_token", &token)];
    match public_url {
        Some(public_url) => public_url.link("/reset_password", &query),
        None => path_with_query("/reset_password", &query),
    }
}

/// The link behind which the holder of a token signs up.
pub fn sign_up_link(public_url: &PublicUrl, email: &Email, token: &SignUpToken) -> String {
    let token = token.reveal();
    let query = [("email", email.as_str()), ("sign_up_token", &token)];
    public_url.link("/users", &query)
}

/// The link behind which the holder of a token gives their account the address that it was mailed to. It has no
/// address in it: whose account it is, is known by the session.
pub fn address_link(public_url: &PublicUrl, token: &EmailToken) -> String {
    public_url.link("/profile/email", &[("email_token", &token.reveal())])
}

/// The link behind which the holder of a token takes their account back to this address.
pub fn undo_link(public_url: &PublicUrl, email: &Email, token: &UndoToken) -> String {
    let token = token.reveal();
    let query = [("email", email.as_str()), ("undo_token", &token)];
    public_url.link("/undo_email_change", &query)
}
