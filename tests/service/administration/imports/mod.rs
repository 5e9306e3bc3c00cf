//! Importing the users of other programs.

use super::*;

mod flask;
mod formats;
mod hostile;
mod repeated;
mod updates;

const ALICE: &str = "alice@example.org";

/// A hash that another program makes of a password, at the least cost.
fn bcrypt_hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

/// Creates the tables of a service that does not run yet.
fn prepare(database: &Database) {
    Server::start(&database.url).stop();
}

/// Imports this text.
fn import(database: &Database, options: &[&str], text: impl AsRef<[u8]>) -> Ended {
    run_with(
        database,
        &[&["users", "import", "-"], options].concat(),
        &text,
    )
}

/// What an import said at the end.
#[track_caller]
fn assert_summary(ended: &Ended, summary: &str) {
    let line = format!("bienvenue: {summary}\n");
    assert!(ended.stderr.contains(&line), "{summary}: {ended:?}");
    assert_eq!(ended.stdout, "");
}
