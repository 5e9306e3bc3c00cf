//! Which options are settings: those that the environment and the configuration file can give too.

use clap::{Arg, ArgAction, Command};

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: it is given or not.
    Flag,
    /// One value.
    Value,
    /// Any number of values.
    List,
}

impl Kind {
    /// What this option takes.
    pub fn of(option: &Arg) -> Self {
        match option.get_action() {
            ArgAction::SetTrue => Self::Flag,
            ArgAction::Append => Self::List,
            _ => Self::Value,
        }
    }
}

/// The name of an option that is a setting; `None` if the command line alone can give it.
pub fn name(option: &Arg) -> Option<&str> {
    option.get_env()?;
    option.get_long()
}

/// The settings of a command, with their names.
pub fn of_command(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter_map(|option| Some((name(option)?, option)))
}

/// The settings of a command and of all its commands. Some are there more than once.
pub fn of_all_commands(command: &Command) -> Vec<(&str, &Arg)> {
    let of_commands = command.get_subcommands().flat_map(of_all_commands);
    of_command(command).chain(of_commands).collect()
}

/// Whether a text speaks of the option of this name.
pub fn is_mentioned(name: &str, text: &str) -> bool {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    let mut words = text.split(|letter| !is_word(letter));
    words.any(|word| word.strip_prefix("--") == Some(name))
}

/// The known name that was most likely meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |known: &'a str| (strsim::osa_distance(name, known), known);
    let (distance, nearest) = known.into_iter().map(distance).min()?;
    // With more than a third of it wrong, it is another name.
    (distance <= nearest.len() / 3).then_some(nearest)
}

/// Options of which one is to be given.
const ALTERNATIVES: [&[&str]; 2] = [
    &["database-url", "database-url-file"],
    &["smtp-url", "smtp-url-file", "mail-dir"],
];

/// The options that are given instead of this one, if one of them is.
pub fn alternatives_of(name: &str) -> impl Iterator<Item = &'static str> {
    let group = ALTERNATIVES
        .into_iter()
        .find(|options| options.contains(&name));
    let group = group.into_iter().flatten().copied();
    group.filter(move |other| *other != name)
}
