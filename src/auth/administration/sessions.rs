//! Sessions: which a user has, and ending them.

use super::{Administration, Result};
use crate::db::SessionOfUser;
use crate::user::UserKey;

impl Administration {
    /// The sessions of a user, the oldest first.
    ///
    /// # Errors
    ///
    /// [`NoSuchUser`](super::Error::NoSuchUser).
    pub async fn sessions(&self, user: &UserKey) -> Result<Vec<SessionOfUser>> {
        let id = self.find(user).await?.id;
        Ok(self.db.sessions.of_user(id).await?)
    }

    /// Ends the sessions of a user. Returns how many there were.
    ///
    /// # Errors
    ///
    /// [`NoSuchUser`](super::Error::NoSuchUser).
    pub async fn revoke_sessions(&self, user: &UserKey) -> Result<u64> {
        let id = self.find(user).await?.id;
        let sessions = self.db.sessions.delete_of_user(id).await?;
        self.actor.log_sessions(Some(id), sessions);
        Ok(sessions)
    }

    /// Ends the sessions of all users, a few in each transaction, so that no login waits long. Returns
    /// how many there were.
    ///
    /// # Errors
    ///
    /// What was ended until then stays ended.
    pub async fn revoke_all_sessions(&self) -> Result<u64> {
        let mut sessions = 0;
        let ended = loop {
            match self.db.sessions.delete_some().await {
                Ok(0) => break Ok(sessions),
                Ok(some) => sessions += some,
                Err(error) => break Err(error.into()),
            }
        };
        if ended.is_ok() || sessions > 0 {
            self.actor.log_sessions(None, sessions);
        }
        ended
    }
}
