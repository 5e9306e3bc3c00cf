//! Under a service manager such as systemd: the socket that it hands over, and what it is told.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::Command;

use tempfile::tempdir;

use crate::support::Database;
use crate::support::server::Server;
use crate::support::service_manager::{Ear, hand_over};
use crate::unix_socket::get_home;

#[tokio::test]
async fn an_inherited_tcp_socket_takes_the_place_of_the_option() {
    let database = Database::sqlite();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let mut command = hand_over(socket.try_clone().unwrap(), 1);
    command.args(["--database-url", &database.url]);
    let server = Server::spawn(command);
    assert_eq!(server.address(), address);
    assert_eq!(server.get("/").send().await.status, 200);
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    // It is the service manager's still, so the next client waits for the next start.
    TcpStream::connect(&address).unwrap();
}

#[tokio::test]
async fn an_inherited_unix_socket_takes_the_place_of_the_option_and_stays() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let socket = UnixListener::bind(&path).unwrap();
    let mut command = hand_over(socket.try_clone().unwrap(), 1);
    command.args(["--database-url", &database.url]);
    let server = Server::spawn(command);
    assert_eq!(server.url, format!("unix:{}", path.display()));
    assert!(get_home(&path).starts_with("HTTP/1.1 200"));
    let (status, log) = server.stop();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(path.exists());
}

/// That the program refuses to serve, with these words, and makes no database.
fn assert_refused(mut command: Command, words: &str) {
    let folder = tempdir().unwrap();
    let file = folder.path().join("bienvenue.db");
    let url = format!("sqlite:{}", file.display());
    let output = command.args(["--database-url", &url]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words), "{said}");
    assert!(!file.exists());
}

#[test]
fn several_inherited_sockets_are_refused() {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    assert_refused(hand_over(socket, 2), "hands over 2 sockets");
}

#[test]
fn what_is_no_listening_stream_socket_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connection = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let file = tempfile::tempfile().unwrap();
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    let others: [OwnedFd; 3] = [connection.into(), file.into(), datagrams.into()];
    for other in others {
        assert_refused(hand_over(other, 1), "no stream socket that listens");
    }
}

#[test]
fn an_inherited_socket_that_others_reach_needs_a_public_url_too() {
    let socket = TcpListener::bind("0.0.0.0:0").unwrap();
    assert_refused(hand_over(socket, 1), "give --public-url");
}

#[tokio::test]
async fn sockets_for_another_process_are_left_alone() {
    let database = Database::sqlite();
    let mut command = Server::command();
    command.env("LISTEN_FDS", "1").env("LISTEN_PID", "1").args([
        "--listen",
        "127.0.0.1:0",
        "--database-url",
        &database.url,
    ]);
    let server = Server::spawn(command);
    assert_eq!(server.get("/").send().await.status, 200);
}

#[tokio::test]
async fn the_service_manager_is_told_of_the_start_of_the_end_and_that_the_service_lives() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let path = folder.path().join("notify");
    let ear = Ear::at(&path);
    let mut command = Server::command();
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .args(["--listen", "127.0.0.1:0", "--database-url", &database.url]);
    let server = Server::spawn(command);
    assert_eq!(ear.hear(), "READY=1\n");
    assert_eq!(server.get("/").send().await.status, 200);
    for _ in 0..3 {
        assert_eq!(ear.hear(), "WATCHDOG=1\n");
    }
    server.signal("TERM");
    while ear.hear() != "STOPPING=1\n" {}
    let (status, log) = server.wait();
    assert_eq!(status.code(), Some(0), "{log}");
}

#[tokio::test]
async fn a_service_that_cannot_start_says_nothing_of_being_ready() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("notify");
    let ear = Ear::at(&path);
    let mut command = Server::command();
    command
        .env("NOTIFY_SOCKET", &path)
        .args(["--listen", "127.0.0.1:0"])
        .args(["--database-url", "sqlite:/no/such/folder/bienvenue.db"]);
    assert_eq!(command.output().unwrap().status.code(), Some(1));
    assert!(ear.said_nothing());
}
