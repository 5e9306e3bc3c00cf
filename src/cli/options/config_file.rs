//! The configuration file: TOML that gives settings by the names of their options.
//!
//! What it gives becomes arguments of the command line, so that the same code reads them and the same
//! words refuse them. What the command line or the environment gives is left out of them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, value_parser};
use toml_span::value::{Table, ValueInner};
use toml_span::{ErrorKind as TomlError, Value};

use super::secret;
use super::setting::{self, Kind};

/// The file that is read if none is named and it is there.
pub const DEFAULT_FILE: &str = "/etc/bienvenue/bienvenue.toml";

/// More is not read: all options together take a tenth of it.
const MAX_BYTES: u64 = 256 * 1024;

/// The name of the option that names the file.
pub const OPTION: &str = "config";

/// The option that names the file.
fn option() -> Arg {
    Arg::new(OPTION)
        .long(OPTION)
        .env("BIENVENUE_CONFIG")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help_heading(None)
        .display_order(0)
        .help(format!(
            "A TOML file that sets options by their names [default: {DEFAULT_FILE}, if it is there]"
        ))
        .long_help(format!(
            "A TOML file that sets options by their names [default: {DEFAULT_FILE}, if it is there]\n\n\
             Such as public-url = \"https://auth.example.org\"; an option that may be given several \
             times takes a list, and one without a value true or false. It serves all commands: each \
             reads the options that it has. Passwords do not belong into it: give --database-url-file \
             and --smtp-url-file. \"bienvenue print config\" prints one."
        ))
}

/// The command with the option that names the file, as have those of its commands that have settings.
pub fn with_option(command: Command) -> Command {
    let command = command.mut_subcommands(with_option);
    if setting::of_command(&command).next().is_some() {
        command.arg(option())
    } else {
        command
    }
}

/// What a configuration file gives to the command that is run.
#[derive(Default)]
pub struct ConfigFile {
    /// `None` if there is no file.
    path: Option<PathBuf>,
    settings: Vec<Setting>,
    /// Behind which argument its own come: the last name of a command.
    position: usize,
}

/// A setting of a file.
struct Setting {
    name: String,
    /// On which line, from 1.
    line: usize,
    arguments: Vec<OsString>,
}

impl ConfigFile {
    /// Reads the file that the command line or the environment names, or else this one if it is there.
    ///
    /// `known` is the program's command, and `command` the same without the variables that do not count.
    /// Nothing is read for a command without settings, nor if the command line is wrong or asks for help.
    pub fn read(
        command: &Command,
        known: &Command,
        arguments: &[OsString],
        default: &Path,
    ) -> Result<Self, String> {
        let unparsed = without_parsers(command.clone());
        let Ok(matches) = unparsed.try_get_matches_from(arguments) else {
            return Ok(Self::default());
        };
        let (command_run, matches, depth) = command_run(command, &matches);
        if setting::of_command(command_run).next().is_none() {
            return Ok(Self::default());
        }
        let named = matches.get_raw(OPTION).and_then(|mut values| values.next());
        let Some((path, bytes)) = read(named, default)? else {
            return Ok(Self::default());
        };
        let mut settings = parse(&bytes, known)
            .map_err(|(line, reason)| format!("{}, line {line}: {reason}", shown(&path)))?;
        let is_given = |name: &str| {
            let option = setting::of_command(command_run).find(|(other, _)| *other == name);
            option.is_some_and(|(_, option)| is_given(matches, option))
        };
        settings.retain(|setting| {
            setting::of_command(command_run).any(|(name, _)| name == setting.name)
                && !is_given(&setting.name)
                && !setting::alternatives_of(&setting.name).any(is_given)
        });
        Ok(Self {
            path: Some(path),
            settings,
            position: (1 + depth).min(arguments.len()),
        })
    }

    /// These arguments with those of the file.
    pub fn add_to(&self, arguments: &[OsString]) -> Vec<OsString> {
        let (names, others) = arguments.split_at(self.position);
        let own = self.settings.iter().flat_map(|setting| &setting.arguments);
        names.iter().chain(own).chain(others).cloned().collect()
    }

    /// The file, as it is shown; `None` if there is none.
    pub fn path(&self) -> Option<String> {
        self.path.as_deref().map(shown)
    }

