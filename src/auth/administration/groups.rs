//! Groups: who is in which.

use super::{Administration, Error, Result};
use crate::db::Group;
use crate::user::{GroupName, UserKey};

impl Administration {
    /// All groups that a user is in, by name.
    pub async fn groups(&self) -> Result<Vec<Group>> {
        Ok(self.db.groups.list().await?)
    }

    /// Puts a user into a group.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`], [`Error::InGroup`].
    pub async fn add_to_group(&self, user: &UserKey, group: &GroupName) -> Result<()> {
        let id = self.find(user).await?.id;
        match self.db.groups.add(id, group).await {
            Ok(true) => {
                self.actor.log_group(id, group, true);
                Ok(())
            }
            Ok(false) => Err(Error::InGroup),
            Err(error) if error.is_foreign_key_violation() => Err(Error::NoSuchUser(user.clone())),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes a user out of a group.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchUser`], [`Error::NotInGroup`].
    pub async fn remove_from_group(&self, user: &UserKey, group: &GroupName) -> Result<()> {
        let id = self.find(user).await?.id;
        if !self.db.groups.remove(id, group).await? {
            return Err(Error::NotInGroup);
        }
        self.actor.log_group(id, group, false);
        Ok(())
    }
}
