//! `bienvenue users …`: finding, adding, locking and deleting users. Its `import` and `export` have files of
//! their own.

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::administration::{self, CommandOptions, Context, Failure};
use super::confirm::confirm;
use super::export::ExportUsers;
use super::import::ImportUsers;
use super::options::AccountOptions;
use super::output::{Cell, Rows, print_line};
use super::password_input::read_new_password;
use crate::auth::administration::{IssuedToken, NewPasswords};
use crate::auth::reset_link;
use crate::db::AccountFilter;
use crate::email::{self, Email};
use crate::password::Passwords;
use crate::user::{Account, UserId, UserKey};

/// How long a password may take to be hashed, at whatever cost.
const HASH_WAIT: Duration = Duration::from_mins(1);

/// What can be done with users.
#[derive(Clone, Debug, Subcommand)]
pub enum UsersCommand {
    /// List users, in the order of their numbers
    List(ListUsers),
    /// Show a user, with their groups and how many sessions they have
    Show(ShowUser),
    /// Add a user, with a password or with a link by which they choose one
    ///
    /// Prints the link, which works once, as long as the service lets reset tokens live
    /// (--reset-token-lifetime, 30m unless set). Without --public-url it is the path of the link, to put
    /// behind the URL by which the service is reached.
    Add(AddUser),
    /// Print a link by which a user chooses a new password, or have it mailed
    ///
    /// It works once, as long as the service lets reset tokens live (--reset-token-lifetime, 30m unless
    /// set). Without --public-url it is the path of the link, to put behind the URL by which the service is
    /// reached.
    ResetLink(ResetLink),
    /// Set the password of a user, which ends all their sessions
    ///
    /// Without --password-stdin it is asked for on the terminal, twice, and not shown.
    SetPassword(SetPassword),
    /// Keep a user from logging in, and end all their sessions
    Lock(OneUser),
    /// Let a user log in again
    Unlock(OneUser),
    /// Delete a user with all that is theirs; their number is not given again
    Delete(DeleteUser),
    /// Note that it is established that the address is the user's
    Confirm(OneUser),
    /// Add the users of another program, who keep their passwords
    ///
    /// Hashes are taken of bcrypt ($2a$, $2b$, $2y$), of scrypt and PBKDF2 as Werkzeug (Flask) and Django
    /// write them, and of Argon2id and Argon2i. Those of other functions than bcrypt are checked as they
    /// are, and replaced by bcrypt at the next login.
    ///
    /// An address in another case is the same one: of two users with one address the first in the file
    /// comes along. Who has an account already stays as they are. Each line that does not come along is
    /// reported on standard error, with its number and the reason; at the end stands how many did.
    ///
    /// Works beside the running service, in short transactions. If it is ended on the way, import the
    /// file again: what was imported is there then. It exits with 1 if some users were not usable; the
    /// others are imported.
    #[command(after_long_help = IMPORT_EXAMPLES)]
    Import(ImportUsers),
    /// Print all users as JSON Lines, in the order of their numbers, with --with-hashes as users import
    /// reads them
    ///
    /// The keys are email, created_at, locked_at, email_confirmed_at, groups and, with --with-hashes,
    /// password_hash, which is null for a user without a password. Sessions are not among them.
    #[command(after_long_help = EXPORT_EXAMPLES)]
    Export(ExportUsers),
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  bienvenue users import a.db --dry-run
  bienvenue users import a.db
  bienvenue users import users.csv --database-url postgres://bienvenue@db.example.org/bienvenue
  psql -c \"COPY (SELECT email, hash AS password_hash FROM accounts) TO STDOUT CSV HEADER\" |
    bienvenue users import -";

const EXPORT_EXAMPLES: &str = "\
Examples:
  bienvenue users export | jq -r .email
  (umask 077; bienvenue users export --with-hashes > users.jsonl)";

#[derive(Clone, Debug, Args)]
pub struct ListUsers {
    /// Only users with this text in their address
    #[arg(long, value_name = "TEXT", value_parser = parse_search)]
    search: Option<String>,

    /// Only users who are locked
    #[arg(long)]
    locked: bool,

    /// At most so many users
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Only users with a higher number, such as that of the last one listed before
    #[arg(long, value_name = "ID", allow_negative_numbers = true)]
    after: Option<i64>,

