//! Which groups users are in. A group is there as long as a user is in it.

use sqlx::Row;

use super::connection::Connections;
use super::error::Result;
use super::sessions::cache::Touched;
use super::statement::statements;
use crate::user::{GroupName, UserId};

statements! {
    /// `$1` user, `$2` name. No row if the user is in it.
    ADD = "
        INSERT INTO user_groups (user_id, name) VALUES ($1, $2)
        ON CONFLICT (user_id, name) DO NOTHING";

    /// `$1` user, `$2` name.
    REMOVE = "
        DELETE FROM user_groups WHERE user_id = $1 AND name = $2";

    /// `$1` user.
    FIND_OF_USER = "
        SELECT name FROM user_groups WHERE user_id = $1 ORDER BY name";

    /// All groups. Reads a whole index, which no request waits for.
    LIST = "
        SELECT name, count(*) AS users FROM user_groups GROUP BY name ORDER BY name";
}

/// A group.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its name as it is stored.
    pub name: String,
    /// How many users are in it.
    pub users: i64,
}

/// The table of who is in which group.
#[derive(Clone)]
pub struct Groups {
    connections: Connections,
}

impl Groups {
    pub(super) fn new(connections: Connections) -> Self {
        Self { connections }
    }

    /// Puts a user into a group. False if they are in it already.
    ///
    /// # Errors
    ///
    /// [`is_foreign_key_violation`](super::Error::is_foreign_key_violation) if the user is gone.
    pub async fn add(&self, user: UserId, group: &GroupName) -> Result<bool> {
        let add = sqlx::query(ADD).bind(user.0).bind(group.as_str());
        let touched = Touched::SessionsOf(user);
        Ok(self.connections.execute(touched, add).await? > 0)
    }

    /// Takes a user out of a group. False if they are not in it.
    pub async fn remove(&self, user: UserId, group: &GroupName) -> Result<bool> {
        let remove = sqlx::query(REMOVE).bind(user.0).bind(group.as_str());
        let touched = Touched::SessionsOf(user);
        Ok(self.connections.execute(touched, remove).await? > 0)
    }

    /// The names of the groups that a user is in.
    pub async fn of_user(&self, user: UserId) -> Result<Vec<String>> {
        let find = sqlx::query(FIND_OF_USER).bind(user.0);
        let rows = self.connections.fetch_all(find).await?;
        let names = rows.iter().map(|row| row.try_get("name"));
        Ok(names.collect::<sqlx::Result<_>>()?)
    }

    /// All groups, by name.
    pub async fn list(&self) -> Result<Vec<Group>> {
        let rows = self.connections.fetch_all(sqlx::query(LIST)).await?;
        let groups = rows.iter().map(|row| {
            Ok(Group {
                name: row.try_get("name")?,
                users: row.try_get("users")?,
            })
        });
        Ok(groups.collect::<sqlx::Result<_>>()?)
    }
}
