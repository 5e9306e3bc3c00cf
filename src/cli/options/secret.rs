//! Values that hold passwords, out of the command line, the environment or a file.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::builder::TypedValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use url::Url;

/// Parses a value that may hold a password. Unlike a plain function, it does not repeat a refused
/// one on the terminal.
#[derive(Clone)]
pub struct SecretParser<T> {
    parse: fn(&OsStr) -> Result<T, String>,
    /// Whether the option names a file.
    names_file: bool,
}

/// A secret out of a file.
#[derive(Clone, Debug)]
pub struct SecretFile<T> {
    /// The secret.
    pub value: T,
    /// What is wrong with the file, if other users of the machine can read it.
    pub warning: Option<String>,
}

impl<T: FromStr<Err: fmt::Display>> SecretParser<T> {
    /// The option is the value.
    pub fn of_value() -> Self {
        Self {
            parse: |value| parse(value.to_str().ok_or("not UTF-8")?),
            names_file: false,
        }
    }

    /// The option names the file with the value, which may end in a line break and which anyone may
    /// read. A relative name may be that of a credential (systemd.exec(5), `LoadCredential=`).
    pub fn of_file() -> Self {
        Self {
            parse: |name| parse_file(name).map(|(value, ..)| value),
            names_file: true,
        }
    }
}

impl<T: FromStr<Err: fmt::Display>> SecretParser<SecretFile<T>> {
    /// The option names the file with the value, which may end in a line break. A relative name may be
    /// that of a credential.
    pub fn of_secret_file() -> Self {
        Self {
            parse: |name| {
                let (value, path, metadata) = parse_file(name)?;
                Ok(SecretFile {
                    value,
                    warning: warning(&path, &metadata),
                })
            },
            names_file: true,
        }
    }
}

fn parse<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// The value out of the file of this name, and which file that is.
fn parse_file<T>(name: &OsStr) -> Result<(T, PathBuf, Metadata), String>
where
    T: FromStr<Err: fmt::Display>,
{
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    let credential = credentials
        .as_ref()
        .filter(|_| Path::new(name).is_relative())
        .map(|folder| Path::new(folder).join(name));
    let (path, nor_there) = match credential {
        Some(path) if path.exists() => (path, None),
        other => (PathBuf::from(name), other),
    };
    let (text, metadata) = read(&path).map_err(|error| match nor_there {
        Some(credential) => format!(
            "cannot read {}, nor is there {}: {error}",
            path.display(),
            credential.display()
        ),
        None => format!("cannot read {}: {error}", path.display()),
    })?;
    let value = parse(text.trim_end());
    let value = value.map_err(|reason| format!("in {}: {reason}", path.display()))?;
    Ok((value, path, metadata))
}

fn read(path: &Path) -> io::Result<(String, Metadata)> {
    let mut file = File::open(path)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((text, file.metadata()?))
}

/// What is wrong with a file that holds a password, if other users can read or change it.
///
/// A file of root's may be read by a group (mode 640): so a service that does not run as root is
/// given a secret that it cannot change.
#[cfg(unix)]
fn warning(path: &Path, metadata: &Metadata) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let (for_others, remedy) = match metadata.uid() {
        0 => (0o037, "chmod 640"),
        _ => (0o077, "chmod 600"),
    };
    let is_open = metadata.is_file() && metadata.mode() & for_others != 0;
    let path = path.display();
    is_open.then(|| {
        format!(
            "other users of this machine have access to the password in {path}: {remedy} {path}"
        )
    })
}

#[cfg(not(unix))]
fn warning(_: &Path, _: &Metadata) -> Option<String> {
    None
}

impl<T: Clone + Send + Sync + 'static> TypedValueParser for SecretParser<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &Command,
        argument: Option<&Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let parsed = if self.names_file && value.to_string_lossy().contains("://") {
            Err(file_expected(command, argument))
        } else {
            (self.parse)(value)
        };
        parsed.map_err(|reason| {
            let option = argument.map(ToString::to_string).unwrap_or_default();
            let text = format!("invalid value for '{option}': {reason}");
            command.clone().error(ErrorKind::ValueValidation, text)
        })
    }
}

/// What to give instead of a URL, which may hold a password, to an option that names a file.
fn file_expected(command: &Command, argument: Option<&Arg>) -> String {
    let name = argument.and_then(|argument| argument.get_long()?.strip_suffix("-file"));
    let of_value = command
        .get_arguments()
        .find(|other| name.is_some() && other.get_long() == name);
    match of_value.and_then(|other| other.get_long().zip(other.get_env())) {
        Some((option, variable)) => format!(
            "give the name of a file, or the URL by --{option} or the environment variable {}",
            variable.display()
        ),
        None => "give the name of a file, not a URL".to_owned(),
    }
}

/// The same error without the password of a URL that stands where none was expected.
pub fn hide_passwords(mut error: clap::Error) -> clap::Error {
    let is_of_app = matches!(
        error.get(ContextKind::InvalidArg),
        Some(ContextValue::String(argument)) if argument.starts_with("--app ")
    );
    for kind in [
        ContextKind::InvalidArg,
        ContextKind::InvalidValue,
        ContextKind::InvalidSubcommand,
    ] {
        let Some(ContextValue::String(text)) = error.get(kind) else {
            continue;
        };
        // The host of an app, a colon and an address look like a URL with a password, and are none.
        if is_of_app && kind == ContextKind::InvalidValue && !text.contains("://") {
            continue;
        }
        if let Some(masked) = without_password(text) {
            error.insert(kind, ContextValue::String(masked));
            // May repeat it.
            error.remove(ContextKind::Suggested);
        }
    }
    error
}

/// Whether a URL has a password, or a private key. What is no URL has none: it is refused as a value, and
/// not repeated.
pub fn has_password(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    let is_secret = |(name, value): (Cow<str>, Cow<str>)| {
        name.contains("password") || value.contains("PRIVATE KEY")
    };
    url.password().is_some() || url.query_pairs().any(is_secret)
}

/// A text without what may be a password in it; `None` if there is none.
pub fn without_password(text: &str) -> Option<String> {
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), text),
    };
    let (before, host) = rest.rsplit_once('@').unwrap_or(("", rest));
    let has_secret = if scheme.is_empty() {
        before.contains(':')
    } else {
        !before.is_empty()
    };
    // Behind a question mark there may be another password, with another @.
    match rest.contains('?') {
        true if has_secret || !scheme.is_empty() => Some(format!("{scheme}***")),
        false if has_secret => Some(format!("{scheme}***@{host}")),
        _ => None,
    }
}
