//! Faults of the machine, the database and the mail server, under a ledger of what was acknowledged
//! (`support/ledger.rs`). What they counted is told at the end of the run.
//!
//! Some need root, `strace` or `libfaketime`; where those are missing they are skipped, and under
//! `CI=true` they fail.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::is_root;
use crate::support::report::skipped;

mod address;
mod backup;
mod disk;
mod file;
mod instances;
mod kill;
mod machine;
mod outbox;
mod postgres;
mod sign_up;

/// How many clients are at work while a fault comes and goes.
const CLIENTS: usize = 8;

/// Whether a program is there; if not, these tests are skipped.
fn has_program(name: &str, tests: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    if !is_there {
        skipped(tests, &format!("install {name}"));
    }
    is_there
}

/// The library that makes a clock wrong; if it is missing, these tests are skipped.
pub fn libfaketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten();
    let library = folders
        .map(|folder| folder.path().join("faketime/libfaketime.so.1"))
        .find(|library| library.is_file());
    if library.is_none() {
        skipped("the program under a wrong clock", "install libfaketime");
    }
    library
}

/// A small disk in memory, mounted until it is dropped.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// A disk of so many mebibytes. `None`, and told of, without the right to mount one.
    pub fn mount(mebibytes: u32) -> Option<Self> {
        if !is_root() {
            skipped("a full disk", "run the tests as root, who may mount one");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .status();
        assert!(status.unwrap().success(), "cannot mount a tmpfs");
        Some(Self { folder })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all room that is left.
    pub fn fill(&self) {
        use std::io::Write;
        let mut filler = std::fs::File::create(self.filler()).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    /// Gives the room back.
    fn make_room(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a server that the test leaves behind may still have it open.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// That SQLite finds nothing wrong with a file.
async fn assert_is_sound(file: &Path) {
    use sqlx::{Connection, Row, SqliteConnection};
    let url = format!("sqlite:{}", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    let check = sqlx::query("PRAGMA integrity_check")
        .fetch_one(&mut connection)
        .await;
    assert_eq!(check.unwrap().get::<String, _>(0), "ok");
    connection.close().await.unwrap();
}
