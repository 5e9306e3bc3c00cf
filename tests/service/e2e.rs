//! The end-to-end program against the real server, and against servers that do not keep the contract.

use std::process::{Command, Output};

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};

use crate::on_each_engine;
use crate::support::server::Server;

/// Runs the program; waits for it without holding up the server that it talks to.
async fn e2e(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bienvenue-e2e"));
    command.args(arguments);
    let run = tokio::task::spawn_blocking(move || command.output().unwrap());
    run.await.unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

on_each_engine! {
    async fn the_whole_story_passes_against_the_real_server(database: Database) {
        let server = Server::start_with(&database.url, &[]);
        let output = e2e(&["--url", &server.url]).await;
        let printed = printed(&output);
        assert!(output.status.success(), "{printed}");
        let steps: Vec<&str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("ok "))
            .map(|step| step.split("  ").find(|part| !part.is_empty()).unwrap().trim())
            .collect();
        assert_eq!(
            steps,
            [
                "register_user",
                "log_in_wrong_password",
                "profile_unlogged",
                "log_in",
                "profile_logged",
                "log_out",
                "reset_password_token",
                "update_password",
                "log_in (new password)",
            ]
        );
    }

    async fn a_user_who_is_known_already_fails_the_story_and_another_one_passes(database: Database) {
        let server = Server::start(&database.url);
        assert!(e2e(&["--url", &server.url]).await.status.success());

        let again = e2e(&["--url", &server.url]).await;
        assert_eq!(again.status.code(), Some(1));
        let printed = printed(&again);
        assert!(printed.contains("FAILED  register_user"), "{printed}");
        assert!(printed.contains("expected: status 200"), "{printed}");
        assert!(printed.contains("came:     status 400"), "{printed}");
        assert!(printed.contains("give another --email"), "{printed}");

        let other = e2e(&["--url", &server.url, "--email", "other@example.org"]).await;
        assert!(other.status.success());
    }
}

#[tokio::test]
async fn a_server_that_lets_everybody_in_fails_the_story() {
    let liar = Router::new()
        .route(
            "/users",
            post(async || {
                Json(json!({ "email": "guillaume@holberton.io", "message": "user created" }))
            }),
        )
        .route("/sessions", post(async || ""))
        .route("/profile", get(async || ""));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, liar).await });

    let output = e2e(&["--url", &url]).await;
    assert_eq!(output.status.code(), Some(1));
    let printed = printed(&output);
    assert!(printed.contains("expected: status 400"), "{printed}");
    assert!(printed.contains("came:     status 200"), "{printed}");
}

#[tokio::test]
async fn what_is_no_url_is_refused_with_what_one_begins_with() {
    for url in ["localhost:5000", "ftp://localhost", "http://", ""] {
        let output = e2e(&["--url", url]).await;
        assert_eq!(output.status.code(), Some(2), "{url}");
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(
            message.contains("a URL begins with http://"),
            "{url}: {message}"
        );
    }
}

#[tokio::test]
async fn no_server_at_all_fails_the_story() {
    // Taken, so that nobody else gets it, and not listened on.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let output = e2e(&["--url", &url]).await;
    assert_eq!(output.status.code(), Some(1));
    let printed = printed(&output);
    assert!(
        printed.contains("expected: an answer to POST /users"),
        "{printed}"
    );
}
