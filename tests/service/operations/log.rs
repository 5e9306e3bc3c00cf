//! The log as other programs read it: fail2ban, systemd's journal, and what follows traces.

use std::process::Command;

use serde_json::Value;

use super::*;
use crate::on_each_engine;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Logs in with a wrong password, as a request of this trace that comes through a proxy.
async fn fail_to_log_in(server: &Server, traceparent: &str, address: &str) {
    let call = server.log_in(EMAIL, "wrong");
    let call = call.header("traceparent", traceparent);
    let reply = call.header("x-forwarded-for", address).send().await;
    assert_eq!(reply.status, 401);
}

on_each_engine! {
    async fn the_lines_of_a_request_have_the_trace_that_a_trusted_proxy_tells(database: Database) {
        let traceparent = format!("00-{TRACE}-00f067aa0ba902b7-01");
        let options = ["--bcrypt-cost", "4", "--trusted-proxy", "127.0.0.1"];
        for (options, traceparent, is_logged) in [
            (&options[..], traceparent.as_str(), true),
            (&options[..2], traceparent.as_str(), false),
            (&options[..], TRACE, false),
        ] {
            let json = [options, &["--log-format", "json"]].concat();
            let server = Server::start_with(&database.url, &json);
            fail_to_log_in(&server, traceparent, "192.0.2.1").await;
            let (_, log) = server.stop();
            let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            let lines: Vec<_> = lines.filter(|line| line["span"]["name"] == "request").collect();
            let audit = lines.iter().filter(|line| line["target"] == "bienvenue::audit");
            assert_eq!((lines.len(), audit.count()), (2, 1), "{log}");
            for line in &lines {
                let trace_id = line["span"].get("trace_id").and_then(Value::as_str);
                assert_eq!(trace_id, is_logged.then_some(TRACE), "{line}");
            }

            let server = Server::start_with(&database.url, options);
            fail_to_log_in(&server, traceparent, "192.0.2.1").await;
            let (_, log) = server.stop();
            let lines = log.matches(&format!(" trace_id={TRACE}}}: ")).count();
            assert_eq!(lines, if is_logged { 2 } else { 0 }, "{log}");
        }
    }

    async fn in_the_journal_lines_have_no_time_of_their_own_and_no_colours(database: Database) {
        for (goes_to_journal, stream) in [
            (true, "$(stat -L -c %d:%i /proc/self/fd/2)"),
            // Inherited from a service whose output goes there, while this one's goes elsewhere.
            (false, "1:1"),
            (false, ""),
        ] {
            let mut command = Server::command_by("sh");
            let start = format!("JOURNAL_STREAM={stream} exec \"$0\" \"$@\"");
            command
                .args(["-c", &start])
                .arg(Server::command().get_program())
                .args(["--listen", "127.0.0.1:0", "--database-url", &database.url]);
            let (_, log) = Server::spawn(command).stop();
            assert!(log.lines().count() >= 2, "{log}");
            for line in log.lines() {
                assert!(!line.contains('\x1b'), "{line}");
                let has_time = line.starts_with(|first: char| first.is_ascii_digit());
                assert_eq!(has_time, !goes_to_journal, "{line}");
                assert_eq!(line.trim_start().starts_with("INFO bienvenue"), goes_to_journal, "{line}");
            }
        }
    }
}

/// The source that the filter in the README finds in each of these lines, by the regular expressions of
/// Python, in which fail2ban is written.
fn found_by_fail2ban(lines: &str) -> Vec<String> {
    const FIND: &str = r#"
import re, sys
# What fail2ban puts in the place of <SUBNET>, but that it checks addresses closely.
subnet = r"(?:(?P<ip4>\d+\.\d+\.\d+\.\d+)|(?P<ip6>[0-9a-f:]+))(?:/(?P<cidr>\d+))?"
filter = re.compile(sys.argv[1].replace("<SUBNET>", subnet))
# It cuts the time out of a line first.
time = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z")
for line in sys.stdin:
    found = filter.search(time.sub("", line.rstrip("\n")))
    if found:
        print((found["ip4"] or found["ip6"]) + ("/" + found["cidr"] if found["cidr"] else ""))
"#;
    let readme = include_str!("../../../README.md");
    let (_, filter) = readme.split_once("\nfailregex = ").expect("a filter");
    let filter = filter.lines().next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, lines).unwrap();
    let mut python = Command::new("python3");
    let python = python.args(["-c", FIND, filter]);
    let output = python.stdin(std::fs::File::open(file).unwrap()).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let found = String::from_utf8(output.stdout).unwrap();
    found.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_filter_for_fail2ban_finds_the_source_of_each_failed_login_and_of_nothing_else() {
    let database = Database::sqlite();
    let options = [
        "--bcrypt-cost",
        "4",
        "--trusted-proxy",
        "127.0.0.1",
        "--login-rate-per-account",
        "3/h",
    ];
    let server = Server::start_with(&database.url, &options);
    server.registered(EMAIL, PASSWORD).await;
    server.logged_in(EMAIL, PASSWORD).await;
    fail_to_log_in(
        &server,
        &format!("00-{TRACE}-00f067aa0ba902b7-01"),
        "192.0.2.1",
    )
    .await;
    fail_to_log_in(&server, "none", "2001:db8::7").await;
    let unknown = server.log_in("source=192.0.2.9@example.org", "wrong");
    unknown
        .header("x-forwarded-for", "198.51.100.2")
        .send()
        .await;
    fail_to_log_in(&server, "none", "198.51.100.3").await;
    let throttled = server
        .log_in(EMAIL, "wrong")
        .header("x-forwarded-for", "198.51.100.4");
    assert_eq!(throttled.send().await.status, 429);
    let (_, log) = server.stop();
    let failed = ["192.0.2.1", "2001:db8::/64", "198.51.100.2", "198.51.100.3"];
    assert_eq!(found_by_fail2ban(&log), failed, "{log}");

    // As fail2ban reads the journal.
    let journal = log.lines().map(|line| {
        let (_, line) = line.split_once('Z').unwrap();
        format!(" myhost bienvenue[123]: {}\n", line.trim_start())
    });
    assert_eq!(found_by_fail2ban(&journal.collect::<String>()), failed);
}
