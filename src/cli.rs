//! The command line: a file for each command, of which `serve` is the default.
//!
//! - `serve`: puts the rooms together and serves; `opening` opens its database, `operators` answers those
//!   who run it; `shutdown`: until when; `service_manager`: what
//!   systemd is told of that.
//! - `users`, `groups`, `sessions`: what those who run the service do with these, beside it or without it;
//!   `import` and `export` are commands on users. `administration` opens the database for them and has
//!   their exit codes; `output` prints rows, `confirm` asks first,
//!   `password_input` reads passwords, `operator` says who runs them.
//! - `backup`: the whole database into one file, and back.
//! - `doctor`: looks at all that the service would meet with its settings; `warnings`: what these weaken.
//! - `migrate`: brings the schema up to date.
//! - `health`: asks a service that runs whether it is ready.
//! - `print`: the settings, the manual page, completions, units for systemd and the OpenAPI document.
//! - `options`: flags, environment variables, the configuration file, defaults; `split_value`: a hint for who has
//!   forgotten quotes.
//! - `logging`: the log on standard error.

#![expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, not in a browser"
)]

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod administration;
mod backup;
mod confirm;
mod doctor;
mod export;
mod groups;
mod health;
mod import;
mod logging;
mod migrate;
mod operator;
mod options;
mod output;
mod password_input;
mod print;
mod serve;
mod service_manager;
mod sessions;
mod shutdown;
mod split_value;
mod users;
mod warnings;

use administration::EXIT_CODES;
use backup::{BackUp, Restore};
use doctor::DoctorOptions;
use groups::GroupsCommand;
use health::HealthOptions;
use migrate::MigrateCommand;
use options::config_file::{self, ConfigFile};
use options::effective::{self, Effective};
use options::{ServeOptions, environment, secret};
use print::Printed;
use sessions::SessionsCommand;
use users::UsersCommand;

const SERVE_EXAMPLES: &str = "\
Examples:
  bienvenue
  bienvenue --listen 127.0.0.1:8080 --database-url sqlite:/var/lib/bienvenue/users.db
  DATABASE_URL=postgres://bienvenue:secret@db.example.org/bienvenue?sslmode=verify-full bienvenue
  bienvenue --listen 0.0.0.0:5000 --public-url https://auth.example.org \\
            --smtp-url-file /etc/bienvenue/smtp-url --mail-from 'Example <noreply@example.org>'
  bienvenue --public-url http://localhost:5000 --mail-dir mails

Try it:
  curl -d email=bob@example.org -d password=b4l0u http://127.0.0.1:5000/users";

