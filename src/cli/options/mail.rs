//! How mails leave.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};

use super::secret::{SecretFile, SecretParser};
use crate::mail::{Authority, Sender, SmtpUrl};

/// How mails leave, if they do.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Mail")]
pub struct MailOptions {
    /// The mail server: smtps://USER:PASSWORD@HOST:465, or smtp://USER:PASSWORD@HOST:587 with STARTTLS
    ///
    /// Other users of the machine can see a command line: give a URL with a password by the
    /// environment variable or by --smtp-url-file. Signs such as @ in the password are written %40.
    /// The server's certificate is checked; nothing goes unencrypted, except to this machine
    /// (smtp://localhost:25).
    #[arg(
        long,
        env = "BIENVENUE_SMTP_URL",
        hide_env_values = true,
        value_name = "URL",
        value_parser = SecretParser::<SmtpUrl>::of_value(),
        conflicts_with_all = ["smtp_url_file", "mail_dir"]
    )]
    smtp_url: Option<SmtpUrl>,

    /// A file with the URL of the mail server, readable by its owner alone
    #[arg(
        long,
        env = "BIENVENUE_SMTP_URL_FILE",
        value_name = "FILE",
        value_parser = SecretParser::<SecretFile<SmtpUrl>>::of_secret_file(),
        conflicts_with = "mail_dir"
    )]
    smtp_url_file: Option<SecretFile<SmtpUrl>>,

    /// Also trust mail servers whose certificates are signed by the one in this PEM file
    #[arg(
        long,
        env = "BIENVENUE_SMTP_CA_FILE",
        value_name = "FILE",
        value_parser = SecretParser::<Authority>::of_file()
    )]
    smtp_ca_file: Option<Authority>,

    /// From whom mails come, such as "Example <noreply@example.org>"
    #[arg(long, env = "BIENVENUE_MAIL_FROM", value_name = "SENDER")]
    mail_from: Option<Sender>,

    /// For development: put mails as .eml files into this folder instead of sending them
    #[arg(
        long,
        env = "BIENVENUE_MAIL_DIR",
        value_name = "FOLDER",
        value_parser = parse_folder
    )]
    mail_dir: Option<PathBuf>,

    /// Tell users by mail of a login from where they have not logged in for 30 days
    ///
    /// None goes where all limits of failed logins and of resets are off: then nobody notes where users log
    /// in.
    #[arg(
        long,
        env = "BIENVENUE_NOTIFY_LOGINS",
        value_name = "on|off",
        default_value = "on",
        value_parser = parse_on_or_off,
        action = ArgAction::Set,
        hide_possible_values = true
    )]
    pub notify_logins: bool,
}

/// How mails leave.
#[derive(Clone, Debug)]
pub enum MailTransport<'a> {
    /// To a mail server.
    Smtp {
        /// The server.
        url: &'a SmtpUrl,
        /// Who may vouch for it, beside those that browsers trust.
        authority: Option<Authority>,
    },
    /// Into a folder.
    Folder(&'a Path),
}

impl MailOptions {
    /// How mails leave, and from whom they come; `None` if they do not.
    pub fn transport(&self) -> Option<(MailTransport<'_>, Sender)> {
        let file = self.smtp_url_file.as_ref();
        let url = self.smtp_url.as_ref().or(file.map(|file| &file.value));
        let transport = match (url, &self.mail_dir) {
            (Some(url), _) => MailTransport::Smtp {
                url,
                authority: self.smtp_ca_file.clone(),
            },
            (None, Some(folder)) => MailTransport::Folder(folder),
            (None, None) => return None,
        };
        Some((transport, self.mail_from.clone().unwrap_or_default()))
    }

    /// What is wrong with the file that holds the password of the mail server.
    pub fn warning(&self) -> Option<String> {
        self.smtp_url_file.as_ref()?.warning.clone()
    }

    /// Says no to options that do not go together.
    pub fn check(&self) -> Result<(), &'static str> {
        match self.transport() {
            Some((MailTransport::Smtp { .. }, _)) if self.mail_from.is_none() => Err(
                "a mail server asks for a sender: give --mail-from, such as \
                 \"Example <noreply@example.org>\"",
            ),
            Some((MailTransport::Folder(_), _)) | None if self.smtp_ca_file.is_some() => {
                Err("--smtp-ca-file is about the mail server: give --smtp-url too")
            }
            None if self.mail_from.is_some() => {
                Err("--mail-from is about mails: give --smtp-url or --mail-dir too")
            }
            _ => Ok(()),
        }
    }
}

fn parse_on_or_off(text: &str) -> Result<bool, &'static str> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("say on or off"),
    }
}

/// A URL, which may hold a password, would become the name of a folder.
fn parse_folder(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() || text.contains("://") {
        return Err("give the path of a folder");
    }
    Ok(text.into())
}
