//! `bienvenue doctor`: each check, where all is well and where something is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::support::server::Server;

mod configuration;
mod mail;
mod postgres;
mod public_url;
mod sqlite;

/// What it found.
#[derive(Debug)]
struct Found {
    code: i32,
    /// The result, the check and the message of each line.
    lines: Vec<[String; 3]>,
}

impl From<Output> for Found {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(stderr, "", "all is said on standard output");
        let text = String::from_utf8(output.stdout).unwrap();
        let line = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            assert_eq!(line.as_object().unwrap().len(), 3, "{line}");
            ["result", "check", "message"].map(|key| line[key].as_str().unwrap().to_owned())
        };
        Self {
            code: output.status.code().unwrap(),
            lines: text.lines().map(line).collect(),
        }
    }
}

impl Found {
    /// That one line about this has this result and these words, and that the exit code fits to all.
    #[track_caller]
    fn has(&self, result: &str, check: &str, words: &str) -> &Self {
        let fits = |[found, about, message]: &&[String; 3]| {
            found == result && about == check && message.contains(words)
        };
        assert_eq!(
            self.lines.iter().filter(fits).count(),
            1,
            "{words}: {self:#?}"
        );
        let has_failed = self.lines.iter().any(|[result, ..]| result == "fail");
        assert_eq!(self.code, i32::from(has_failed), "{self:#?}");
        self
    }

    /// That there is nothing else to say about any other check.
    #[track_caller]
    fn all_well_but(&self, checks: &[&str]) {
        for [result, check, message] in &self.lines {
            let is_well = result == "ok" || checks.contains(&&**check);
            assert!(is_well, "{check}: {message}");
        }
    }
}

/// The command, on this database.
fn command(database_url: &str, arguments: &[&str]) -> Command {
    let mut command = Server::command();
    command
        .args(["doctor", "--json"])
        .env("DATABASE_URL", database_url)
        .args(arguments);
    command
}

/// What it finds.
fn doctor(database_url: &str, arguments: &[&str]) -> Found {
    command(database_url, arguments).output().unwrap().into()
}

/// All files below a folder: what is in them, and what the file system says of them.
fn files(folder: &Path) -> BTreeMap<String, (Vec<u8>, u32, u64, i64)> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        let content = if metadata.is_dir() {
            Vec::new()
        } else {
            fs::read(&path).unwrap()
        };
        let name = path.display().to_string();
        // The index of the log is memory that programs share.
        let is_memory = name.ends_with("-shm");
        let content = if is_memory { Vec::new() } else { content };
        let mtime = if is_memory { 0 } else { metadata.mtime_nsec() };
        files.insert(name, (content, metadata.mode(), metadata.ino(), mtime));
    }
    files
}