/// A user authentication service: sign up, log in, log out, who is it, reset a password
///
/// Without any option it serves on http://127.0.0.1:5000 and keeps its data in the file
/// bienvenue.db of the current folder, which it creates. Stop it with Ctrl-C or SIGTERM: requests
/// that have arrived are answered first.
///
/// Every option can also be set by the environment variable beside it, and in a configuration file by
/// its name without the dashes (--config). The option wins over the variable, the variable over the
/// file, and the file over the default. Times are written like 90s, 30m, 12h or 14d, and rates like
/// 10/m, 5/15m or 100/h: so many at once, and as many again evenly over the time. The rate off is no
/// limit.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = format!("{SERVE_EXAMPLES}\n\n{}", serve::EXIT_CODES)
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    serve: ServeOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve, which is also done without a command
    #[command(after_long_help = serve::EXIT_CODES)]
    Serve(Box<ServeOptions>),
    /// List, add, lock, delete, import and export users, and give them ways to a password
    ///
    /// Works on the database itself, whether the service runs or not; what is changed holds at its next
    /// request. Data goes to standard output, all else to standard error, and so does a line of the audit
    /// log for each change.
    #[command(subcommand, after_long_help = help_end(USERS_EXAMPLES))]
    Users(UsersCommand),
    /// List groups, put users into them and take them out
    ///
    /// A group is there as long as a user is in it.
    #[command(subcommand, after_long_help = help_end(GROUPS_EXAMPLES))]
    Groups(GroupsCommand),
    /// List the sessions of a user, and end those of one or of all
    #[command(subcommand, after_long_help = help_end(SESSIONS_EXAMPLES))]
    Sessions(SessionsCommand),
    /// Copy the whole database into one file, while the service runs
    ///
    /// The file is an SQLite database, from PostgreSQL too. It has everything as it was at one moment:
    /// users, groups, sessions, reset tokens, mails to be sent, and what rate limits count. It takes its
    /// name when it is whole, checked and on the disk; only its owner can read it.
    #[command(name = "backup", after_long_help = help_end(BACKUP_EXAMPLES))]
    BackUp(BackUp),
    /// Fill an empty database from a backup
    ///
    /// Creates the SQLite file or the tables if they are not there; a database with rows in it is refused,
    /// and so is a backup of a newer version. The database has all of the backup at the end, or nothing.
    /// Sessions go on, and numbers of users are not given again: so this also moves a service from SQLite
    /// to PostgreSQL, or back. Start the service on the database afterwards.
    #[command(after_long_help = help_end(RESTORE_EXAMPLES))]
    Restore(Restore),
    /// Look at all that serve would meet: settings, database, mail server, public URL
    ///
    /// Takes the options of serve. Prints a line for each check: ok, warn or fail, what was looked at, and
    /// what to do about it. Changes nothing: it creates no file, writes no row and sends no mail. It can run
    /// beside the service, as the user of the service.
    ///
    /// Whether a proxy in front of the service says where requests come from cannot be seen from outside; the
    /// log of the service warns of one that does not.
    #[command(after_long_help = doctor::HELP_END)]
    Doctor(Box<DoctorOptions>),
    /// Bring the schema of the database up to date, or create it
    ///
    /// The service does so at its start, unless it is told --no-migrate. All that is pending is done in one
    /// transaction, and nothing if a part of it fails. Make a backup first: an earlier version of bienvenue
    /// can no longer be started on the database then, though one that runs goes on serving.
    #[command(after_long_help = help_end(MIGRATE_EXAMPLES))]
    Migrate(MigrateCommand),
    /// Ask a service that runs whether it is ready: exits with 0 if it is
    ///
    /// For container images and scripts. Asks /readyz on the address that the service has from
    /// --operations.
    Health(HealthOptions),
    /// Print the configuration, that of a proxy, the manual page, completions or the OpenAPI document
    #[command(subcommand)]
    Print(Printed),
}

const USERS_EXAMPLES: &str = "\
Examples:
  bienvenue users list --search @example.org
  bienvenue users list --json | jq -r .email
  bienvenue users add bob@example.org --public-url https://auth.example.org
  bienvenue users import a.db --dry-run
  bienvenue users set-password bob@example.org --password-stdin < password-file
  sudo -u bienvenue bienvenue users lock 7 --database-url sqlite:/var/lib/bienvenue/users.db";

const GROUPS_EXAMPLES: &str = "\
Examples:
  bienvenue groups list
  bienvenue groups add bob@example.org admins
  bienvenue groups remove 7 admins";

const SESSIONS_EXAMPLES: &str = "\
Examples:
  bienvenue sessions list bob@example.org
  bienvenue sessions revoke 7
  bienvenue sessions revoke --all --yes";

const BACKUP_EXAMPLES: &str = "\
Examples:
  bienvenue backup /var/backups/bienvenue-$(date +%F).db
  bienvenue backup /var/backups/bienvenue.db --force
  bienvenue backup - | gzip > bienvenue.db.gz";

const RESTORE_EXAMPLES: &str = "\
Examples:
  bienvenue restore /var/backups/bienvenue.db --database-url sqlite:/var/lib/bienvenue/restored.db
  bienvenue restore bienvenue.db --database-url-file /etc/bienvenue/database-url";

const MIGRATE_EXAMPLES: &str = "\
Examples:
  bienvenue migrate
  bienvenue migrate --check || echo 'not up to date'
  bienvenue migrate --database-url-file /etc/bienvenue/database-url";

