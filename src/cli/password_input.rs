//! Reading a new password: from a pipe, or from a terminal that does not show it. Never from the command
//! line, which other users of the machine can see.

use std::io::{self, BufRead, IsTerminal, Read};

use tokio::signal::ctrl_c;
use tokio::task::spawn_blocking;
use zeroize::Zeroizing;

use super::administration::Failure;
use crate::password::{InvalidPassword, MAX_BYTES, Password};

/// The most that is read: a password that is too long is refused as that, however long it is.
const MOST: u64 = MAX_BYTES as u64 + 3;

/// Reads a new password: from standard input if that was asked for, else twice from the terminal.
///
/// # Errors
///
/// Among others, that there is no terminal, or that what was typed differs.
pub async fn read_new_password(is_from_stdin: bool) -> Result<Password, Failure> {
    if is_from_stdin {
        return from_pipe();
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(
            "there is no terminal to type a password on: give it by --password-stdin",
        ));
    }
    let _hidden = Hidden::start().map_err(Failure::Input)?;
    let password = typed("New password: ").await?;
    // Before it is typed again.
    let parsed = parse(&password)?;
    if typed("The same again: ").await? != password {
        return Err(Failure::Usage("these were two passwords: nothing was done"));
    }
    Ok(parsed)
}

/// Standard input up to its end: one line, with or without its end.
fn from_pipe() -> Result<Password, Failure> {
    let mut text = Zeroizing::new(String::new());
    let mut stdin = io::stdin().lock().take(MOST);
    stdin.read_to_string(&mut text).map_err(Failure::Input)?;
    let line = without_line_end(&text);
    if line.len() <= MAX_BYTES && line.contains('\n') {
        return Err(Failure::Usage(
            "standard input has more than one line: give the password alone",
        ));
    }
    parse(line)
}

/// A line from the terminal. Ctrl-C ends it, with the terminal as it was before.
async fn typed(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    eprint!("{prompt}");
    let read = spawn_blocking(|| {
        let mut text = Zeroizing::new(String::new());
        let read = io::stdin().lock().take(MOST).read_line(&mut text);
        read.map(|_| Zeroizing::new(without_line_end(&text).to_owned()))
    });
    tokio::select! {
        line = read => line.map_err(io::Error::other).flatten().map_err(Failure::Input),
        _ = ctrl_c() => Err(Failure::NotConfirmed),
    }
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn parse(text: &str) -> Result<Password, Failure> {
    text.parse()
        .map_err(|error: InvalidPassword| Failure::BadPassword(error))
}

/// While it lives, the terminal does not show what is typed.
#[cfg(unix)]
struct Hidden(nix::sys::termios::Termios);

#[cfg(unix)]
impl Hidden {
    fn start() -> io::Result<Self> {
        use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_flags.remove(LocalFlags::ECHO);
        hidden.local_flags.insert(LocalFlags::ECHONL);
        // Forgets what was typed before, which has been shown.
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &hidden)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};

        // A terminal that has gone needs nothing.
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.0);
    }
}

#[cfg(not(unix))]
struct Hidden;

#[cfg(not(unix))]
impl Hidden {
    fn start() -> io::Result<Self> {
        let reason = "cannot hide what is typed here: give it by --password-stdin";
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }
}
