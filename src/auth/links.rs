//! The links behind which passwords are chosen.

use crate::email::Email;
use crate::public_url::{PublicUrl, path_with_query};
use crate::token::{ResetToken, SignUpToken};

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
