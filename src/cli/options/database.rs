//! Where the data is.

use clap::Args;

use super::secret::{SecretFile, SecretParser};
use crate::db::DatabaseUrl;

/// Where the data is: what every command that uses it takes.
#[derive(Clone, Debug, Args)]
pub struct DatabaseOptions {
    /// Where the data is: sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE
    ///
    /// Other users of the machine can see a command line: give a URL with a password by the
    /// environment variable or by --database-url-file.
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL",
        default_value = "sqlite:bienvenue.db",
        value_parser = SecretParser::<DatabaseUrl>::of_value()
    )]
    database_url: DatabaseUrl,

    /// A file with the database URL, readable by its owner alone
    #[arg(
        long,
        env = "DATABASE_URL_FILE",
        value_name = "FILE",
        value_parser = SecretParser::<SecretFile<DatabaseUrl>>::of_secret_file(),
        conflicts_with = "database_url"
    )]
    database_url_file: Option<SecretFile<DatabaseUrl>>,
}

impl DatabaseOptions {
    /// Where the data is.
    pub fn url(&self) -> &DatabaseUrl {
        match &self.database_url_file {
            Some(file) => &file.value,
            None => &self.database_url,
        }
    }

    /// What is wrong with the file that holds the URL.
    pub fn warning(&self) -> Option<String> {
        self.database_url_file.as_ref()?.warning.clone()
    }
}
