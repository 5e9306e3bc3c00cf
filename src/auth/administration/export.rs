//! Writing out all users.

use super::{Administration, Result};
use crate::db::FullAccount;
use crate::user::UserId;

/// An export that goes on.
pub struct Export<'a> {
    administration: &'a Administration,
    with_hashes: bool,
    last: UserId,
}

impl Administration {
    /// Begins an export. One with the hashes of the passwords is written down before any is read.
    pub fn export(&self, with_hashes: bool) -> Export<'_> {
        if with_hashes {
            self.actor.log_export();
        }
        Export {
            administration: self,
            with_hashes,
            last: UserId(i64::MIN),
        }
    }
}

impl Export<'_> {
    /// The next users, in the order of their numbers; none if there are no more.
    pub async fn next_page(&mut self) -> Result<Vec<FullAccount>> {
        let users = &self.administration.db.users;
        let page = users.read_after(self.last, self.with_hashes).await?;
        if let Some(user) = page.last() {
            self.last = user.account.id;
        }
        Ok(page)
    }
}
