//! The public URL.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tempfile::tempdir;

use super::*;
use crate::support::Database;

/// What is found under this URL.
fn found(url: &str) -> Found {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let mails = mails.path().to_str().unwrap();
    doctor(&database.url, &["--public-url", url, "--mail-dir", mails])
}

/// A program that says this to all who connect, and where it listens.
fn program(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn the_service_is_known_by_its_answer() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    found(&server.url).has("ok", "public-url", "answered by a bienvenue");
    let url = server.url.replace("127.0.0.1", "localhost");
    found(&url).has("ok", "public-url", "answered by a bienvenue");
}

#[test]
fn what_answers_in_its_place_is_told() {
    for answer in [
        "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\n{\"message\":\"Bienvenue\"}",
    ] {
        found(&program(answer)).has("fail", "public-url", "that the proxy passes");
    }
    found(&program("220 mail.test ESMTP\r\n")).has("fail", "public-url", "check the port");
    found("http://127.0.0.1:1").has("fail", "public-url", "check the name (DNS)");
    // Takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    found(&url).has("fail", "public-url", "no answer within 5 s");
}
