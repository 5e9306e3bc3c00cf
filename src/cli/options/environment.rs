//! The environment variables beside the options.

use std::ffi::{OsStr, OsString};

use clap::Command;

use super::setting;

/// What the names of our variables begin with, but for those of the database URL.
const PREFIX: &str = "BIENVENUE_";

/// What is to be said about variables that look like settings and are none.
pub fn unknown(command: &Command, names: impl IntoIterator<Item = OsString>) -> Vec<String> {
    let known: Vec<&str> = command
        .get_arguments()
        .filter_map(|option| option.get_env()?.to_str())
        .collect();
    let unknown = names.into_iter().filter_map(|name| {
        let name = name.to_str()?;
        let is_unknown = name.starts_with(PREFIX) && !known.contains(&name);
        is_unknown.then(|| match nearest(name, &known) {
            Some(nearest) => format!("the environment variable {name} is no setting; {nearest} is"),
            None => format!("the environment variable {name} is no setting"),
        })
    });
    unknown.collect()
}

/// The known name that was most likely meant.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    fn own_part(name: &str) -> &str {
        name.strip_prefix(PREFIX).unwrap_or(name)
    }
    let nearest = setting::nearest(own_part(name), known.iter().copied().map(own_part))?;
    let mut known = known.iter().copied();
    known.find(|known| own_part(known) == nearest)
}

/// The command without those environment variables that an option on the command line is an alternative
/// to: the option wins.
pub fn overridden_by(command: Command, arguments: &[OsString]) -> Command {
    let is_given = |option: &str| {
        let flag = format!("--{option}");
        arguments.iter().any(|argument| is_option(argument, &flag))
    };
    let command = command.mut_args(|option| {
        let is_set = |variable| std::env::var_os(variable).is_some();
        let is_overridden = setting::name(&option)
            .is_some_and(|name| !is_given(name) && setting::alternatives_of(name).any(is_given));
        if is_overridden && option.get_env().is_some_and(is_set) {
            option.env(None::<&str>)
        } else {
            option
        }
    });
    command.mut_subcommands(|command| overridden_by(command, arguments))
}

/// The command without the variables of its own options, if the first argument is one of its commands:
/// that one has options of its own, and a bad value of another is not its affair.
pub fn of_inner_command(command: Command, arguments: &[OsString]) -> Command {
    let first = arguments.get(1).and_then(|argument| argument.to_str());
    match first.and_then(|name| command.find_subcommand(name)) {
        Some(_) => command.mut_args(|option| option.env(None::<&str>)),
        None => command,
    }
}

/// Which options that a text speaks of come from the environment, a line for each.
pub fn sources(command: &Command, arguments: &[OsString], text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, option) in setting::of_all_commands(command) {
        let flag = format!("--{name}");
        let Some(variable) = option.get_env() else {
            continue;
        };
        let Some(value) = std::env::var_os(variable) else {
            continue;
        };
        let is_from_environment = setting::is_mentioned(name, text)
            && !arguments.iter().any(|argument| is_option(argument, &flag));
        let variable = variable.display();
        let hint = if value.is_empty() {
            ", which is empty: unset it to leave the option out"
        } else {
            ""
        };
        let line = format!("{flag} is set by the environment variable {variable}{hint}");
        // Several commands have the same option.
        if is_from_environment && !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

/// Whether an argument gives this option, with its value or before it.
fn is_option(argument: &OsStr, flag: &str) -> bool {
    let rest = argument.as_encoded_bytes().strip_prefix(flag.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
}
