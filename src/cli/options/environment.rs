//! The environment variables beside the options.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

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
    let own_part = |name: &'a str| name.strip_prefix(PREFIX).unwrap_or(name);
    let name = name.strip_prefix(PREFIX).unwrap_or(name);
    let distances = known.iter().map(|known| {
        let distance = strsim::osa_distance(name, own_part(known));
        (distance, *known)
    });
    let (distance, nearest) = distances.min()?;
    // With more than a third of it wrong, it is another name.
    (distance <= own_part(nearest).len() / 3).then_some(nearest)
}

/// Options of which one is to be given.
const ALTERNATIVES: [&[&str]; 2] = [
    &["database-url", "database-url-file"],
    &["smtp-url", "smtp-url-file", "mail-dir"],
];

/// The command without those environment variables that an option on the command line is an alternative
/// to: the option wins.
pub fn overridden_by(command: Command, arguments: &[OsString]) -> Command {
    let is_given = |option: &&str| {
        let flag = format!("--{option}");
        arguments.iter().any(|argument| is_option(argument, &flag))
    };
    let overridden: Vec<&str> = ALTERNATIVES
        .into_iter()
        .filter(|options| options.iter().any(is_given))
        .flatten()
        .filter(|option| !is_given(option))
        .copied()
        .collect();
    without_variables(command, &overridden)
}

/// The command, and its commands, with these options given by the command line alone.
fn without_variables(command: Command, options: &[&str]) -> Command {
    let command = command.mut_args(|option| {
        let is_meant = option
            .get_long()
            .is_some_and(|name| options.contains(&name));
        let is_set = |variable| std::env::var_os(variable).is_some();
        if is_meant && option.get_env().is_some_and(is_set) {
            option.env(None::<&str>)
        } else {
            option
        }
    });
    command.mut_subcommands(|command| without_variables(command, options))
}

/// Which options that a text speaks of come from the environment, a line for each.
pub fn sources(command: &Command, arguments: &[OsString], text: &str) -> Vec<String> {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let words: Vec<&str> = text.split(|letter| !is_word(letter)).collect();
    let source = |option: &Arg| {
        let flag = format!("--{}", option.get_long()?);
        let variable = option.get_env()?;
        let is_from_environment = words.contains(&flag.as_str())
            && std::env::var_os(variable).is_some()
            && !arguments.iter().any(|argument| is_option(argument, &flag));
        let variable = variable.display();
        is_from_environment.then(|| format!("{flag} is set by the environment variable {variable}"))
    };
    command.get_arguments().filter_map(source).collect()
}

/// Whether an argument gives this option, with its value or before it.
fn is_option(argument: &OsStr, flag: &str) -> bool {
    let rest = argument.as_encoded_bytes().strip_prefix(flag.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
}
