//! The commands on users, groups and sessions: the real program beside a running service, and without one.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::server::Server;
use crate::support::{Database, Inside};

mod addresses;
mod backup;
mod changes;
mod exports;
mod groups;
mod imports;
mod locks;
mod migrate;
mod output;
mod passwords;
mod refusals;
mod restore;
mod sessions;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    /// That it was done.
    #[track_caller]
    fn done(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// That it was refused with this code and these words, and gave no data.
    #[track_caller]
    fn refused(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.contains(words), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
    }

    /// The JSON objects that it printed.
    #[track_caller]
    fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The one audit line that it logged, in JSON.
    #[track_caller]
    fn audit(&self) -> Value {
        let lines: Vec<Value> = self
            .stderr
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["target"] == "bienvenue::audit")
            .collect();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines[0].clone()
    }
}

/// The program with these arguments, on this database.
fn command(database: &Database, arguments: &[&str]) -> Command {
    let mut command = Server::command();
    command
        .env("DATABASE_URL", &database.url)
        .env("BIENVENUE_LOG_FORMAT", "json")
        .env("BIENVENUE_BCRYPT_COST", "4")
        .env_remove("SUDO_USER")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

/// Runs a command without a terminal.
fn run(database: &Database, arguments: &[&str]) -> Ended {
    command(database, arguments).output().unwrap().into()
}

/// Runs a command that reads this.
fn run_with(database: &Database, arguments: &[&str], input: &(impl AsRef<[u8]> + ?Sized)) -> Ended {
    let mut command = command(database, arguments);
    let command = command.stdin(Stdio::piped());
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    // What is refused before it is read is not written either.
    let _ = stdin.write_all(input.as_ref());
    drop(stdin);
    process.wait_with_output().unwrap().into()
}

/// That a command is refused and changes nothing.
async fn assert_refused(
    database: &Database,
    inside: &Inside,
    arguments: &[&str],
    (code, words): (i32, &str),
) {
    let before = inside.all_rows().await;
    run(database, arguments).refused(code, words);
    assert_eq!(inside.all_rows().await, before, "{arguments:?}");
}