    /// Print a JSON object for each user, with the keys id, email, created_at, locked_at and
    /// email_confirmed_at
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct ShowUser {
    /// The address or the number of the user
    user: UserKey,

    /// Print a JSON object, with the keys of users list, groups and sessions
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct OneUser {
    /// The address or the number of the user
    user: UserKey,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct AddUser {
    /// The address that the user will log in with
    email: Email,

    /// Read the password from standard input, instead of printing a link to choose one
    #[arg(long)]
    password_stdin: bool,

    /// Print a JSON object, with the keys id, email and link, which is null with a password
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    accounts: AccountOptions,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct ResetLink {
    /// The address or the number of the user
    user: UserKey,

    /// Have the running service mail it instead of printing it, within 10 seconds, if it has a mail server
    #[arg(long, conflicts_with = "json")]
    mail: bool,

    /// Print a JSON object, with the keys id, email and link
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    accounts: AccountOptions,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct SetPassword {
    /// The address or the number of the user
    user: UserKey,

    /// Read the password from standard input
    #[arg(long)]
    password_stdin: bool,

    #[command(flatten)]
    accounts: AccountOptions,

    #[command(flatten)]
    options: CommandOptions,
}

#[derive(Clone, Debug, Args)]
pub struct DeleteUser {
    /// The address or the number of the user
    user: UserKey,

    /// Do it without being asked
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    options: CommandOptions,
}

/// Does it.
pub fn run(command: &UsersCommand) -> ExitCode {
    match command {
        UsersCommand::List(list) => {
            administration::run(&list.options, "users list", async |context| {
                list.run(context).await
            })
        }
        UsersCommand::Show(ShowUser {
            user,
            json,
            options,
        }) => administration::run(options, "users show", async |context| {
            show(context, user, *json).await
        }),
        UsersCommand::Add(add) => administration::run(&add.options, "users add", async |context| {
            add.run(context).await
        }),
        UsersCommand::ResetLink(link) => {
            administration::run(&link.options, "users reset-link", async |context| {
                link.run(context).await
            })
        }
        UsersCommand::SetPassword(set) => {
            administration::run(&set.options, "users set-password", async |context| {
                set.run(context).await
            })
        }
        UsersCommand::Lock(OneUser { user, options }) => {
            administration::run(options, "users lock", async |context| {
                let is_new = context.administration.lock(user).await?;
                say_unless(context, is_new, "the user was locked already");
                Ok(())
            })
        }
        UsersCommand::Unlock(OneUser { user, options }) => {
            administration::run(options, "users unlock", async |context| {
                let is_new = context.administration.unlock(user).await?;
                say_unless(context, is_new, "the user was not locked");
                Ok(())
            })
        }
        UsersCommand::Delete(DeleteUser { user, yes, options }) => {
            administration::run(options, "users delete", async |context| {
                delete(context, user, *yes).await
            })
        }
        UsersCommand::Confirm(OneUser { user, options }) => {
            administration::run(options, "users confirm", async |context| {
                let is_new = context.administration.confirm_email(user).await?;
                say_unless(context, is_new, "the address was confirmed already");
                Ok(())
            })
        }
        UsersCommand::Import(import) => {
            administration::run(&import.options, "users import", async |context| {
                import.run(context).await
            })
        }
        UsersCommand::Export(export) => {
            administration::run(&export.options, "users export", async |context| {
                export.run(context).await
            })
        }
    }
}

/// Says why nothing was changed.
fn say_unless(context: &Context<'_>, is_changed: bool, text: &str) {
    if !is_changed {
        context.say(text);
    }
}

impl ListUsers {
    async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let filter = AccountFilter {
            search: self.search.clone(),
            is_locked: self.locked,
        };
        let mut rows = Rows::new(COLUMNS, self.json);
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut after = Some(UserId(self.after.unwrap_or(i64::MIN)));
        while let Some(last) = after
            && left > 0
        {
            let page = context.administration.list(last, &filter, left).await?;
            left -= page.accounts.len() as u64;
            after = page.next;
            rows.write(page.accounts.into_iter().map(cells_of))?;
        }
        Ok(rows.finish()?)
    }
}

/// What is shown of each user.
const COLUMNS: [&str; 5] = [
    "id",
    "email",
    "created_at",
    "locked_at",
    "email_confirmed_at",
];

fn cells_of(account: Account) -> [Cell; 5] {
    [
        Cell::Number(account.id.0),
        account.email.into(),
        account.created_at.into(),
        account.locked_at.into(),
        account.email_confirmed_at.into(),
    ]
}

async fn show(context: &Context<'_>, user: &UserKey, is_json: bool) -> Result<(), Failure> {
    let user = context.administration.details(user).await?;
    let [id, email, created_at, locked_at, email_confirmed_at] = COLUMNS;
    let columns = [
        id,
        email,
        created_at,
        locked_at,
        email_confirmed_at,
        "groups",
        "sessions",
    ];
    let mut rows = Rows::new(columns, is_json);
    let [id, email, created_at, locked_at, email_confirmed_at] = cells_of(user.account);
    let sessions = i64::try_from(user.sessions).unwrap_or(i64::MAX);
    rows.write([[
        id,
        email,
        created_at,
        locked_at,
        email_confirmed_at,
        Cell::List(user.groups),
        Cell::Number(sessions),
    ]])?;
    Ok(rows.finish()?)
}

impl AddUser {
    async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        let (id, link) = if self.password_stdin {
            let password = read_new_password(true).await?;
            let passwords = new_passwords(&self.accounts);
            let added = context
                .administration
                .add_user(&self.email, &password, &passwords);
            (added.await?, None)
        } else {
            let issued = context
                .administration
                .add_user_with_token(&self.email)
                .await?;
            (issued.user, Some(link_of(context, &issued, &self.accounts)))
        };
        Ok(print_link(id, &self.email, link, self.json)?)
    }
}

impl ResetLink {
    async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        if self.mail {
            context.administration.mail_reset_link(&self.user).await?;
            context.say(
                "asked for: a service that runs with a mail server sends it within 10 seconds",
            );
            return Ok(());
        }
        let issued = context.administration.make_reset_token(&self.user).await?;
        let link = link_of(context, &issued, &self.accounts);
        Ok(print_link(
            issued.user,
            &issued.email,
            Some(link),
            self.json,
        )?)
    }
}

impl SetPassword {
    async fn run(&self, context: &Context<'_>) -> Result<(), Failure> {
        // Before a password is typed for nobody.
        context.administration.find(&self.user).await?;
        let password = read_new_password(self.password_stdin).await?;
        let passwords = new_passwords(&self.accounts);
        let set = context
            .administration
            .set_password(&self.user, &password, &passwords);
        set.await?;
        Ok(())
    }
}

async fn delete(context: &Context<'_>, user: &UserKey, is_confirmed: bool) -> Result<(), Failure> {
    let Account { id, email, .. } = context.administration.find(user).await?;
    let question = format!(
        "Delete user {} ({email}) with all their sessions and groups? This cannot be undone.",
        id.0
    );
    confirm(is_confirmed, &question)?;
    Ok(context.administration.delete(id).await?)
}

fn new_passwords(accounts: &AccountOptions) -> NewPasswords {
    // One password, for which nobody else waits.
    let passwords = Passwords::new(accounts.bcrypt_cost, HASH_WAIT);
    NewPasswords::new(accounts.password_rule(), passwords)
}

/// The link in which a token is handed over.
fn link_of(context: &Context<'_>, issued: &IssuedToken, accounts: &AccountOptions) -> String {
    let public_url = accounts.public_url.as_ref();
    if public_url.is_none() {
        context.say(
            "without --public-url this is the path of the link: put it behind the URL by which the \
             service is reached, such as http://127.0.0.1:5000",
        );
    }
    reset_link(public_url, &issued.email, &issued.token)
}

/// Prints the link alone, or with whose it is in JSON.
fn print_link(
    UserId(id): UserId,
    email: &Email,
    link: Option<String>,
    is_json: bool,
) -> io::Result<()> {
    if is_json {
        let mut rows = Rows::new(["id", "email", "link"], true);
        rows.write([[
            Cell::Number(id),
            email.as_str().to_owned().into(),
            link.into(),
        ]])?;
        return rows.finish();
    }
    match link {
        Some(link) => print_line(&link),
        None => Ok(()),
    }
}

fn parse_search(text: &str) -> Result<String, String> {
    if text.len() <= email::MAX_BYTES {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "give at most {} bytes: no address is longer",
            email::MAX_BYTES
        ))
    }
}
