//! What the settings of a command come to, and where each comes from.

use std::ffi::{OsStr, OsString};
use std::fmt;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::config_file::{self, ConfigFile};
use super::secret;
use super::setting::{self, Kind};

/// A setting of the command that is run, with its value.
#[derive(Debug)]
pub struct Effective {
    /// The name of the option.
    pub name: String,
    /// What the help calls the options that it belongs to; `None` for those without a heading.
    pub heading: Option<String>,
    /// What it takes.
    pub kind: Kind,
    /// What its value looks like, such as `FILE`.
    pub placeholder: String,
    /// Its values, as they were given; those of a flag are `true` or `false`. None if it has none.
    pub values: Vec<OsString>,
    /// Whether a password in them is shown as `***`.
    pub is_masked: bool,
    /// Where they come from.
    pub origin: Origin,
}

/// Where the value of a setting comes from. Shows itself as words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    CommandLine,
    /// The environment variable of this name.
    Variable(String),
    /// This place in the configuration file.
    File(String),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => formatter.write_str("command line"),
            Self::Variable(name) => write!(formatter, "environment variable {name}"),
            Self::File(place) => formatter.write_str(place),
            Self::Default => formatter.write_str("default"),
        }
    }
}

/// The settings of the command that is run, in the order of its help.
pub fn settings(command: &Command, matches: &ArgMatches, file: &ConfigFile) -> Vec<Effective> {
    let (command, matches, _) = config_file::command_run(command, matches);
    let settings = setting::of_command(command).filter(|(name, _)| *name != config_file::OPTION);
    settings
        .map(|(name, option)| effective(name, option, matches, file))
        .collect()
}

fn effective(name: &str, option: &Arg, matches: &ArgMatches, file: &ConfigFile) -> Effective {
    let id = option.get_id().as_str();
    let origin = match (file.place_of(name), matches.value_source(id)) {
        (Some(place), _) => Origin::File(place),
        (None, Some(ValueSource::CommandLine)) => Origin::CommandLine,
        (None, Some(ValueSource::EnvVariable)) => {
            let variable = option.get_env().unwrap_or_default();
            Origin::Variable(variable.to_string_lossy().into_owned())
        }
        (None, _) => Origin::Default,
    };
    let values: Vec<&OsStr> = matches.get_raw(id).into_iter().flatten().collect();
    let has_password = |value: &&OsStr| secret::has_password(&value.to_string_lossy());
    let is_masked = option.is_hide_env_values_set() && values.iter().any(has_password);
    let shown = |value: &OsStr| {
        if is_masked {
            let masked = secret::without_password(&value.to_string_lossy());
            masked.unwrap_or_default().into()
        } else {
            value.to_owned()
        }
    };
    let placeholder = option.get_value_names().unwrap_or_default();
    Effective {
        name: name.to_owned(),
        heading: option.get_help_heading().map(str::to_owned),
        kind: Kind::of(option),
        placeholder: placeholder
            .first()
            .map(ToString::to_string)
            .unwrap_or_default(),
        values: values.into_iter().map(shown).collect(),
        is_masked,
        origin,
    }
}