    /// Where the file gives this option; `None` if it does not, or what it gives is not used.
    pub fn place_of(&self, name: &str) -> Option<String> {
        let setting = self.settings.iter().find(|setting| setting.name == name)?;
        Some(format!("{}, line {}", self.path()?, setting.line))
    }

    /// Which options that a text speaks of come from the file, a line for each.
    pub fn sources(&self, text: &str) -> Vec<String> {
        let names = self.settings.iter().map(|setting| &setting.name);
        let mentioned = names.filter(|name| setting::is_mentioned(name, text));
        mentioned
            .filter_map(|name| Some(format!("--{name} is set by {}", self.place_of(name)?)))
            .collect()
    }
}

/// The command with options of any value, of which none is required: what is given can be told before it
/// is read, and the file may give the rest.
fn without_parsers(command: Command) -> Command {
    let command = command.mut_args(|option| match Kind::of(&option) {
        Kind::Flag => option,
        _ if setting::name(&option).is_none() => option,
        Kind::Value | Kind::List => option
            .value_parser(ValueParser::os_string())
            .required(false),
    });
    command.mut_subcommands(without_parsers)
}

/// The command that is run, what it is given, and of how many names it is.
pub fn command_run<'a>(
    command: &'a Command,
    matches: &'a ArgMatches,
) -> (&'a Command, &'a ArgMatches, usize) {
    let inner = matches.subcommand();
    match inner.and_then(|(name, matches)| Some((command.find_subcommand(name)?, matches))) {
        Some((inner, matches)) => {
            let (command, matches, depth) = command_run(inner, matches);
            (command, matches, depth + 1)
        }
        None => (command, matches, 0),
    }
}

/// Whether the command line or the environment gives an option.
fn is_given(matches: &ArgMatches, option: &Arg) -> bool {
    let source = matches.value_source(option.get_id().as_str());
    source.is_some_and(|source| source != ValueSource::DefaultValue)
}

/// The file that is named, or else this one if it is there, and what is in it.
fn read(named: Option<&OsStr>, default: &Path) -> Result<Option<(PathBuf, Vec<u8>)>, String> {
    let path = named.map_or(default, Path::new);
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = File::open(path)?.take(MAX_BYTES + 1);
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let option = if named.is_some() { "--config " } else { "" };
    match read() {
        Ok(bytes) if bytes.len() as u64 > MAX_BYTES => Err(format!(
            "{option}{} has more than {MAX_BYTES} bytes: give a file of options",
            shown(path)
        )),
        Ok(bytes) => Ok(Some((path.to_owned(), bytes))),
        Err(error) if named.is_none() && error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{option}{} cannot be read: {error}", shown(path))),
    }
}

/// What a file gives, in its order. The error is what is wrong, and on which line.
fn parse(bytes: &[u8], known: &Command) -> Result<Vec<Setting>, (usize, String)> {
    let line_of = |offset: usize| {
        let before = &bytes[..offset.min(bytes.len())];
        before.split(|byte| *byte == b'\n').count()
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| (line_of(error.valid_up_to()), "not UTF-8".to_owned()))?;
    let mut document = toml_span::parse(text).map_err(|error| {
        let reason = match &error.kind {
            TomlError::DuplicateKey { key, first }
            | TomlError::DuplicateTable { name: key, first } => {
                let first = line_of(first.start);
                format!("{} is already there, on line {first}", shown_key(key))
            }
            _ => format!("not TOML: {}", without_controls(&error.to_string())),
        };
        (line_of(error.span.start), reason)
    })?;
    let table = match document.take() {
        ValueInner::Table(table) => table,
        _ => Table::new(),
    };
    let mut known = setting::of_all_commands(known);
    known.retain(|(name, _)| *name != OPTION);
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span.start);
    let settings = entries.into_iter().map(|(key, value)| {
        let line = line_of(key.span.start);
        let arguments = arguments(&key.name, value, &known).map_err(|reason| (line, reason))?;
        Ok(Setting {
            name: key.name.into_owned(),
            line,
            arguments,
        })
    });
    settings.collect()
}

