//! The machine has too few open files, or a wrong clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::task::JoinSet;

use crate::on_each_engine;
use crate::support::ledger::Load;
use crate::support::raw::Raw;
use crate::support::server::Server;

use super::{CLIENTS, libfaketime};

/// The program behind another command, which ends by becoming it.
fn behind(mut wrapper: Command, database_url: &str) -> Command {
    let program = Server::command();
    wrapper
        .arg(program.get_program())
        .args(["--listen", "127.0.0.1:0", "--database-url", database_url])
        .args(["--bcrypt-cost", "4"]);
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => wrapper.env(name, value),
            None => wrapper.env_remove(name),
        };
    }
    wrapper
}

on_each_engine! {
    async fn with_64_open_files_the_service_serves_and_recovers_from_more_clients(database: Database) {
        let mut wrapper = Command::new("sh");
        wrapper.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
        let server = Server::spawn(behind(wrapper, &database.url));
        let mut load = Load::start("user", &[&server.url], CLIENTS);
        load.acknowledged(50).await;
        // More clients than there are files, each of which sends half a request and stays.
        let mut stuck = JoinSet::new();
        for _ in 0..120 {
            let address = server.address().to_owned();
            stuck.spawn(async move {
                let mut raw = Raw::connect_to(&address).await;
                raw.send(b"GET / HTTP/1.1\r\n").await;
                raw
            });
        }
        drop(stuck.join_all().await);
        load.acknowledged(50).await;
        let ledgers = load.stop().await;
        let fault = format!("64 open files, {}", database.engine());
        ledgers.assert_hold(&server, &fault, 1).await;
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
    }
}

/// A program whose clock can be turned while it runs.
struct TurnedClock(PathBuf);

impl TurnedClock {
    fn turn(&self, offset: &str) {
        // Read anew at each look at the clock, so it must be whole at any moment.
        let new = self.0.with_extension("new");
        fs::write(&new, offset).unwrap();
        fs::rename(&new, &self.0).unwrap();
    }

    fn start(&self, library: &Path, database_url: &str) -> Server {
        let mut wrapper = Command::new("env");
        wrapper
            .env("LD_PRELOAD", library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.0)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let mut program = behind(wrapper, database_url);
        // What a clock that was ahead does to the throttles is tested beside them.
        program.args([
            "--login-rate-per-account",
            "off",
            "--reset-rate-per-address",
            "off",
        ]);
        Server::spawn(program)
    }
}

on_each_engine! {
    async fn a_clock_that_jumps_revives_nothing_and_stalls_nothing(database: Database) {
        let Some(library) = libfaketime() else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        let clock = TurnedClock(folder.path().join("offset"));
        clock.turn("+0d");
        let server = clock.start(&library, &database.url);
        server.registered("bob@example.org", "b4l0u").await;
        let session = server.logged_in("bob@example.org", "b4l0u").await;
        let token = server.reset_token("bob@example.org").await;
        assert!(server.is_logged_in(&session).await);

        clock.turn("+31d");
        assert!(!server.is_logged_in(&session).await);
        let reply = server.reset("bob@example.org", &token, "new").send().await;
        reply.assert_refusal(403, "invalid reset token");
        // The past revives neither.
        clock.turn("+0d");
        assert!(!server.is_logged_in(&session).await);
        let reply = server.reset("bob@example.org", &token, "new").send().await;
        reply.assert_refusal(403, "invalid reset token");

        // What began under a clock that was ahead is not valid when the clock is right.
        for ahead in ["+365d", "+4000d"] {
            clock.turn(ahead);
            let session = server.logged_in("bob@example.org", "b4l0u").await;
            let token = server.reset_token("bob@example.org").await;
            assert!(server.is_logged_in(&session).await);
            clock.turn("+0d");
            assert!(!server.is_logged_in(&session).await, "{ahead}");
            let reply = server.reset("bob@example.org", &token, "new").send().await;
            reply.assert_refusal(403, "invalid reset token");
        }

        // Whatever the clock says, the service answers.
        for offset in ["-3d", "-20000d", "+4000d", "+0d", "-1", "+1", "+0d"] {
            clock.turn(offset);
            assert!(server.can_log_in("bob@example.org", "b4l0u").await, "{offset}");
            assert!(!server.can_log_in("bob@example.org", "wrong").await, "{offset}");
            server.reset_token("bob@example.org").await;
        }
        let session = server.logged_in("bob@example.org", "b4l0u").await;
        assert!(server.is_logged_in(&session).await);
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
        assert!(!log.contains("panicked"), "{log}");
    }
}
