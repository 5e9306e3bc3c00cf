//! `bienvenue doctor`: what the service would meet with these settings, a line for each check.
//!
//! - `findings`: the lines, and whether one of them is a failure.
//! - `sqlite`, `postgres`, `mail`, `public_url`: what is looked at, and what to do about what is found.
//! - `schema`: whether the tables are those of this version; `folder`: whether files can be put into a folder.
//!
//! It changes nothing: no file is created, no row is written, no mail is sent.

use std::process::ExitCode;

use clap::Args;
use tokio::runtime;

use super::health::{self, NotReady};
use super::options::ServeOptions;
use super::warnings;
use crate::error_chain::ErrorChain;

mod findings;
mod folder;
mod mail;
mod postgres;
mod public_url;
mod schema;
mod sqlite;

use findings::Findings;

/// What stands in the help of the command.
pub const HELP_END: &str = "\
Examples:
  bienvenue doctor
  sudo -u bienvenue bienvenue doctor --json | jq -r 'select(.result != \"ok\").message'
  bienvenue doctor --config-only && systemctl restart bienvenue

Exit codes:
  0  nothing failed; there may be warnings
  1  something failed
  2  the command line or the configuration cannot be used";

/// What to look at.
#[derive(Clone, Debug, Args)]
pub struct DoctorOptions {
    /// Look at the configuration alone: at no database, no mail server and no network
    #[arg(long)]
    config_only: bool,

    /// Print JSON, an object a line
    #[arg(long)]
    json: bool,

    /// What the service is started with.
    #[command(flatten)]
    pub serve: ServeOptions,
}

/// Prints what is found; exits with 1 if something failed. `file` is the configuration file that was read.
pub fn run(options: &DoctorOptions, file: Option<&str>) -> ExitCode {
    let mut findings = Findings::new(options.json);
    check_configuration(&options.serve, file, &mut findings);
    if !options.config_only {
        match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => {
                runtime.block_on(check_surroundings(&options.serve, &mut findings));
                // A name that is looked up, or a check of a database that was given up, may still run.
                runtime.shutdown_background();
            }
            Err(error) => findings.fail("doctor", format!("cannot start: {error}")),
        }
    }
    findings.exit_code()
}

/// What can be told of the settings alone. Those that cannot be used were refused before.
fn check_configuration(options: &ServeOptions, file: Option<&str>, findings: &mut Findings) {
    const CHECK: &str = "configuration";
    findings.ok(
        CHECK,
        match file {
            Some(file) => format!("{file} and the options can be used"),
            None => "the options can be used; there is no configuration file".to_owned(),
        },
    );
    for warning in warnings::of(options) {
        findings.warn(CHECK, warning);
    }
}

async fn check_surroundings(options: &ServeOptions, findings: &mut Findings) {
    let service = match &options.operations {
        Some(address) => Some((address, health::ask_whether_ready(address).await)),
        None => None,
    };
    let answer = service.as_ref().map(|(_, answer)| answer);
    let database = options.database.url().absolute();
    match database.file() {
        Some(file) => {
            let is_in_use = answer.is_some_and(lacks_its_database);
            sqlite::check(&database, file, is_in_use, findings).await;
        }
        None => postgres::check(&database, findings).await,
    }
    if let Some((transport, _)) = options.mail.transport() {
        let is_running = answer.is_some_and(is_running);
        mail::check(transport, is_running, findings).await;
    }
    if let Some(url) = &options.accounts.public_url {
        public_url::check(url, options.has_app_on_own_host(), findings).await;
    }
    if let Some((address, answer)) = service {
        match answer {
            Ok(()) => findings.ok("service", format!("{address} answers: ready")),
            Err(reason @ NotReady::Says(_)) => {
                findings.fail("service", format!("{reason}: look into its log"));
            }
            Err(reason) => findings.fail(
                "service",
                format!(
                    "{}: start the service, or look into its log",
                    ErrorChain(&reason)
                ),
            ),
        }
    }
}

/// Whether a service runs that has given this answer.
fn is_running(answer: &Result<(), NotReady>) -> bool {
    matches!(answer, Ok(()) | Err(NotReady::Says(_)))
}

/// Whether a service runs that had its database and does not have it now.
fn lacks_its_database(answer: &Result<(), NotReady>) -> bool {
    matches!(answer, Err(NotReady::Says(word)) if word == "database")
}
