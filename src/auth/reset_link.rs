//! The link behind which a new password is chosen.

use crate::email::Email;
use crate::public_url::{PublicUrl, path_with_query};
use crate::token::ResetToken;

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
