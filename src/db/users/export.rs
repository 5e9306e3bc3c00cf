//! Reading all users with what is theirs.

use std::collections::HashMap;

use sqlx::Row;

use super::Users;
use super::accounts::account_in;
use crate::db::error::Result;
use crate::db::statement::statements;
use crate::user::{Account, HashedPassword, UserId};

statements! {
    /// The `$2` users that follow `$1`; with their hashes if `$3` is not 0.
    READ = "
        SELECT id, email, created_at, locked_at, email_confirmed_at,
            CASE WHEN $3 = 0 THEN NULL ELSE hashed_password END AS hashed_password
        FROM users WHERE id > $1 ORDER BY id LIMIT $2";

    /// The groups of the users after `$1`, up to `$2`.
    FIND_GROUPS = "
        SELECT user_id, name FROM user_groups
        WHERE user_id > $1 AND user_id <= $2
        ORDER BY user_id, name";
}

/// How many users are read at a time.
const PAGE: i64 = 1_000;

/// A user with all that another instance needs to know.
#[derive(Clone, Debug)]
pub struct FullAccount {
    /// The user.
    pub account: Account,
    /// The names of the groups that the user is in.
    pub groups: Vec<String>,
    /// What the user's password is checked against; `None` if it was not asked for.
    pub hashed_password: Option<HashedPassword>,
}

impl Users {
    /// Reads some users after this one, in the order of their numbers; none if there are no more.
    pub async fn read_after(&self, after: UserId, with_hashes: bool) -> Result<Vec<FullAccount>> {
        let page = self.connections.read(async |connection| {
            let read = sqlx::query(READ)
                .bind(after.0)
                .bind(PAGE)
                .bind(i64::from(with_hashes));
            let rows = read.fetch_all(&mut *connection).await?;
            let users = rows.iter().map(|row| {
                let hash: Option<String> = row.try_get("hashed_password")?;
                Ok(FullAccount {
                    account: account_in(row)?,
                    groups: Vec::new(),
                    hashed_password: hash.map(HashedPassword::new),
                })
            });
            let mut users: Vec<FullAccount> = users.collect::<sqlx::Result<_>>()?;
            let Some(last) = users.last() else {
                return Ok(users);
            };
            let find = sqlx::query(FIND_GROUPS)
                .bind(after.0)
                .bind(last.account.id.0);
            let mut groups: HashMap<i64, Vec<String>> = HashMap::new();
            for row in find.fetch_all(connection).await? {
                let of_user = groups.entry(row.try_get("user_id")?).or_default();
                of_user.push(row.try_get("name")?);
            }
            for user in &mut users {
                user.groups = groups.remove(&user.account.id.0).unwrap_or_default();
            }
            Ok(users)
        });
        page.await
    }
}