/// The end of the help of a command that works on the database.
fn help_end(examples: &str) -> String {
    format!("{examples}\n\n{EXIT_CODES}")
}

/// Runs the command that the command line asks for.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match read(&arguments, Path::new(config_file::DEFAULT_FILE)) {
        Ok(request) => match request.command {
            Command::Serve(options) => serve::run(*options),
            Command::Users(command) => users::run(&command),
            Command::Groups(command) => groups::run(&command),
            Command::Sessions(command) => sessions::run(&command),
            Command::BackUp(command) => backup::back_up(&command),
            Command::Restore(command) => backup::restore(&command),
            Command::Doctor(options) => doctor::run(&options, request.file.path().as_deref()),
            Command::Migrate(command) => migrate::run(&command),
            Command::Health(options) => health::run(&options),
            Command::Print(printed) => {
                print::run(&printed, command(), &request.settings, &request.file)
            }
        },
        Err(refusal) => refusal.print(),
    }
}

/// The command line, with what all commands take.
fn command() -> clap::Command {
    config_file::with_option(CommandLine::command())
}

/// What is to be run.
struct Request {
    command: Command,
    /// The settings of the command.
    settings: Vec<Effective>,
    /// The configuration file that they are out of.
    file: ConfigFile,
}

/// What is wrong with the command line or with what it is read with, or the help that was asked for.
#[derive(Debug)]
struct Refusal {
    error: clap::Error,
    /// Which options that the error is about do not come from the command line, a line for each.
    sources: Vec<String>,
}

impl Refusal {
    /// An error of `clap`, or of reading what came from it.
    fn new(error: clap::Error, arguments: &[OsString], file: &ConfigFile) -> Self {
        let error = split_value::hint(error, &command(), arguments);
        let error = secret::hide_passwords(error);
        let mut sources = Vec::new();
        if error.use_stderr() {
            let text = error.render().to_string();
            sources = environment::sources(&command(), arguments, &text);
            sources.extend(file.sources(&text));
        }
        Self { error, sources }
    }

    /// Any other reason.
    fn because(reason: &str, arguments: &[OsString], file: &ConfigFile) -> Self {
        let error = command().error(ErrorKind::ArgumentConflict, reason);
        Self::new(error, arguments, file)
    }

    /// Prints it where it belongs.
    fn print(&self) -> ExitCode {
        // Without a terminal to print on, the exit code says it.
        let _ = self.error.print();
        for line in &self.sources {
            eprintln!("{line}");
        }
        ExitCode::from(if self.error.use_stderr() { 2 } else { 0 })
    }
}

/// Reads these arguments, the environment and the configuration file: the one that they name, or else this
/// one if it is there.
fn read(arguments: &[OsString], default_file: &Path) -> Result<Request, Refusal> {
    let known = command();
    let inner = environment::of_inner_command(known.clone(), arguments);
    let mut command = environment::overridden_by(inner, arguments);
    let file = ConfigFile::read(&command, &known, arguments, default_file)
        .map_err(|reason| Refusal::because(&reason, arguments, &ConfigFile::default()))?;
    let refused = |error| Refusal::new(error, arguments, &file);
    let matches = command.try_get_matches_from_mut(file.add_to(arguments));
    let matches = matches.map_err(refused)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(refused)?;
    let command = line
        .command
        .unwrap_or_else(|| Command::Serve(line.serve.into()));
    let settings = match &command {
        Command::Serve(options) => Some(&**options),
        Command::Print(printed) => printed.options(),
        Command::Doctor(options) => Some(&options.serve),
        _ => None,
    };
    if let Some(Err(reason)) = settings.map(ServeOptions::check) {
        return Err(Refusal::because(&reason, arguments, &file));
    }
    if let Command::Print(printed) = &command
        && let Err(reason) = printed.check()
    {
        return Err(Refusal::because(&reason, arguments, &file));
    }
    Ok(Request {
        settings: effective::settings(&known, &matches, &file),
        command,
        file,
    })
}

#[cfg(test)]
mod tests;
