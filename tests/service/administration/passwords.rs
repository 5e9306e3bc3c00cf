//! How a password gets to a command: never by the command line.

use std::fs::File;
use std::io::Read;

use nix::pty::openpty;

use super::*;
use crate::on_each_engine;

const SET: [&str; 4] = ["users", "set-password", EMAIL, "--password-stdin"];

on_each_engine! {
    async fn a_password_that_is_set_ends_all_that_the_old_one_began(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, "b4l0u").await;
        let session = server.logged_in(EMAIL, "b4l0u").await;
        let token = server.reset_token(EMAIL).await;
        assert!(server.is_logged_in(&session).await);
        let set = run_with(&database, &SET, PASSWORD).done();
        assert_eq!(set.audit()["event"], "password_set");
        assert!(!set.stderr.contains(PASSWORD), "{set:?}");
        assert!(!server.is_logged_in(&session).await);
        assert_eq!(server.reset(EMAIL, &token, "n3w").send().await.status, 403);
        assert!(!server.can_log_in(EMAIL, "b4l0u").await);
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
        let inside = database.look_inside().await;
        assert_eq!(inside.count("reset_tokens").await, 0);
    }

    async fn passwords_are_measured_as_by_the_service(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, "b4l0u").await;
        let inside = database.look_inside().await;
        let before = inside.all_rows().await;
        let public = ["--public-url", "https://auth.example.org"];
        for (input, options, words) in [
            ("short", &public[..], "password is shorter than 8 characters"),
            ("password1", &public, "password is too close to one of the most used"),
            ("bob@example.org", &public, "password is too close to the email address"),
            ("fifteen letters", &["--password-min", "16"], "shorter than 16 characters"),
            ("", &[], "password is empty"),
            ("\n", &[], "password is empty"),
            ("a\0b", &[], "password contains a nul character"),
            (&"x".repeat(1025), &[], "password is longer than 1024 bytes"),
            (&"x".repeat(100_000), &[], "password is longer than 1024 bytes"),
        ] {
            run_with(&database, &[&SET, options].concat(), input).refused(1, words);
        }
        run_with(&database, &SET, "two\nlines\n").refused(2, "more than one line");
        assert_eq!(inside.all_rows().await, before);
        // What is no password of the public exposure is one of the local.
        run_with(&database, &SET, "short\r\n").done();
        assert!(server.can_log_in(EMAIL, "short").await);
    }

    async fn a_password_is_typed_twice_on_a_terminal_and_not_shown(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, "b4l0u").await;
        for (second, code) in [("an0ther", 2), (PASSWORD, 0)] {
            let (shown, ended) = at_terminal(&database, &SET[..3], &[
                ("New password: ", PASSWORD),
                ("The same again: ", second),
            ]);
            assert_eq!(ended, code, "{shown}");
            assert!(!shown.contains(PASSWORD) && !shown.contains(second), "{shown}");
            assert_eq!(server.can_log_in(EMAIL, PASSWORD).await, code == 0);
        }
    }

    async fn what_cannot_be_undone_is_asked_for_on_a_terminal(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let delete = ["users", "delete", "1"];
        run(&database, &delete).refused(5, "--yes");
        for (answer, code) in [("n", 5), ("", 5), ("delete", 5), ("Y", 0)] {
            let question = "Delete user 1 (bob@example.org) with all their sessions and groups? \
                            This cannot be undone. [y/N] ";
            assert!(server.can_log_in(EMAIL, PASSWORD).await);
            let (shown, ended) = at_terminal(&database, &delete, &[(question, answer)]);
            assert_eq!(ended, code, "{shown}");
        }
        assert!(!server.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn there_is_nothing_to_type_on_without_a_terminal(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let inside = database.look_inside().await;
        assert_refused(&database, &inside, &SET[..3], (2, "--password-stdin")).await;
        run(&database, &["users", "set-password", "7"]).refused(3, "there is no user number 7");
    }
}

/// Runs a command on a terminal of its own and answers what it asks, one after the other. Returns what
/// the terminal showed, and the exit code.
fn at_terminal(database: &Database, arguments: &[&str], answers: &[(&str, &str)]) -> (String, i32) {
    let terminal = openpty(None, None).unwrap();
    let mut command = command(database, arguments);
    command
        .stdin(terminal.slave.try_clone().unwrap())
        .stdout(Stdio::null())
        .stderr(terminal.slave);
    let mut process = command.spawn().unwrap();
    // The last hold of ours on the other side.
    drop(command);
    let mut terminal = File::from(terminal.master);
    let mut shown = Vec::new();
    let mut byte = [0];
    for (question, answer) in answers {
        while !shown.ends_with(question.as_bytes()) {
            assert!(
                terminal.read(&mut byte).is_ok_and(|read| read == 1),
                "{shown:?}"
            );
            shown.push(byte[0]);
        }
        terminal
            .write_all(format!("{answer}\n").as_bytes())
            .unwrap();
    }
    // The end of the other side is an error here.
    while terminal.read(&mut byte).is_ok_and(|read| read == 1) {
        shown.push(byte[0]);
    }
    let code = process.wait().unwrap().code().unwrap();
    (String::from_utf8(shown).unwrap(), code)
}
