//! `bienvenue print …`: what is installed beside the program.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Command, Subcommand};
use clap_complete::Shell;
use clap_mangen::Man;

/// What can be printed.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Printed {
    /// The manual page, such as for /usr/share/man/man1/bienvenue.1
    Man,
    /// The completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Prints it on standard output.
pub fn run(printed: Printed, mut command: Command) -> ExitCode {
    let mut text = Vec::new();
    let rendered = match printed {
        Printed::Man => Man::new(command).render(&mut text),
        Printed::Completions { shell } => {
            clap_complete::generate(shell, &mut command, "bienvenue", &mut text);
            Ok(())
        }
    };
    match rendered.and_then(|()| io::stdout().write_all(&text)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bienvenue: cannot print: {error}");
            ExitCode::FAILURE
        }
    }
}
