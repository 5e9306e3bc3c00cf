//! `bienvenue print …`: what is installed beside the program, the settings (`config`), and what clients
//! are generated from (`openapi`).

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, Subcommand, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;

use super::options::ServeOptions;
use super::options::config_file::ConfigFile;
use super::options::effective::Effective;
use crate::app::openapi;

mod config;

/// What can be printed.
#[derive(Debug, Subcommand)]
pub enum Printed {
    /// The value of every option and where it comes from, as a configuration file
    ///
    /// Takes the options of serve, reads what serve would read and refuses what it would refuse, with
    /// status 2. Passwords are left out.
    Config(Box<ServeOptions>),
    /// The manual page, such as for /usr/share/man/man1/bienvenue.1
    Man,
    /// The completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// A file for systemd
    Systemd {
        /// Which one
        #[arg(default_value = "service")]
        file: SystemdFile,
    },
    /// The description of the HTTP API, from which clients are generated (OpenAPI 3.1, JSON)
    Openapi,
}

/// What systemd is to know of the service.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SystemdFile {
    /// The unit of the service, such as for /etc/systemd/system/bienvenue.service
    Service,
    /// The unit of its socket, which restarts lose no connection with
    Socket,
    /// The user as which it runs, such as for /etc/sysusers.d/bienvenue.conf
    Sysusers,
}

impl SystemdFile {
    fn text(self) -> &'static str {
        match self {
            Self::Service => include_str!("print/bienvenue.service"),
            Self::Socket => include_str!("print/bienvenue.socket"),
            Self::Sysusers => include_str!("print/bienvenue.sysusers"),
        }
    }
}

/// Prints it on standard output.
///
/// `command` is the program's, `settings` and `file` are what `config` prints.
pub fn run(
    printed: &Printed,
    mut command: Command,
    settings: &[Effective],
    file: &ConfigFile,
) -> ExitCode {
    let mut text = Vec::new();
    let rendered = match printed {
        Printed::Config(options) => {
            let derived = options.derived_defaults();
            text = config::render(settings, file.path().as_deref(), &derived).into_bytes();
            Ok(())
        }
        Printed::Man => Man::new(command).render(&mut text),
        Printed::Completions { shell } => {
            clap_complete::generate(*shell, &mut command, "bienvenue", &mut text);
            Ok(())
        }
        Printed::Systemd { file } => text.write_all(file.text().as_bytes()),
        Printed::Openapi => text.write_all(openapi().as_bytes()),
    };
    match rendered.and_then(|()| io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bienvenue: cannot print: {error}");
            ExitCode::FAILURE
        }
    }
}
