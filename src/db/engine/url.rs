//! Where the database is.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// The place of a database: an SQLite file or a PostgreSQL server. Shows itself without its
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(pub Place);

#[derive(Clone, PartialEq, Eq)]
pub enum Place {
    Sqlite(PathBuf),
    Postgres(Url),
}

/// Why a text is no [`DatabaseUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDatabaseUrl {
    /// It has a control character, such as a line break, written out or as `%0A` in a file name.
    #[error("give the URL alone, on one line, without control characters")]
    ControlCharacter,
    /// It begins with something else than the schemes we know.
    #[error("give sqlite:FILE, such as sqlite:bienvenue.db, or postgres://USER@HOST/DATABASE")]
    UnknownScheme,
    /// It names no file, or a database in memory, which would be gone with the process.
    #[error("give a file to keep the data in, such as sqlite:bienvenue.db")]
    NoFile,
    /// It carries options, which we set ourselves.
    #[error("sqlite: takes a file and no options; write a `?` in its name as %3F")]
    SqliteOptions,
    /// It is not a URL.
    #[error(
        "not a URL: {0}; give postgres://USER:PASSWORD@HOST:PORT/DATABASE, signs such as # / @ in the \
         password written %23 %2F %40"
    )]
    Malformed(#[from] url::ParseError),
    /// It has a `#`, or an `@` behind the host: the password was cut at a sign of its own, and what was
    /// read as the host and the database is part of it.
    #[error("signs such as # / @ in a password or a name are written %23 %2F %40")]
    Unescaped,
}

impl DatabaseUrl {
    /// The file of an SQLite database.
    pub fn file(&self) -> Option<&Path> {
        match &self.0 {
            Place::Sqlite(path) => Some(path),
            Place::Postgres(_) => None,
        }
    }

    /// The same with the whole path of the file, for messages: a relative one is looked for in the current
    /// folder, which is another for each who runs a command.
    #[must_use]
    pub fn absolute(&self) -> Self {
        let absolute = self.file().map(std::path::absolute);
        match absolute {
            Some(Ok(path)) => Self(Place::Sqlite(path)),
            _ => self.clone(),
        }
    }