/// The arguments that are the same as this key with its value. The error is what is wrong.
fn arguments(
    key: &str,
    mut value: Value<'_>,
    known: &[(&str, &Arg)],
) -> Result<Vec<OsString>, String> {
    let value = value.take();
    if matches!(value, ValueInner::Table(_)) {
        return Err(format!(
            "{} is a table: options stand in no table, but each on a line of its own, such as \
             listen = \"127.0.0.1:5000\"",
            shown_key(key)
        ));
    }
    let Some((name, option)) = known.iter().find(|(name, _)| *name == key) else {
        return Err(unknown(key, known));
    };
    let takes = match Kind::of(option) {
        Kind::Flag => "true or false".to_owned(),
        Kind::Value => one_of(option)
            .unwrap_or_else(|| format!("a string or a whole number{}", such_as(option))),
        Kind::List => "a string, or a list of strings".to_owned(),
    };
    let wrong_type =
        |value: &ValueInner<'_>| format!("{name} takes {takes}, not {}", kind_of(value));
    let values = match (Kind::of(option), value) {
        (Kind::Flag, ValueInner::Boolean(is_set)) => {
            let argument = is_set.then(|| format!("--{name}").into());
            return Ok(argument.into_iter().collect());
        }
        (Kind::List, ValueInner::Array(values)) => values
            .into_iter()
            .map(|mut value| text_of(value.take()))
            .collect(),
        (Kind::Value | Kind::List, value) => text_of(value).map(|text| vec![text]),
        (Kind::Flag, value) => Err(value),
    };
    let values = values.map_err(|value| wrong_type(&value))?;
    if option.is_hide_env_values_set() && values.iter().any(|value| secret::has_password(value)) {
        return Err(format!(
            "{name} has a password, which does not belong here: put the URL into a file that only its \
             owner can read, and give the name of that by {name}-file"
        ));
    }
    let arguments = values
        .iter()
        .map(|value| format!("--{name}={value}").into());
    Ok(arguments.collect())
}

/// The values that an option takes, as TOML has them; `None` if others are possible too.
fn one_of(option: &Arg) -> Option<String> {
    let values = option.get_possible_values();
    let values: Vec<String> = values
        .iter()
        .map(|value| format!("\"{}\"", value.get_name()))
        .collect();
    let (last, others) = values.split_last()?;
    Some(format!("{} or {last} in quotes", others.join(", ")))
}

/// The words that an option takes besides others, such as `on` and `off`, as TOML has them. Without quotes they are none.
fn such_as(option: &Arg) -> String {
    let placeholder = option.get_value_names().unwrap_or_default().first();
    let parts = placeholder.map_or("", |text| text.as_str()).split('|');
    let is_word =
        |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    let words = parts.filter(is_word).map(|word| format!("\"{word}\""));
    let words: Vec<String> = words.collect();
    if words.is_empty() {
        return String::new();
    }
    format!(", such as {} in quotes", words.join(" or "))
}

/// A string or a whole number, as an argument has it; or what else it is.
fn text_of(value: ValueInner<'_>) -> Result<String, ValueInner<'_>> {
    match value {
        ValueInner::String(text) => Ok(text.into_owned()),
        ValueInner::Integer(number) => Ok(number.to_string()),
        other => Err(other),
    }
}

fn kind_of(value: &ValueInner<'_>) -> &'static str {
    match value {
        ValueInner::String(_) => "a string",
        ValueInner::Integer(_) => "a number",
        ValueInner::Float(_) => "a number with a fraction",
        ValueInner::Boolean(_) => "true or false",
        ValueInner::Array(_) => "a list",
        ValueInner::Table(_) => "a table",
    }
}

/// What is to be said about a key that no command knows. The name of a variable stands for its option.
fn unknown(key: &str, known: &[(&str, &Arg)]) -> String {
    let name = key.to_ascii_lowercase().replace('_', "-");
    let name = name.strip_prefix("bienvenue-").unwrap_or(&name);
    let key = shown_key(key);
    match setting::nearest(name, known.iter().map(|(name, _)| *name)) {
        Some(nearest) => format!("{key} is no setting; {nearest} is"),
        None => format!("{key} is no setting"),
    }
}

/// A key for a message: on one line, and without a password if it is a URL.
fn shown_key(key: &str) -> String {
    without_controls(&secret::without_password(key).unwrap_or_else(|| key.to_owned()))
}

/// A path for a message: the same.
fn shown(path: &Path) -> String {
    shown_key(&path.display().to_string())
}

fn without_controls(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
