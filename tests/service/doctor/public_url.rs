//! The public URL.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use tempfile::tempdir;

use super::*;
use crate::support::Database;
use crate::support::proxy::{Proxy, free_addresses};

/// What is found under this URL.
fn found(url: &str) -> Found {
    found_with(url, &[])
}

/// The same with further options.
fn found_with(url: &str, further: &[&str]) -> Found {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let mails = mails.path().to_str().unwrap();
    let options = ["--public-url", url, "--mail-dir", mails];
    doctor(&database.url, &[&options[..], further].concat())
}

/// The options of an app on the host of this URL.
fn app_at(url: &str) -> [&str; 4] {
    let host = url.strip_prefix("http://").unwrap();
    ["--app", host, "--trusted-proxy", "127.0.0.1"]
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

#[tokio::test]
async fn on_a_host_that_it_shares_with_an_app_it_is_known_by_a_path_of_its_own() {
    let [address] = free_addresses();
    let url = format!("http://{address}");
    let (database, folder) = (Database::sqlite(), tempdir().unwrap());
    let mails = folder.path().join("mails");
    let public = ["--public-url", &url, "--mail-dir", mails.to_str().unwrap()];
    let options = [&public[..], &app_at(&url)].concat();
    let server = Server::start_with(&database.url, &options);
    let mut print = Server::command();
    print.args(["print", "nginx", "--listen", server.address()]);
    let printed = print.args(&options).output().unwrap();
    let printed = String::from_utf8(printed.stdout).unwrap();
    let printed = printed.replace("/var/log/nginx", folder.path().to_str().unwrap());
    let Some(_proxy) = Proxy::nginx(folder.path(), &printed, &address) else {
        return;
    };
    let answered = "answered by a bienvenue";
    found_with(&url, &app_at(&url)).has("ok", "public-url", answered);
    // There `/` is not the service's.
    found(&url).has("fail", "public-url", "that the proxy passes / and");
}

#[test]
fn an_app_that_has_the_paths_of_the_service_too_is_told() {
    for answer in [
        "HTTP/1.1 200 OK\r\nX-Request-Id: 1\r\n\r\n{\"message\":\"Bienvenue\"}",
        "HTTP/1.1 403 Forbidden\r\n\r\n{\"message\":\"not logged in\"}",
        "HTTP/1.1 403 Forbidden\r\nX-Request-Id: 1\r\n\r\nhello",
    ] {
        let url = program(answer);
        found_with(&url, &app_at(&url))
            .has(
                "fail",
                "public-url",
                "/profile, /reset_password, /undo_email_change, /.well-known/change-password",
            )
            .has("fail", "public-url", "as bienvenue print nginx has it");
    }
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
