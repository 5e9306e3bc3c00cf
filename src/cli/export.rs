//! `bienvenue users export`: all users, as an import reads them.

use std::io::{self, IsTerminal};

use clap::Args;

use super::administration::{CommandOptions, Context, Failure};
use super::output::{Cell, Rows};
use crate::db::FullAccount;
use crate::user::HashedPassword;

#[derive(Clone, Debug, Args)]
pub struct ExportUsers {
    /// Also print the password hashes, without which an import cannot use the export
    #[arg(long)]
    with_hashes: bool,

    #[command(flatten)]
    pub options: CommandOptions,
}

impl ExportUsers {
    /// Does it.
    ///
    /// Nobody is asked about the hashes: nothing is changed, and the option says it.
    pub async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        if !self.with_hashes {
            return print(context, false, COLUMNS, cells_of).await;
        }
        if !io::stdout().is_terminal() {
            context.say(
                "the output has password hashes: keep it as secret as the database, in a file that its \
                 owner alone can read",
            );
        }
        print(context, true, COLUMNS_WITH_HASH, |user| {
            let none = HashedPassword::none();
            let hash = user.hashed_password.clone().filter(|hash| *hash != none);
            let hash = hash.map(|hash| hash.as_str().to_owned());
            let [email, created_at, locked_at, email_confirmed_at, groups] = cells_of(user);
            let hash = hash.into();
            [
                email,
                created_at,
                locked_at,
                email_confirmed_at,
                groups,
                hash,
            ]
        })
        .await
    }
}

const COLUMNS: [&str; 5] = [
    "email",
    "created_at",
    "locked_at",
    "email_confirmed_at",
    "groups",
];

const COLUMNS_WITH_HASH: [&str; 6] = {
    let [email, created_at, locked_at, email_confirmed_at, groups] = COLUMNS;
    [
        email,
        created_at,
        locked_at,
        email_confirmed_at,
        groups,
        "password_hash",
    ]
};

fn cells_of(user: FullAccount) -> [Cell; 5] {
    let FullAccount {
        account, groups, ..
    } = user;
    [
        account.email.into(),
        account.created_at.into(),
        account.locked_at.into(),
        account.email_confirmed_at.into(),
        Cell::List(groups),
    ]
}

async fn print<const N: usize>(
    context: &Context<'_>,
    with_hashes: bool,
    columns: [&'static str; N],
    cells_of: impl Fn(FullAccount) -> [Cell; N],
) -> Result<(), Failure> {
    let mut export = context.administration.export(with_hashes);
    let mut rows = Rows::new(columns, true);
    loop {
        let page = export.next_page().await?;
        if page.is_empty() {
            return Ok(rows.finish()?);
        }
        rows.write(page.into_iter().map(&cells_of))?;
    }
}