    /// Whether the network on the way could read along or pose as the database: it is a server on
    /// another machine, and nothing asks for its certificate to be checked.
    pub fn is_exposed_on_the_way(&self) -> bool {
        let mode = self.server_elsewhere();
        mode.is_some_and(|mode| !matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull))
    }

    /// Whether it is a server on another machine.
    pub fn is_elsewhere(&self) -> bool {
        self.server_elsewhere().is_some()
    }

    /// Whether nothing goes to a server on another machine that is not encrypted.
    pub fn must_be_encrypted(&self) -> bool {
        let mode = self.server_elsewhere();
        mode.is_some_and(|mode| {
            !matches!(
                mode,
                PgSslMode::Disable | PgSslMode::Allow | PgSslMode::Prefer
            )
        })
    }

    /// How a connection to a server on another machine is encrypted; `None` if it is none.
    fn server_elsewhere(&self) -> Option<PgSslMode> {
        let Place::Postgres(url) = &self.0 else {
            return None;
        };
        // What cannot be read is not connected to either.
        let options = url.as_str().parse::<PgConnectOptions>().ok()?;
        let host = options.get_host();
        let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_here = options.get_socket().is_some()
            || host.starts_with('/')
            || host == "localhost"
            || address.is_ok_and(|address| address.is_loopback());
        (!is_here).then(|| options.get_ssl_mode())
    }

    /// The URL by which `sqlx` connects. Never creates a file: a database that is removed under a
    /// running service must be missed, not replaced by an empty one.
    pub fn to_connect_url(&self) -> String {
        self.with_file_mode("rw")
    }

    /// The same to read alone, a file that `never_changes` without a look at its log and without locks.
    pub fn to_reading_url(&self, never_changes: bool) -> String {
        self.with_file_mode(if never_changes {
            "ro&immutable=true"
        } else {
            "ro"
        })
    }

    fn with_file_mode(&self, mode: &str) -> String {
        const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
            .remove(b'/')
            .remove(b'.')
            .remove(b'-')
            .remove(b'_');
        match &self.0 {
            Place::Sqlite(path) => {
                let path = path.to_string_lossy();
                format!("sqlite:{}?mode={mode}", utf8_percent_encode(&path, ESCAPED))
            }
            Place::Postgres(url) => url.to_string(),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        // Left in by SQLite's path, left out without a word by `Url::parse`.
        if text.contains(char::is_control) {
            return Err(InvalidDatabaseUrl::ControlCharacter);
        }
        let (scheme, rest) = text
            .split_once(':')
            .ok_or(InvalidDatabaseUrl::UnknownScheme)?;
        match scheme {
            "sqlite" => {
                if rest.contains('?') {
                    return Err(InvalidDatabaseUrl::SqliteOptions);
                }
                let path = percent_decode_str(rest.strip_prefix("//").unwrap_or(rest))
                    .decode_utf8()
                    .map_err(|_| InvalidDatabaseUrl::NoFile)?;
                if path.contains(char::is_control) {
                    return Err(InvalidDatabaseUrl::ControlCharacter);
                }
                if path.is_empty() || path.ends_with('/') || path == ":memory:" {
                    return Err(InvalidDatabaseUrl::NoFile);
                }
                Ok(Self(Place::Sqlite(Path::new(&*path).to_path_buf())))
            }
            "postgres" | "postgresql" => {
                let url = Url::parse(text)?;
                if url.fragment().is_some() || url.path().contains('@') {
                    return Err(InvalidDatabaseUrl::Unescaped);
                }
                Ok(Self(Place::Postgres(url)))
            }
            _ => Err(InvalidDatabaseUrl::UnknownScheme),
        }
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => write!(formatter, "sqlite:{}", path.display()),
            Place::Postgres(url) => without_password(url).fmt(formatter),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The same URL with `***` for the password and without its query, which may hold another.
fn without_password(url: &Url) -> Url {
    let mut url = url.clone();
    if url.password().is_some() {
        // Refused only by URLs without a host, which have no password to hide.
        let _ = url.set_password(Some("***"));
    }
    url.set_query(None);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatabaseUrl, InvalidDatabaseUrl> {
        text.parse()
    }

    #[test]
    fn files_are_read_with_and_without_slashes() {
        for (text, file) in [
            ("sqlite:bienvenue.db", "bienvenue.db"),
            ("sqlite://data/b.db", "data/b.db"),
            ("sqlite:///var/lib/b.db", "/var/lib/b.db"),
            ("sqlite:/var/lib/b.db", "/var/lib/b.db"),
            ("sqlite:a%20b%3F.db", "a b?.db"),
        ] {
            assert!(
                parse(text).unwrap().0 == Place::Sqlite(file.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn odd_file_names_reach_the_driver_escaped() {
        let url = parse("sqlite:a b%3F#é.db").unwrap();
        assert_eq!(url.to_connect_url(), "sqlite:a%20b%3F%23%C3%A9.db?mode=rw");
    }

    #[test]
    fn anything_else_is_refused_with_what_would_be_right() {
        for (text, error) in [
            ("bienvenue.db", InvalidDatabaseUrl::UnknownScheme),
            ("mysql://host/db", InvalidDatabaseUrl::UnknownScheme),
            ("sqlite:", InvalidDatabaseUrl::NoFile),
            ("sqlite://", InvalidDatabaseUrl::NoFile),
            ("sqlite:data/", InvalidDatabaseUrl::NoFile),
            ("sqlite::memory:", InvalidDatabaseUrl::NoFile),
            ("sqlite:b.db?mode=ro", InvalidDatabaseUrl::SqliteOptions),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert!(matches!(
            parse("postgres://host:port/db"),
            Err(InvalidDatabaseUrl::Malformed(_))
        ));
    }

    #[test]
    fn a_password_with_signs_that_are_not_escaped_is_refused_and_not_repeated() {
        for text in [
            "postgres://bob:hun#ter2@host/x",
            "postgres://bob:hun/ter2@host/x",
            "postgres://bob:1#ter2@host/x",
            "postgres://bob:1/ter2@host/x",
            "postgres://bob:1@ter2#@host/x",
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains("# / @"), "{message}");
            assert!(message.contains("%23 %2F %40"), "{message}");
            assert!(!message.contains("ter2"), "{message}");
        }
        assert!(parse("postgres://bob:hun%23%2F%40ter2@host/x").is_ok());
    }

    #[test]
    fn control_characters_are_refused() {
        for text in [
            "sqlite:two.db\n# the users",
            "sqlite:two.db\n",
            "\nsqlite:two.db",
            "sqlite:two\t.db",
            "sqlite:two%0A.db",
            "sqlite:two%00.db",
            "sqlite:two\u{85}.db",
            "postgres://me:s3cret@host/db\n# the users",
            "postgres://me:s3\r\ncret@host/db",
            "postgres://me:s3cret@host/db\u{0}",
        ] {
            let error = InvalidDatabaseUrl::ControlCharacter;
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        for text in [
            "postgres://me:s3cret@host/db",
            "postgres://host/db?user=me&password=s3cret",
        ] {
            let url = parse(text).unwrap();
            assert!(!format!("{url} {url:?}").contains("s3cret"), "{url}");
            assert!(url.to_connect_url().contains("s3cret"));
        }
        assert_eq!(
            parse("postgres://me:s3cret@host/db").unwrap().to_string(),
            "postgres://me:***@host/db"
        );
    }

    #[test]
    fn only_an_unchecked_server_elsewhere_is_exposed_on_the_way() {
        for (text, is_exposed) in [
            ("sqlite:bienvenue.db", false),
            ("postgres://bob@localhost/b", false),
            ("postgres://bob@127.0.0.1:5433/b", false),
            ("postgres://bob@[::1]/b", false),
            ("postgres://bob@%2Frun%2Fpostgresql/b", false),
            ("postgres:///b?host=/run/postgresql", false),
            ("postgres://bob@db.example.org/b?sslmode=verify-full", false),
            ("postgres://bob@db.example.org/b?sslmode=verify-ca", false),
            ("postgres://bob@db.example.org/b", true),
            ("postgres://bob@10.0.0.7/b?sslmode=require", true),
            (
                "postgres://bob@localhost.example.org/b?sslmode=prefer",
                true,
            ),
        ] {
            let url: DatabaseUrl = text.parse().unwrap();
            assert_eq!(url.is_exposed_on_the_way(), is_exposed, "{text}");
            assert_eq!(url.is_elsewhere(), text.contains("example") || is_exposed);
            assert_eq!(
                url.must_be_encrypted(),
                url.is_elsewhere() && ["verify", "require"].iter().any(|mode| text.contains(mode)),
                "{text}"
            );
        }
    }
}
