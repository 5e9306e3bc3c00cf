//! A value with spaces that was given without quotes, so that the shell has made several arguments of it.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

/// The same error with a hint, if it is about an argument behind the value of an option and no command has this
/// name.
pub fn hint(mut error: Error, command: &Command, arguments: &[OsString]) -> Error {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::ArgumentConflict => ContextKind::InvalidSubcommand,
        _ => return error,
    };
    let Some(ContextValue::String(word)) = error.get(kind) else {
        return error;
    };
    let is_other = word.starts_with('-') || command.find_subcommand(word).is_some();
    if let Some(option) = option_before(word, arguments).filter(|_| !is_other) {
        let hint =
            format!("the value of {option} ends at a space: put one with spaces into quotes");
        let hints = ContextValue::StyledStrs(vec![StyledStr::from(hint)]);
        error.insert(ContextKind::Suggested, hints);
    }
    error
}

/// The option whose value stands before this argument.
fn option_before<'a>(word: &str, arguments: &'a [OsString]) -> Option<&'a str> {
    let place = arguments.iter().position(|argument| argument == word)?;
    let before = |count: usize| arguments.get(place.checked_sub(count)?)?.to_str();
    match before(1)? {
        option if option.starts_with("--") => Some(option.split_once('=')?.0),
        _ => before(2).filter(|option| option.starts_with("--") && !option.contains('=')),
    }
}
