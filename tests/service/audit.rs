//! What is written down about who did what.

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::on_each_engine;
use crate::operations::metrics;
use crate::support::client::Reply;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";
const OPTIONS: [&str; 4] = ["--bcrypt-cost", "4", "--login-rate-per-account", "2/h"];

/// Does each thing once, and returns the events with the replies that they belong to.
async fn do_everything(server: &Server) -> Vec<(&'static str, Option<i64>, Reply)> {
    let signed_up = server.register(EMAIL, "b4l0u").send().await;
    let logged_in = server.log_in("BOB@example.org", "b4l0u").send().await;
    let session = logged_in.session_id().unwrap();
    let failed = server.log_in(EMAIL, "wrong").send().await;
    let unknown = server.log_in("nobody@example.org", "wrong").send().await;
    let elsewhere = server.log_in(EMAIL, "b4l0u").send().await;
    let id = server.id_of(&elsewhere.session_id().unwrap()).await;
    let ended = server.end_session(&session, &id).send().await;
    let changed = server
        .change_password(&session, "b4l0u", "n3w")
        .send()
        .await;
    let session = changed.session_id().unwrap();
    let back = server
        .change_password(&session, "n3w", "b4l0u")
        .send()
        .await;
    let session = back.session_id().unwrap();
    let logged_out = server.log_out(&session).send().await;
    let asked = server.ask_reset(EMAIL).send().await;
    let token = asked.json()["reset_token"].as_str().unwrap().to_owned();
    let asked_unknown = server.ask_reset("nobody@example.org").send().await;
    let done = server.reset(EMAIL, &token, "t4rt1fl3tt3").send().await;
    let failed_again = server.log_in(EMAIL, "b4l0u").send().await;
    let throttled = server.log_in(EMAIL, "b4l0u").send().await;
    // Another user, whose number is known too.
    let another = server.register("eve@example.org", "b4l0u").send().await;
    let eve = server.log_in("eve@example.org", "b4l0u").send().await;
    let session = eve.session_id().unwrap();
    let new_asked = server.ask_address(&session, "eva@example.org").send().await;
    let token_of_new = new_asked.json()["email_token"].as_str().unwrap().to_owned();
    let moved = server.change_address(&session, &token_of_new).send().await;
    let undo = moved.json()["undo_token"].as_str().unwrap().to_owned();
    let undone = server.undo_address("eve@example.org", &undo, "b4l0u");
    let undone = undone.send().await;
    let eve_again = server.log_in("eve@example.org", "b4l0u").send().await;
    let session = eve_again.session_id().unwrap();
    let deleted = server.delete_user(&session).send().await;
    // These are no events.
    server.end_others(&session).send().await;
    server.register(EMAIL, "b4l0u").send().await;
    server.log_out(&session).send().await;
    server.reset(EMAIL, &token, "t4rt1fl3tt3").send().await;
    server
        .undo_address("eve@example.org", &undo, "b4l0u")
        .send()
        .await;
    vec![
        ("sign_up", Some(1), signed_up),
        ("login", Some(1), logged_in),
        ("failed_login", Some(1), failed),
        ("failed_login", None, unknown),
        ("login", Some(1), elsewhere),
        ("session_ended", Some(1), ended),
        ("password_changed", Some(1), changed),
        ("password_changed", Some(1), back),
        ("logout", Some(1), logged_out),
        ("reset_asked", Some(1), asked),
        ("reset_asked", None, asked_unknown),
        ("reset_done", Some(1), done),
        ("failed_login", Some(1), failed_again),
        ("throttled", None, throttled),
        ("sign_up", Some(2), another),
        ("login", Some(2), eve),
        ("address_change_asked", Some(2), new_asked),
        ("address_changed", Some(2), moved),
        ("address_change_undone", Some(2), undone),
        ("login", Some(2), eve_again),
        ("user_deleted", Some(2), deleted),
    ]
}

