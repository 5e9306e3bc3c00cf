//! What is logged, and how.

use clap::Args;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::auth::AUDIT_TARGET;
use crate::cli::logging::LogFormat;

/// What is right.
const HINT: &str = "give off, error, warn, info, debug or trace, or such as info,sqlx=debug";

/// How the log is written, on standard error.
#[derive(Clone, Debug, Args)]
pub struct LogOptions {
    /// What to log to standard error: off, error, warn, info, debug or trace
    ///
    /// Also by module, such as info,sqlx=debug. Audit lines (who signed up, logged in, failed to)
    /// are logged at every level; bienvenue::audit=off leaves them out.
    #[arg(
        id = "log",
        long = "log",
        env = "BIENVENUE_LOG",
        value_name = "LEVEL",
        default_value = "info",
        value_parser = parse
    )]
    pub filter: Targets,

    /// How to write the log: text for people, json for machines
    #[arg(
        id = "log_format",
        long = "log-format",
        env = "BIENVENUE_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub format: LogFormat,
}

/// A level, or a list such as `info,sqlx=debug`. Unlike [`Targets`] itself, takes no misspelt level
/// for the name of a module, and keeps the audit lines unless they are named.
fn parse(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new().with_target(AUDIT_TARGET, LevelFilter::INFO);
    for directive in text.split(',') {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level),
            None => (None, directive),
        };
        let level = level_of(level.trim())?;
        targets = match target {
            None => targets.with_default(level),
            Some(target) if is_target(target) => targets.with_target(target, level),
            Some(_) => return Err(HINT.to_owned()),
        };
    }
    Ok(targets)
}

fn level_of(text: &str) -> Result<LevelFilter, String> {
    // Numbers and nothing are levels too, for `tracing`.
    let is_name = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let level = text.parse().ok().filter(|_| is_name);
    level.ok_or_else(|| HINT.to_owned())
}

/// Whether this can be the path of a module.
fn is_target(text: &str) -> bool {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_:-.".contains(letter);
    !text.is_empty() && text.chars().all(is_allowed)
}
