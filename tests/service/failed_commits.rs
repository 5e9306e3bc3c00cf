//! Commits fail because nothing can be written for a while, as on a full disk.

use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::support::Database;
use crate::support::server::Server;

/// Starts the program so that a file that grows beyond its limit is an error for it and not its end.
fn start(database_url: &str) -> Server {
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_bienvenue"))
        .args(["--listen", "127.0.0.1:0", "--bcrypt-cost", "4"])
        .args(["--database-url", database_url]);
    Server::spawn(command)
}

/// Limits how long the files may be that the program writes; `None` for as long as they like.
fn limit_files(server: &Server, bytes: Option<u64>) {
    let process = Pid::from_raw(server.process_id().try_into().unwrap());
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    prlimit(process, Resource::Fsize, limit).unwrap();
}

#[tokio::test]
async fn what_is_acknowledged_after_failed_commits_is_kept() {
    let database = Database::sqlite();
    let server = start(&database.url);
    server.registered("bob@example.org", "b4l0u").await;
    let mut session = server.logged_in("bob@example.org", "b4l0u").await;
    let mut password = "b4l0u".to_owned();
    for round in 0..4 {
        let token = server.reset_token("bob@example.org").await;
        let before = database.look_inside().await.all_rows().await;
        limit_files(&server, Some(0));
        for call in [
            server.register("new@example.org", "b4l0u"),
            server.log_in("bob@example.org", &password),
            server.log_out(&session),
            server.ask_reset("bob@example.org"),
            server.reset("bob@example.org", &token, "new"),
        ] {
            let reply = call.send().await;
            reply.assert_refusal(503, "temporarily unavailable");
        }
        // What needs no write goes on.
        assert!(server.is_logged_in(&session).await);
        limit_files(&server, None);
        assert_eq!(database.look_inside().await.all_rows().await, before);

        let email = format!("user{round}@example.org");
        server.registered(&email, "b4l0u").await;
        assert!(server.can_log_in(&email, "b4l0u").await);
        assert_eq!(server.log_out(&session).send().await.status, 302);
        assert!(!server.is_logged_in(&session).await);
        password = format!("new {round}");
        let reset = server.reset("bob@example.org", &token, &password);
        assert_eq!(reset.send().await.status, 200);
        session = server.logged_in("bob@example.org", &password).await;
        assert!(server.is_logged_in(&session).await);
        // Another program sees it, so it is in the file.
        let inside = database.look_inside().await;
        assert_eq!(inside.count("users").await, 2 + round);
    }
    let (status, _) = server.stop();
    assert!(status.success());
    let restarted = Server::start(&database.url);
    assert!(restarted.is_logged_in(&session).await);
    assert!(restarted.can_log_in("user3@example.org", "b4l0u").await);
}
