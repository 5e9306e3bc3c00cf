//! Asking before what cannot be undone.

use std::io::{self, IsTerminal, Write};

use super::administration::Failure;
use super::output::printable;

/// Asks on the terminal whether to do this, such as `Delete user 7?`, unless it was said on the command
/// line.
///
/// # Errors
///
/// Nobody said so.
pub fn confirm(is_confirmed: bool, question: &str) -> Result<(), Failure> {
    if is_confirmed {
        return Ok(());
    }
    let mut terminal = io::stderr();
    if !io::stdin().is_terminal() || !terminal.is_terminal() {
        return Err(Failure::NobodyToAsk);
    }
    write!(terminal, "{} [y/N] ", printable(question))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(Failure::Input)?;
    if ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()) {
        Ok(())
    } else {
        Err(Failure::NotConfirmed)
    }
}
