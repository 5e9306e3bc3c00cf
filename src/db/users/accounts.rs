//! Users as an administrator sees them: one, or all in the order of their numbers.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::Users;
use crate::clock::UnixTime;
use crate::db::error::Result;
use crate::db::statement::statements;
use crate::user::{Account, UserId, UserKey};

statements! {
    /// `$1` number.
    FIND_BY_NUMBER = "
        SELECT id, email, created_at, locked_at, email_confirmed_at FROM users WHERE id = $1";

    /// `$1` address.
    FIND_BY_ADDRESS = "
        SELECT id, email, created_at, locked_at, email_confirmed_at FROM users WHERE email = $1";

    /// The last of the `$2` + 1 users that follow `$1`. No row if there are fewer.
    FIND_END_OF_PAGE = "
        SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";

    /// The users after `$1`, up to `$2`, whose address is like `$3`, and if `$4` is not 0 only locked
    /// ones; at most `$5`.
    LIST = "
        SELECT id, email, created_at, locked_at, email_confirmed_at FROM users
        WHERE id > $1 AND id <= $2 AND email LIKE $3 ESCAPE '!'
          AND (locked_at IS NOT NULL OR $4 = 0)
        ORDER BY id
        LIMIT $5";
}

/// How many users one look goes through, whether they are listed or not: so that no look takes long, and
/// that few are held at a time.
const PAGE: i64 = 1_000;

/// Which users to list.
#[derive(Clone, Debug, Default)]
pub struct AccountFilter {
    /// Only those with this text in their address, in whatever case.
    pub search: Option<String>,
    /// Only those who are locked.
    pub is_locked: bool,
}

impl AccountFilter {
    /// What `LIKE` takes, with `!` before its signs.
    fn pattern(&self) -> String {
        let mut pattern = "%".to_owned();
        for letter in self.search.iter().flat_map(|text| text.chars()) {
            if "!%_".contains(letter) {
                pattern.push('!');
            }
            pattern.push(letter.to_ascii_lowercase());
        }
        pattern + "%"
    }
}

/// Some users, in the order of their numbers.
#[derive(Debug)]
pub struct AccountPage {
    /// The users. There may be none on a page that others follow.
    pub accounts: Vec<Account>,
    /// After whom the next page begins; `None` if this is the last.
    pub next: Option<UserId>,
}

impl Users {
    /// Finds a user; `None` if there is none.
    pub async fn find_account(&self, user: &UserKey) -> Result<Option<Account>> {
        let find = match user {
            UserKey::Number(UserId(number)) => sqlx::query(FIND_BY_NUMBER).bind(*number),
            UserKey::Address(email) => sqlx::query(FIND_BY_ADDRESS).bind(email.as_str()),
        };
        let row = self.connections.fetch_optional(find).await?;
        Ok(row.as_ref().map(account_in).transpose()?)
    }

    /// Lists users after this one, at most so many and no more than one look goes through.
    ///
    /// Users who are added meanwhile are on a later page, or on none, and move no other user.
    pub async fn list(
        &self,
        after: UserId,
        filter: &AccountFilter,
        most: u64,
    ) -> Result<AccountPage> {
        let pattern = filter.pattern();
        let most = i64::try_from(most).unwrap_or(PAGE).min(PAGE);
        let page = self.connections.read(async |connection| {
            let find = sqlx::query(FIND_END_OF_PAGE).bind(after.0).bind(PAGE - 1);
            let end = find.fetch_optional(&mut *connection).await?;
            let end: Option<i64> = end.map(|row| row.try_get("id")).transpose()?;
            let list = sqlx::query(LIST)
                .bind(after.0)
                .bind(end.unwrap_or(i64::MAX))
                .bind(pattern)
                .bind(i64::from(filter.is_locked))
                .bind(most);
            let rows = list.fetch_all(connection).await?;
            let accounts = rows.iter().map(account_in);
            Ok(AccountPage {
                accounts: accounts.collect::<sqlx::Result<_>>()?,
                next: end.map(UserId),
            })
        });
        page.await
    }
}

pub(super) fn account_in(row: &AnyRow) -> sqlx::Result<Account> {
    let time = |column| Ok(row.try_get::<Option<i64>, _>(column)?.map(UnixTime));
    let locked_at: sqlx::Result<_> = time("locked_at");
    let email_confirmed_at: sqlx::Result<_> = time("email_confirmed_at");
    Ok(Account {
        id: UserId(row.try_get("id")?),
        email: row.try_get("email")?,
        created_at: UnixTime(row.try_get("created_at")?),
        locked_at: locked_at?,
        email_confirmed_at: email_confirmed_at?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_searched_for_is_taken_by_the_letter() {
        for (search, pattern) in [
            (None, "%%"),
            (Some("Bob@"), "%bob@%"),
            (Some("50%_!"), "%50!%!_!!%"),
        ] {
            let filter = AccountFilter {
                search: search.map(str::to_owned),
                is_locked: false,
            };
            assert_eq!(filter.pattern(), pattern);
        }
    }
}
