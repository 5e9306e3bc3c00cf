//! Whether the tables are those of this version.

use super::findings::Findings;
use crate::db::{DatabaseUrl, OpenError};
use crate::error_chain::ErrorChain;

const CHECK: &str = "schema";

/// Tells what was found of the tables.
pub fn check(url: &DatabaseUrl, schema: &Result<(), OpenError>, findings: &mut Findings) {
    match schema {
        Ok(()) => findings.ok(CHECK, format!("{url} has the tables of this version")),
        Err(OpenError::NoTables(_)) => findings.ok(
            CHECK,
            format!("there are no tables in {url} yet: they are made at the first start"),
        ),
        Err(error) => findings.fail(CHECK, ErrorChain(error).to_string()),
    }
}
