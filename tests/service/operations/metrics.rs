//! What is counted.

use std::io::Write;
use std::process::{Command, Stdio};

use bienvenue::clock::Clock;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::*;
use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::report::skipped;

/// Runs `promtool` with this input. Does nothing where it is not installed, which is said aloud, and under
/// `CI=true` is an error.
pub fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool");
    promtool.args(arguments).stdin(Stdio::piped());
    let promtool = promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut promtool) = promtool.spawn() else {
        skipped("promtool's checks", "install promtool (Debian: prometheus)");
        return;
    };
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
}

/// The number of requests of this kind.
fn requests<'a>(series: &'a Series, [method, route, status]: [&str; 3]) -> Option<&'a str> {
    let name = "http_server_request_duration_seconds_count";
    let labels = format!(
        "{{http_request_method=\"{method}\",http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
    );
    series.get(&format!("{name}{labels}")).map(String::as_str)
}

on_each_engine! {
    async fn promtool_finds_nothing_to_criticize(database: Database) {
        let server = start_with(&database, &[]);
        server.registered(EMAIL, PASSWORD).await;
        server.logged_in(EMAIL, PASSWORD).await;
        server.request("BREW", "/nowhere").send().await;
        promtool(&["check", "metrics"], &metrics_text(&server.operations()).await);
    }

    async fn each_request_is_counted_under_its_route_method_and_status(database: Database) {
        let server = start_with(&database, &[]);
        let operations = server.operations();
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        for path in ["/profile", "/profile/", "/profile?a=b"] {
            assert_eq!(server.get(path).session(&session).send().await.status, 200);
        }
        server.get("/profile").send().await;
        server.request("PATCH", "/profile").send().await;
        server.get("/profile/of/bob").send().await;
        let page = server.get("/").header("accept", "text/html").send().await;
        let page = String::from_utf8(page.body).unwrap();
        let (_, style) = page.split_once("rel=\"stylesheet\" href=\"").expect("a style sheet");
        let (style, _) = style.split_once('"').unwrap();
        assert_eq!(server.get(style).send().await.status, 200);

        let series = metrics(&operations).await;
        for (method, route, status, count) in [
            ("POST", "/users", "200", "1"),
            ("POST", "/sessions", "200", "1"),
            ("GET", "/profile", "200", "3"),
            ("GET", "/profile", "403", "1"),
            ("_OTHER", "/profile", "405", "1"),
            ("GET", "none", "404", "1"),
            ("GET", "/", "200", "1"),
            ("GET", "file", "200", "1"),
        ] {
            let counted = requests(&series, [method, route, status]);
            assert_eq!(counted, Some(count), "{method} {route} {status} in {series:#?}");
        }
        let kinds = series.keys().filter(|name| name.starts_with("http_server_request_duration_seconds_count"));
        assert_eq!(kinds.count(), 8, "{series:#?}");
        assert_eq!(series["http_server_active_requests"], "0");
        assert_ne!(series["bienvenue_connections_open"], "0");
    }

    async fn nothing_that_clients_choose_adds_a_series(database: Database) {
        const CLIENTS: usize = 20;
        const ROUNDS: usize = 125;
        let server = start_with(&database, &["--trusted-proxy", "127.0.0.1"]);
        let operations = server.operations();
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "BREW"];
        let calls_of = |client: &Client, method: &str, word: &str| {
            let email = format!("{word}@example.org");
            [
                client.request(method, &format!("/{word}")),
                client.request(method, &format!("/profile?{word}={word}")),
                client.profile(word),
                client.ask_reset(&email),
            ]
            .map(|call| {
                let address = format!("2001:db8:{}::1", &word[..4]);
                call.header("x-forwarded-for", address).header("user-agent", word)
            })
        };
        for method in known {
            for call in calls_of(&server, method, "cafe") {
                call.send().await;
            }
        }
        let counted = |series: &Series| series.contains_key("bienvenue_users");
        let before = metrics_like(&operations, counted).await;

        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let client = Client::of_url(&server.url);
            clients.spawn(async move {
                let mut statuses = [0; 600];
                for number in 0..ROUNDS {
                    let word = Uuid::new_v4().simple().to_string();
                    let made_up = format!("M{word}");
                    let method = *known.get(number % 12).unwrap_or(&made_up.as_str());
                    for call in calls_of(&client, method, &word) {
                        statuses[usize::from(call.send().await.status.as_u16())] += 1;
                    }
                }
                statuses
            });
        }
        let mut requests = 0;
        for statuses in clients.join_all().await {
            assert!(statuses[403] > 0 && statuses[404] > 0 && statuses[405] > 0, "{statuses:?}");
            requests += statuses.iter().sum::<usize>();
        }
        assert_eq!(requests, 10_000);
        let after = metrics(&operations).await;
        assert!(after.keys().eq(before.keys()), "{before:#?} {after:#?}");
        let count = |series: &Series| -> u64 {
            let counts = series.iter().filter(|(name, _)| name.contains("request_duration_seconds_count"));
            counts.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
        };
        assert_eq!(count(&after) - count(&before), 10_000);
    }

    async fn passwords_are_counted_by_what_they_are_hashed_for(database: Database) {
        let server = start_with(&database, &[]);
        server.registered(EMAIL, PASSWORD).await;
        server.logged_in(EMAIL, PASSWORD).await;
        server.log_in("nobody@example.org", PASSWORD).send().await;
        let series = metrics(&server.operations()).await;
        let count = |purpose| {
            let name = "bienvenue_password_hash_duration_seconds_count";
            series[&format!("{name}{{purpose=\"{purpose}\"}}")].as_str()
        };
        assert_eq!([count("hash"), count("verify")], ["1", "2"]);
        assert_eq!(series["bienvenue_password_queue_length"], "0");
        assert_eq!(series["bienvenue_password_refusals_total"], "0");
    }

    async fn users_and_sessions_are_counted_at_the_start_and_not_when_asked_for(database: Database) {
        let server = start_with(&database, &[]);
        let are = |users, sessions| move |series: &Series| {
            let is = |name: &str, count: u64| series.get(name) == Some(&count.to_string());
            is("bienvenue_users", users) && is("bienvenue_sessions", sessions)
        };
        metrics_like(&server.operations(), are(0, 0)).await;
        server.registered(EMAIL, PASSWORD).await;
        server.registered("eve@example.org", PASSWORD).await;
        for _ in 0..3 {
            server.logged_in(EMAIL, PASSWORD).await;
        }
        assert!(are(0, 0)(&metrics(&server.operations()).await));
        server.stop();
        let server = start_with(&database, &[]);
        metrics_like(&server.operations(), are(2, 3)).await;
    }

    async fn all_users_and_sessions_are_counted_however_many(database: Database) {
        let app = TestApp::new(database).await;
        // Counted by 2,000.
        for (added, first) in [(1999, 1), (1, 2000), (1, 2001), (3000, 2002)] {
            let numbers = first..first + added;
            let values: Vec<_> = numbers.clone().map(|n| format!("({n}, 'u{n}@example.org', 'x', 1, 0)")).collect();
            let columns = "users (id, email, hashed_password, password_version, created_at)";
            app.inside.execute(&format!("INSERT INTO {columns} VALUES {}", values.join(", "))).await;
            let counts = app.auth.count_accounts().await.unwrap();
            assert_eq!(counts.users, numbers.end - 1);
            assert_eq!(counts.sessions, 0);
        }
        let digest = if app.database.folder.is_some() { "randomblob(32)" } else { "sha256(id::text::bytea)" };
        app.inside
            .execute(&format!(
                "INSERT INTO sessions (digest, user_id, password_version, created_at, last_seen_at)
                 SELECT {digest}, id, 1, 0, 0 FROM users WHERE id <> 2000"
            ))
            .await;
        let counts = app.auth.count_accounts().await.unwrap();
        assert_eq!((counts.users, counts.sessions), (5001, 5000));
    }

    async fn mails_are_counted_by_kind_and_outcome(database: Database) {
        let mails = tempfile::tempdir().unwrap();
        let mail_dir = mails.path().to_str().unwrap();
        let public = ["--public-url", "https://auth.example.org", "--password-min", "none"];
        let server = start_with(&database, &[&public[..], &["--mail-dir", mail_dir]].concat());
        let add = "INSERT INTO users (email, hashed_password, password_version, created_at) \
                   VALUES ('bob@example.org', 'x', 1, 0)";
        database.look_inside().await.execute(add).await;
        // To an address without an account a link goes, to another the news.
        assert_eq!(server.ask_sign_up(EMAIL).send().await.status, 200);
        assert_eq!(server.ask_sign_up("new@example.org").send().await.status, 200);
        assert_eq!(server.ask_reset(EMAIL).send().await.status, 200);
        // None goes to an address that has no user.
        assert_eq!(server.ask_reset("nobody@example.org").send().await.status, 200);
        let count = |series: &Series, kind, outcome| {
            series[&format!("bienvenue_mails_total{{kind=\"{kind}\",outcome=\"{outcome}\"}}")].clone()
        };
        let is_sent = |series: &Series| {
            count(series, "reset_link", "sent") != "0" && count(series, "sign_up", "sent") == "2"
        };
        let series = metrics_like(&server.operations(), is_sent).await;
        assert_eq!(count(&series, "reset_link", "sent"), "1");
        for (kind, outcome) in [("reset_link", "postponed"), ("reset_link", "given_up"), ("password_changed", "sent")] {
            assert_eq!(count(&series, kind, outcome), "0");
        }
    }

    async fn mails_that_wait_are_counted_with_the_age_of_the_oldest(database: Database) {
        let app = TestApp::new(database).await;
        let waiting = app.auth.waiting_mails().await.unwrap();
        assert_eq!((waiting.count, waiting.age_of_oldest), (0, Duration::ZERO));
        app.inside.fill(7).await;
        app.inside.execute("UPDATE outbox SET due_at = NULL WHERE asked_at <= 2").await;
        let now = app.clock.now();
        let waiting = app.auth.waiting_mails().await.unwrap();
        assert_eq!(waiting.count, 5);
        assert_eq!(waiting.age_of_oldest.as_secs().cast_signed(), now.0 - 3);
    }
}
