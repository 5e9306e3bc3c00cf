//! The disk is full, or fails to sync or to write.

use super::{CLIENTS, SmallDisk, assert_is_sound, has_program};
use crate::support::Database;
use crate::support::ledger::{Ledgers, Load};
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_nothing_that_was_acknowledged() {
    const ROUNDS: usize = 3;
    let Some(disk) = SmallDisk::mount(8) else {
        return;
    };
    let file = disk.path().join("b.db");
    let url = format!("sqlite:{}", file.display());
    let server = Server::start(&url);
    let mut ledgers = Ledgers::default();
    for round in 0..ROUNDS {
        let mut load = Load::start(&format!("user-{round}"), &[&server.url], CLIENTS);
        load.acknowledged(50).await;
        disk.fill();
        refused(&server, round).await;
        disk.make_room();
        // The service goes on by itself.
        load.acknowledged(50).await;
        ledgers = ledgers.and(load.stop().await);
    }
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    // What holds in the process that served may not be in the file.
    let server = Server::start(&url);
    ledgers.assert_hold(&server, "disk full", ROUNDS).await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_is_sound(&file).await;
}

/// Waits until the service refuses to write, and some more requests find it so.
async fn refused(server: &Server, round: usize) {
    let mut refused = 0;
    for number in 0.. {
        let email = format!("refused-{round}-{number}@example.org");
        let reply = server.register(&email, "b4l0u").send().await;
        refused += usize::from(reply.status == 503);
        assert!([200, 503].contains(&reply.status.as_u16()), "{reply:?}");
        if refused == 20 {
            return;
        }
    }
}

/// Starts the program with some calls of the system failing, over a database that is there already.
fn start_with_failing(calls: &str, database_url: &str) -> Server {
    let program = Server::command();
    let mut command = std::process::Command::new("strace");
    command
        .envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        // The program stays our own child, and the tracer is a grandchild.
        .args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", calls])
        .arg(program.get_program())
        .args(["--listen", "127.0.0.1:0", "--database-url", database_url])
        .args(["--bcrypt-cost", "4"]);
    for (name, value) in program.get_envs() {
        if value.is_none() {
            command.env_remove(name);
        }
    }
    Server::spawn(command)
}

async fn survives_failing(fault: &str, calls: &[&str]) {
    if !has_program("strace", "failing calls of the system") {
        return;
    }
    let database = Database::sqlite();
    let (status, log) = Server::start(&database.url).stop();
    assert!(status.success(), "{log}");
    let mut ledgers = Ledgers::default();
    for (round, calls) in calls.iter().enumerate() {
        let server = start_with_failing(calls, &database.url);
        let mut load = Load::start(&format!("user-{round}"), &[&server.url], CLIENTS);
        load.acknowledged(150).await;
        ledgers = ledgers.and(load.stop().await);
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
    }
    let server = Server::start(&database.url);
    ledgers.assert_hold(&server, fault, calls.len()).await;
    let (status, log) = server.stop();
    assert!(status.success(), "{log}");
    assert_is_sound(&database.file()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_syncs_lose_nothing_that_was_acknowledged() {
    let calls = [
        "inject=fdatasync,fsync:error=EIO:when=12+5",
        "inject=fdatasync,fsync:error=EIO:when=13+2",
    ];
    survives_failing("failing syncs", &calls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failing_writes_lose_nothing_that_was_acknowledged() {
    let calls = [
        "inject=pwrite64:error=ENOSPC:when=40+7",
        "inject=pwrite64:error=EIO:when=41+11",
        "inject=pwrite64:error=EROFS:when=43+13",
    ];
    survives_failing("failing writes", &calls).await;
}
