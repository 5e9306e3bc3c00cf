//! The passwords that an administrator sets: measured and hashed like those of the service.

use std::net::{IpAddr, Ipv4Addr};

use super::{Error, Result};
use crate::email::Email;
use crate::password::{Asker, Password, PasswordRule, Passwords};
use crate::user::HashedPassword;

/// Measures and hashes new passwords.
pub struct NewPasswords {
    rule: Option<PasswordRule>,
    passwords: Passwords,
}

impl NewPasswords {
    /// Measures passwords by this rule, if there is one, and hashes them so.
    pub fn new(rule: Option<PasswordRule>, passwords: Passwords) -> Self {
        Self { rule, passwords }
    }

    /// Hashes a password that a user with this address may have.
    ///
    /// # Errors
    ///
    /// [`Error::WeakPassword`].
    pub(super) async fn hash(&self, password: &Password, email: &Email) -> Result<HashedPassword> {
        if let Some(rule) = &self.rule {
            rule.check(password, email).map_err(Error::WeakPassword)?;
        }
        let asker = Asker::familiar(IpAddr::from(Ipv4Addr::LOCALHOST).into());
        let hashed = self.passwords.hash(password, asker).await;
        hashed.map_err(Error::Hash)
    }
}
