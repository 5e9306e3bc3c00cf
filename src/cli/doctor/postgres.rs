//! A PostgreSQL server: whether it lets the service in, and what it does with what is committed.

use super::findings::Findings;
use super::schema;
use crate::db::{
    self, DatabaseUrl, ENOUGH_CONNECTIONS, OpenError, RIGHT_CLOCKS, Server, Sharing, TAKES_WRITES,
};
use crate::error_chain::ErrorChain;

const SERVER: &str = "server";
const POOLER: &str = "pooler";
const ENCRYPTION: &str = "encryption";
const CLOCK: &str = "clock";
const DURABILITY: &str = "durability";

/// The first version that has all settings that the service makes: `plan_cache_mode` came with it.
const FIRST_VERSION: i64 = 12_00_00;

/// What a role needs that does not own the tables.
const GRANT: &str = ": as the role that owns the tables, GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN \
     SCHEMA public TO this one; one that migrates must own them";

/// Looks at the server and the database.
pub async fn check(url: &DatabaseUrl, findings: &mut Findings) {
    let server = match db::inspect_server(url).await {
        Ok(server) => server,
        Err(error) => {
            let remedy = remedy(&error);
            findings.fail(SERVER, format!("{}{remedy}", ErrorChain(&error)));
            return;
        }
    };
    check_server(url, &server, findings);
    check_pooler(url, &server, findings);
    check_encryption(url, &server, findings);
    if server.clock.is_large() {
        findings.warn(CLOCK, format!("{}: {RIGHT_CLOCKS}", server.clock));
    } else {
        findings.ok(
            CLOCK,
            "the clock of the database is within 2 s of this machine's",
        );
    }
    check_durability(&server, findings);
    if let Some(tables) = &server.schema {
        schema::check(url, tables, findings);
    }
}

/// What to do about a server that does not let us in, in the words of its own error where it has one.
fn remedy(error: &OpenError) -> &'static str {
    if !matches!(error, OpenError::Connect(..)) {
        // It says by itself.
        return "";
    }
    match error.sqlstate().as_deref() {
        None => ": is PostgreSQL running there, and are host, port and sslmode right?",
        Some("3D000") => ": create the database (createdb)",
        Some(code) if code.starts_with("28") => {
            ": check user and password, and pg_hba.conf on the server"
        }
        Some(code) if code.starts_with("53") => {
            ": raise max_connections, or have fewer connections elsewhere"
        }
        Some("42501") => GRANT,
        Some(_) => ": look into the log of PostgreSQL",
    }
}

fn check_server(url: &DatabaseUrl, server: &Server, findings: &mut Findings) {
    let version = &server.version;
    if server.version_number < FIRST_VERSION {
        findings.fail(
            SERVER,
            format!("{url} is PostgreSQL {version}: upgrade it to 12 or later"),
        );
    } else if server.is_read_only {
        findings.fail(
            SERVER,
            format!("{url} (PostgreSQL {version}) takes no writes: {TAKES_WRITES}"),
        );
    } else if !server.unwritable.is_empty() {
        let tables = &server.unwritable;
        findings.fail(
            SERVER,
            format!("the role of {url} may not both read and change {tables}{GRANT}"),
        );
    } else {
        findings.ok(SERVER, format!("{url} answers: PostgreSQL {version}"));
    }
}

fn check_pooler(url: &DatabaseUrl, server: &Server, findings: &mut Findings) {
    match server.sharing {
        Sharing::Own => findings.ok(POOLER, "connections are not shared"),
        Sharing::Shared => findings.fail(POOLER, OpenError::Pooled(url.clone()).to_string()),
        Sharing::Unknown => findings.warn(
            POOLER,
            format!("a second connection could not be had within 2 s: {ENOUGH_CONNECTIONS}"),
        ),
    }
}

fn check_encryption(url: &DatabaseUrl, server: &Server, findings: &mut Findings) {
    if !url.is_elsewhere() {
        findings.ok(
            ENCRYPTION,
            "not needed: the connection stays on this machine",
        );
    } else if url.must_be_encrypted() || server.is_encrypted {
        findings.ok(ENCRYPTION, "the connection is encrypted by TLS");
    } else {
        findings.warn(
            ENCRYPTION,
            format!(
                "the connection to {url} is not encrypted: switch TLS on in the server (ssl = on), and add \
                 ?sslmode=verify-full to the URL"
            ),
        );
    }
}

fn check_durability(server: &Server, findings: &mut Findings) {
    if !server.fsync {
        findings.warn(
            DURABILITY,
            "fsync is off in the server: a power cut loses what was acknowledged, or the whole database; set \
             fsync = on",
        );
    } else if server.synchronous_commit == "off" {
        findings.ok(
            DURABILITY,
            "synchronous_commit is off in the server, and the service switches it on for itself",
        );
    } else {
        findings.ok(
            DURABILITY,
            format!(
                "commits wait for the disk: synchronous_commit is {}",
                server.synchronous_commit
            ),
        );
    }
}