on_each_engine! {
    async fn each_event_is_one_line_for_machines_with_its_request_source_and_user(database: Database) {
        let options = [&OPTIONS[..], &["--log-format", "json"]].concat();
        let server = Server::start_with(&database.url, &options);
        let expected = do_everything(&server).await;
        let (_, log) = server.stop();
        assert!(!log.contains("example.org"), "{log}");
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let events: Vec<Value> = lines.filter(|line| line["target"] == "bienvenue::audit").collect();
        assert_eq!(events.len(), expected.len(), "{events:#?}");
        for (event, (name, user, reply)) in events.iter().zip(expected) {
            assert_eq!(event["event"], name);
            assert_eq!(event["level"], "INFO");
            assert_eq!(event["source"], "127.0.0.1");
            assert_eq!(event.get("user").and_then(Value::as_i64), user, "{event}");
            assert_eq!(event["span"]["id"], reply.header("x-request-id").unwrap());
            assert!(event["timestamp"].as_str().unwrap().ends_with('Z'), "{event}");
            if name == "throttled" {
                assert_eq!(event["limit"], "logins per account");
                assert_eq!(event["seconds"].to_string(), reply.header("retry-after").unwrap());
            }
        }
    }

    async fn each_event_is_one_line_for_people_too(database: Database) {
        let server = Server::start_with(&database.url, &OPTIONS);
        let expected = do_everything(&server).await;
        let (_, log) = server.stop();
        for (name, user, reply) in expected {
            let id = reply.header("x-request-id").unwrap();
            let user = user.map_or_else(String::new, |user| format!(" user={user}"));
            let line = format!("request{{id={id}}}: bienvenue::audit: event=\"{name}\" source=127.0.0.1{user}");
            assert_eq!(log.matches(&line).count(), 1, "{line} in {log}");
        }
    }

    async fn each_event_is_counted_under_the_word_of_its_line(database: Database) {
        let options = [&OPTIONS[..], &["--operations", "127.0.0.1:0"]].concat();
        let server = Server::start_with(&database.url, &options);
        // No account is locked here, and people sign up at once.
        let mut counts = BTreeMap::from(["app_login", "locked_login", "sign_up_asked"].map(|name| (name.to_owned(), 0)));
        for (name, ..) in do_everything(&server).await {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
        let series = metrics(&server.operations()).await;
        let throttled = "bienvenue_events_total{event=\"throttled\",limit=\"logins per account\"}";
        assert_eq!(series[throttled], "1");
        let mut counted = BTreeMap::new();
        for (name, value) in series {
            if let Some((_, event)) = name.split_once("bienvenue_events_total{event=\"") {
                let (event, _) = event.split_once('"').unwrap();
                *counted.entry(event.to_owned()).or_insert(0) += value.parse::<u64>().unwrap();
            }
        }
        assert_eq!(counted, counts);
    }
}

#[tokio::test]
async fn nothing_that_a_client_sends_breaks_out_of_its_line() {
    for format in ["text", "json"] {
        let database = crate::support::Database::sqlite();
        let options = ["--log", "trace", "--log-format", format];
        let options = [&OPTIONS[..], &options, &["--trusted-proxy", "127.0.0.1"]].concat();
        let server = Server::start_with(&database.url, &options);
        let address = server.address().to_owned();
        for (head, body) in [
            (
                "",
                "email=a%0a2027-01-01T00:00:00Z%20INFO%20forged&password=x",
            ),
            ("", "email=a%1b%5b2J@example.org&password=%1b%5b2J%0aforged"),
            ("", "email=a%c2%9b2J@example.org&password=%c2%9b2J"),
            (
                "User-Agent: a\x1b[2Jb\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "User-Agent: a\nforged: b\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "User-Agent: \u{9b}2J\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "X-Forwarded-For: 192.0.2.1\x1b[2J\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "X-Forwarded-For: 192.0.2.1\n forged\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "X-Forwarded-For: \u{9b}2J, 192.0.2.1%0aforged\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "Forwarded: for=\"\\\x1b[2J\"\r\n",
                "email=bob@example.org&password=x",
            ),
            (
                "X-Request-Id: forged\r\n",
                "email=bob@example.org&password=x",
            ),
        ] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let request = format!(
                "POST /sessions HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\
                 Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 4"), "{head}");
        }
        let (_, log) = server.stop();
        assert!(
            log.contains("failed_login") && log.contains("throttled"),
            "{log}"
        );
        for line in log.lines() {
            assert!(
                !line.contains(|letter: char| letter.is_control()),
                "{line:?}"
            );
            if format == "json" {
                assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
            }
            assert!(!line.starts_with("2027"), "{line}");
        }
        assert!(!log.contains("forged"), "{log}");
    }
}
