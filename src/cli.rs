//! The command line: a file for each command, of which `serve` is the default.
//!
//! - `serve`: puts the rooms together and serves; `shutdown`: until when.
//! - `print`: the manual page and completions.
//! - `options`: flags, environment variables, defaults.
//! - `logging`: the log on standard error.

#![expect(
    clippy::doc_markdown,
    reason = "the help is read on a terminal, not in a browser"
)]

use std::ffi::OsString;
use std::process::{self, ExitCode};

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

mod logging;
mod options;
mod print;
mod serve;
mod shutdown;

use options::{ServeOptions, environment, secret};
use print::Printed;

/// A user authentication service: sign up, log in, log out, who is it, reset a password
///
/// Without any option it serves on http://127.0.0.1:5000 and keeps its data in the file
/// bienvenue.db of the current folder, which it creates. Stop it with Ctrl-C or SIGTERM: requests
/// that have arrived are answered first.
///
/// Every option can also be set by the environment variable beside it; the option wins. Times are
/// written like 90s, 30m, 12h or 14d, and rates like 10/m, 5/15m or 100/h: so many at once, and as
/// many again evenly over the time. The rate off is no limit.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_long_help = "\
Examples:
  bienvenue
  bienvenue --listen 127.0.0.1:8080 --database-url sqlite:/var/lib/bienvenue/users.db
  DATABASE_URL=postgres://bienvenue:secret@db.example.org/bienvenue?sslmode=verify-full bienvenue
  bienvenue --listen 0.0.0.0:5000 --public-url https://auth.example.org \\
            --smtp-url-file /etc/bienvenue/smtp-url --mail-from 'Example <noreply@example.org>'
  bienvenue --public-url http://localhost:5000 --mail-dir mails

Try it:
  curl -d email=bob@example.org -d password=b4l0u http://127.0.0.1:5000/users"
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
    Serve(Box<ServeOptions>),
    /// Print what is installed beside the program
    #[command(subcommand)]
    Print(Printed),
}

/// Runs the command that the command line asks for.
pub fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match read(&arguments) {
        Ok(Command::Serve(options)) => serve::run(&options),
        Ok(Command::Print(printed)) => print::run(printed, CommandLine::command()),
        Err(error) => {
            // Without a terminal to print on, the exit code says it.
            let _ = error.print();
            if error.use_stderr() {
                let text = error.render().to_string();
                for line in environment::sources(&CommandLine::command(), &arguments, &text) {
                    eprintln!("{line}");
                }
            }
            process::exit(error.exit_code())
        }
    }
}

/// Reads these arguments and the environment. The error is what is wrong, or the help that was asked
/// for.
fn read(arguments: &[OsString]) -> Result<Command, clap::Error> {
    let command = environment::overridden_by(CommandLine::command(), arguments);
    let matches = command.try_get_matches_from(arguments);
    let matches = matches.map_err(secret::hide_passwords)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(secret::hide_passwords)?;
    let command = line
        .command
        .unwrap_or_else(|| Command::Serve(line.serve.into()));
    if let Command::Serve(options) = &command
        && let Err(reason) = options.check()
    {
        return Err(CommandLine::command().error(ErrorKind::ArgumentConflict, reason));
    }
    Ok(command)
}

#[cfg(test)]
mod tests;
