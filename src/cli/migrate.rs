//! `bienvenue migrate`: brings the schema of the database up to date, as the service does at its start.

use std::process::ExitCode;

use clap::Args;

use super::administration::{self, CommandOptions, Failure};
use super::operator;
use crate::db;

#[derive(Clone, Debug, Args)]
pub struct MigrateCommand {
    /// Change nothing: exit with 6, and say how many migrations are pending, if any are
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    options: CommandOptions,
}

/// Brings the schema up to date, or only looks whether it is.
pub fn run(command: &MigrateCommand) -> ExitCode {
    let MigrateCommand { check, options } = command;
    administration::run_unopened(options, async |url, log| {
        if *check {
            let pending = db::count_pending_migrations(url).await;
            return match pending.map_err(Failure::open)? {
                0 => Ok(()),
                pending => Err(Failure::Pending(pending)),
            };
        }
        let (before, now) = db::migrate(url).await.map_err(Failure::open)?;
        if before == now {
            log.say(&format!(
                "bienvenue: nothing to do: the schema is that of migration {now}"
            ));
            return Ok(());
        }
        log.say(&match before {
            0 => format!("bienvenue: created the schema of migration {now}"),
            before => format!("bienvenue: brought the schema from migration {before} to {now}"),
        });
        operator::actor("migrate").log_migration((before, now));
        Ok(())
    })
}
