//! Listening on a Unix socket, for a proxy on the same machine.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Output;

use tempfile::tempdir;

use crate::support::Database;
use crate::support::server::Server;

/// The whole answer to one request, which is the only one on its connection.
fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

pub fn get_home(path: &Path) -> String {
    ask(
        path,
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
}

/// A login that fails, of a client whom the proxy names or does not.
fn log_in(path: &Path, forwarded_for: Option<&str>) -> String {
    const BODY: &str = "email=bob%40example.org&password=wrong";
    let named = forwarded_for.map(|address| format!("X-Forwarded-For: {address}\r\n"));
    let request = format!(
        "POST /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{BODY}",
        named.unwrap_or_default(),
        BODY.len()
    );
    ask(path, &request)
}

fn start(path: &Path, database: &Database) -> Server {
    let mut command = Server::command();
    command
        .args(["--listen", &format!("unix:{}", path.display())])
        .args(["--database-url", &database.url, "--bcrypt-cost", "4"])
        .args(["--login-rate-per-source", "1/h"]);
    Server::spawn(command)
}

/// Starts the program where it cannot listen.
fn start_in_vain(path: &Path, database: &Database) -> Output {
    let mut command = Server::command();
    command
        .args(["--listen", &format!("unix:{}", path.display())])
        .args(["--database-url", &database.url]);
    command.output().unwrap()
}

#[tokio::test]
async fn the_socket_is_for_the_owner_and_the_group_and_goes_with_the_service() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let server = start(&path, &database);
    assert_eq!(server.url, format!("unix:{}", path.display()));
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    assert!(get_home(&path).starts_with("HTTP/1.1 200"));
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    start(&path, &database).kill();
    assert!(path.exists());
    let server = start(&path, &database);
    assert!(get_home(&path).starts_with("HTTP/1.1 200"));
    server.stop();
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_that_another_process_listens_on_is_left_alone() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let server = start(&path, &database);
    let output = start_in_vain(&path, &database);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("another process listens on it"), "{said}");
    assert!(said.contains("--listen"), "{said}");
    assert!(get_home(&path).starts_with("HTTP/1.1 200"));
    server.stop();
}

#[test]
fn a_process_that_accepts_nothing_does_not_hold_up_the_refusal() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let output = start_in_vain(&path, &database);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("another process listens on it"), "{said}");
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    fs::write(&path, "precious").unwrap();
    let output = start_in_vain(&path, &database);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("a file that is no socket"), "{said}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn a_socket_that_has_taken_its_place_is_not_removed_at_the_end() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let server = start(&path, &database);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    server.stop();
    assert!(path.exists());
}

#[tokio::test]
async fn the_proxy_at_the_socket_is_believed_and_without_its_word_all_are_one_source() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let server = start(&path, &database);
    // Each address has one attempt an hour.
    for (client, status) in [
        (Some("192.0.2.1"), 401),
        (Some("192.0.2.1"), 429),
        (Some("198.51.100.7"), 401),
        (None, 401),
        (None, 429),
    ] {
        let answer = log_in(&path, client);
        let expected = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&expected), "{client:?}: {answer}");
    }
    let (_, log) = server.stop();
    for source in [
        "source=192.0.2.1",
        "source=198.51.100.7",
        "source=127.0.0.1",
    ] {
        assert!(log.contains(source), "{source}: {log}");
    }
}
