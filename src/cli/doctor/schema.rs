//! Whether the tables are those of this version.

use super::findings::Findings;
use crate::db::{DatabaseUrl, OpenError};
use crate::error_chain::ErrorChain;

const CHECK: &str = "schema";

/// What to do where the file of a database is not there, or has nothing in it: whether there should be something
/// only people know.
pub const IF_LOST: &str =
    "if there were users, do not start: put the same files back, or restore a backup";

/// Tells what was found of the tables.
pub fn check(url: &DatabaseUrl, schema: &Result<(), OpenError>, findings: &mut Findings) {
    match schema {
        Ok(()) => findings.ok(CHECK, format!("{url} has the tables of this version")),
        Err(OpenError::NoTables(_)) => {
            let remedy = match url.file() {
                Some(_) => IF_LOST,
                None => {
                    "if there were users, do not start: give the URL of their database, or restore a backup"
                }
            };
            findings.warn(
                CHECK,
                format!("there are no tables in {url} yet: the start makes them, without users; {remedy}"),
            );
        }
        Err(error) => findings.fail(CHECK, ErrorChain(error).to_string()),
    }
}
