//! Values that hold passwords, out of the command line, the environment or a file.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::marker::PhantomData;
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use clap::{Arg, Command};

/// Parses a value that may hold a password. Unlike a plain function, it does not repeat a refused
/// one on the terminal.
pub(super) struct SecretParser<T> {
    read: fn(&OsStr) -> Result<String, String>,
    parsed: PhantomData<fn() -> T>,
}

impl<T> SecretParser<T> {
    /// The option is the value.
    pub(super) fn of_value() -> Self {
        Self {
            read: |value| Ok(value.to_str().ok_or("not UTF-8")?.to_owned()),
            parsed: PhantomData,
        }
    }

    /// The option names the file with the value, which may end in a line break.
    pub(super) fn of_file() -> Self {
        Self {
            read: |path| {
                let text = fs::read_to_string(path).map_err(|error| {
                    let path = path.display();
                    format!("cannot read {path}: {error}")
                })?;
                Ok(text.trim_end().to_owned())
            },
            parsed: PhantomData,
        }
    }
}

impl<T> Clone for SecretParser<T> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<T> TypedValueParser for SecretParser<T>
where
    T: FromStr<Err: fmt::Display> + Clone + Send + Sync + 'static,
{
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let parsed = (self.read)(value)
            .and_then(|text| text.parse().map_err(|error: T::Err| error.to_string()));
        parsed.map_err(|reason| {
            let option = argument.map(ToString::to_string).unwrap_or_default();
            let text = format!("invalid value for '{option}': {reason}");
            command.clone().error(ErrorKind::ValueValidation, text)
        })
    }
}
