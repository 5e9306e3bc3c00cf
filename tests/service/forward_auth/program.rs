//! The program itself, asked over a socket as proxies ask.

use std::collections::BTreeMap;

use axum::http::StatusCode;

use super::*;
use crate::on_each_engine;
use crate::operations::metrics;
use crate::support::Database;
use crate::support::postgres::Cluster;
use crate::support::raw::Raw;
use crate::support::server::Server;

/// A service in front of apps, with its mails in a folder.
fn serve(database: &Database, mails: &str, options: &[&str]) -> Server {
    let own = [
        "--bcrypt-cost",
        "4",
        "--public-url",
        "https://auth.example.org",
        "--mail-dir",
        mails,
        "--sign-up",
        "unverified",
        "--password-min",
        "none",
        "--session-cookie",
        "plain",
        "--trusted-proxy",
        "127.0.0.1",
        "--app",
        "wiki.example.org; *.example.com",
    ];
    Server::start_with(&database.url, &[&own[..], options].concat())
}

/// What Traefik, Caddy and nginx send for a request with this method, path and header fields of a client: the
/// fields as the first two pass them on, and for nginx the three that its configuration names.
fn requests(method: &str, path: &str, fields: &str, cookie: &str) -> [String; 3] {
    [
        format!(
            "GET /_bienvenue/forward_auth HTTP/1.1\r\n\
             Host: bienvenue:5000\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
             {fields}\
             Cookie: {cookie}\r\n\
             X-Forwarded-For: 203.0.113.7\r\n\
             X-Forwarded-Host: wiki.example.org\r\n\
             X-Forwarded-Method: {method}\r\n\
             X-Forwarded-Port: 443\r\n\
             X-Forwarded-Proto: https\r\n\
             X-Forwarded-Server: 4d1b2c0f5a\r\n\
             X-Forwarded-Uri: {path}\r\n\
             X-Real-Ip: 203.0.113.7\r\n\
             Accept-Encoding: gzip\r\n\
             \r\n"
        ),
        format!(
            "GET /_bienvenue/forward_auth? HTTP/1.1\r\n\
             Host: wiki.example.org\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
             {fields}\
             Cookie: {cookie}\r\n\
             X-Forwarded-For: 203.0.113.7\r\n\
             X-Forwarded-Host: wiki.example.org\r\n\
             X-Forwarded-Method: {method}\r\n\
             X-Forwarded-Proto: https\r\n\
             X-Forwarded-Uri: {path}\r\n\
             \r\n"
        ),
        format!(
            "GET /_bienvenue/auth_request HTTP/1.1\r\n\
             Host: wiki.example.org\r\n\
             Cookie: {cookie}\r\n\
             {fields}\
             X-Forwarded-For: 203.0.113.7\r\n\
             X-Original-Method: {method}\r\n\
             X-Original-URL: https://wiki.example.org{path}\r\n\
             \r\n"
        ),
    ]
}

const PAGE: &str = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n\
                    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\n";
const FETCH: &str = "Accept: */*\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\
                     Origin: https://wiki.example.org\r\nSec-Fetch-Mode: cors\r\nSec-Fetch-Site: same-origin\r\n";
const WEB_SOCKET: &str = "Sec-Fetch-Mode: websocket\r\nSec-Websocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                          Sec-Websocket-Version: 13\r\nX-Forwarded-Prefix: /x\r\n";
/// What a client would like to be taken for its session and its user.
const FORGED: &str = "Remote-User: root\r\nRemote_User: root\r\nRemote-Groups: admins\r\nX.Auth.User: root\r\n\
                      Authorization: Bearer root\r\nX_Forwarded_Host: tube.example.com\r\nAccept: */*\r\n\
                      Forwarded: host=tube.example.com\r\nX-Original-Host: tube.example.com\r\n";

async fn asked(server: &Server, request: &str) -> Reply {
    let mut raw = Raw::connect(server).await;
    raw.send(request.as_bytes()).await;
    raw.reply().await
}

/// A session at the wiki.
async fn app_session(server: &Server) -> String {
    server.registered(EMAIL, PASSWORD).await;
    let session = server.logged_in(EMAIL, PASSWORD).await;
    let mut browser = Browser::with_session(server, Way::ForwardAuth, &session);
    browser.enter("https://wiki.example.org/p").await;
    browser.app_session(WIKI)
}

/// How many checks were counted, by what the proxy was told.
async fn app_checks(operations: &Client) -> BTreeMap<String, u64> {
    let series = metrics(operations).await;
    let outcome = |name: &str| {
        let outcome = name.strip_prefix("bienvenue_forward_auth_total{outcome=\"")?;
        Some(outcome.strip_suffix("\"}")?.to_owned())
    };
    let counts = series.iter();
    counts
        .filter_map(|(name, count)| Some((outcome(name)?, count.parse().unwrap())))
        .collect()
}

on_each_engine! {
    async fn each_proxy_is_answered_as_it_asks(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(&database, folder.path().to_str().unwrap(), &[]);
        let cookie = format!("theme=dark; bienvenue_app={}; _ga=GA1.1.1", app_session(&server).await);
        for (method, fields) in [
            ("GET", PAGE),
            ("POST", PAGE),
            ("POST", FETCH),
            ("GET", WEB_SOCKET),
            ("GET", FORGED),
            ("DELETE", FORGED),
        ] {
            for request in requests(method, "/p?a=1&b=%2F", fields, &cookie) {
                assert_passes(&asked(&server, &request).await, EMAIL, "users");
            }
            let is_page = fields == PAGE;
            let [traefik, caddy, nginx] = requests(method, "/p?a=1&b=%2F", fields, "theme=dark");
            let login = if method == "GET" {
                "https://wiki.example.org/_bienvenue/login?next=%2Fp%3Fa%3D1%26b%3D%252F"
            } else {
                "https://wiki.example.org/_bienvenue/login"
            };
            for request in [traefik, caddy] {
                let reply = asked(&server, &request).await;
                let status = match (is_page, method) {
                    (true, "GET") => 302,
                    (true, _) => 303,
                    (false, _) => 401,
                };
                assert_blocked(&reply, status, &request);
                assert_eq!(reply.header("location"), is_page.then_some(login), "{request}");
            }
            let reply = asked(&server, &nginx).await;
            assert_blocked(&reply, 401, &nginx);
            assert_eq!(reply.header("location"), is_page.then_some(login), "{nginx}");
        }
        // The same by anyone else.
        for request in requests("GET", "/p", PAGE, &cookie) {
            let mut stranger = Raw::connect_from("127.0.0.2", server.address()).await;
            stranger.send(request.as_bytes()).await;
            assert_blocked(&stranger.reply().await, 403, &request);
        }
    }

    async fn what_is_no_readable_head_lets_nothing_pass(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(&database, folder.path().to_str().unwrap(), &[]);
        let cookie = format!("bienvenue_app={}", app_session(&server).await);
        let [traefik, _, nginx] = requests("GET", "/p", "", &cookie);
        for (request, from, to) in [
            (&traefik, "X-Forwarded-Uri: /p", &b"X-Forwarded-Uri: /\xFF"[..]),
            (&traefik, "X-Forwarded-Host: wiki.example.org", b"X-Forwarded-Host: wiki.example.org\xFF"),
            (&traefik, "X-Forwarded-Host: wiki.example.org", b"X-Forwarded-Host: wiki.example.org\r\nx-forwarded-host: wiki.example.org"),
            (&traefik, "X-Forwarded-Host: wiki.example.org", b"X-Forwarded-Host: wiki.example.org, wiki.example.org"),
            (&traefik, "X-Forwarded-Host: wiki.example.org", b"X-Forwarded-Host: wiki.example.org%0d%0a"),
            (&traefik, "X-Forwarded-Host: wiki.example.org", b"X-Forwarded-Host: tube.example.org"),
            (&traefik, "X-Forwarded-Host: wiki.example.org", b"X-Forwarded-Host: wiki.example.org:444"),
            (&traefik, "X-Forwarded-Proto: https", b"X-Forwarded-Proto: "),
            (&traefik, "X-Forwarded-Proto: https", b"X-Forwarded-Proto: ftp"),
            (&traefik, "X-Forwarded-Method: GET", b"X-Forwarded-Method: G T"),
            (&nginx, "X-Original-URL: https://", b"X-Original-URL: //"),
            (&nginx, "X-Original-URL: https://wiki.example.org", b"X-Original-URL: https://me@wiki.example.org"),
            (&nginx, "X-Original-URL: https://wiki.example.org", b"X-Original-URL: https://wiki.example.orghttp://evil.example"),
            (&nginx, "X-Original-URL: https://wiki.example.org", b"X-Original-URL: https://wiki.example.org\\@evil.example"),
            (&nginx, "X-Original-URL: https://wiki.example.org", b"X-Original-URL: https://[::1]"),
        ] {
            let (before, after) = request.split_once(from).unwrap();
            let bytes = [before.as_bytes(), to, after.as_bytes()].concat();
            let mut raw = Raw::connect(&server).await;
            raw.send(&bytes).await;
            let reply = raw.reply().await;
            assert_blocked(&reply, 403, &String::from_utf8_lossy(to));
            assert_eq!(reply.header("location"), None);
        }
    }

    async fn the_cookies_of_an_app_come_along_from_a_proxy_and_from_nobody_else(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let server = serve(&database, folder.path().to_str().unwrap(), &[]);
        let session = app_session(&server).await;
        let with_cookies = |bytes: usize| {
            let others = format!("big={}", "x".repeat(bytes));
            requests("GET", "/p", PAGE, &format!("{others}; bienvenue_app={session}"))
        };
        for request in with_cookies(30_000).into_iter().chain(with_cookies(60_000)) {
            assert_passes(&asked(&server, &request).await, EMAIL, "users");
        }
        for request in with_cookies(66_000) {
            assert_eq!(asked(&server, &request).await.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        for request in with_cookies(17 * 1024) {
            assert_passes(&asked(&server, &request).await, EMAIL, "users");
            let mut stranger = Raw::connect_from("127.0.0.2", server.address()).await;
            stranger.send(request.as_bytes()).await;
            let reply = stranger.reply().await;
            assert_eq!(reply.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
    }

    async fn each_check_is_counted_by_what_the_proxy_was_told_whatever_has_refused_it(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let options = [
            "--operations", "127.0.0.1:0", "--app", "staff.example.org: group:staff",
            "--allow-origin", "https://front.example.org",
        ];
        let server = serve(&database, folder.path().to_str().unwrap(), &options);
        let operations = server.operations();
        // Each is there from the start.
        let mut counts = app_checks(&operations).await;
        let words = ["allowed", "forbidden", "malformed", "not_logged_in", "unavailable", "unknown_app", "untrusted"];
        assert!(counts.keys().eq(words), "{counts:?}");
        assert!(counts.values().all(|count| *count == 0), "{counts:?}");

        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let mut browser = Browser::with_session(&server, Way::ForwardAuth, &session);
        browser.enter("https://wiki.example.org/p").await;
        let at_wiki = browser.app_session(WIKI);
        // A session at an app that its user may no longer use is one that the rule refuses.
        let user = database.look_inside().await.number("SELECT id FROM users").await;
        let staff = format!("INSERT INTO user_groups (user_id, name) VALUES ({user}, 'staff')");
        database.look_inside().await.execute(&staff).await;
        browser.visit("https://staff.example.org/p").await;
        let at_staff = browser.app_session("staff.example.org");
        database.look_inside().await.execute("DELETE FROM user_groups").await;
        counts = app_checks(&operations).await;

        let cookie = |session: &str| format!("bienvenue_app={session}");
        for way in WAYS {
            let ask = |host| way.ask(&server, "GET", host, "/p");
            let strange = format!("{}/", way.path());
            let fields = way.fields("GET", WIKI, "/p");
            for (call, status, word) in [
                (ask(WIKI).header("cookie", cookie(&at_wiki)), 200, Some("allowed")),
                (with(server.request("HEAD", &strange), &fields).header("cookie", cookie(&at_wiki)), 200, Some("allowed")),
                (ask(WIKI), 401, Some("not_logged_in")),
                (ask(WIKI).header("accept", BROWSER), if way == Way::ForwardAuth { 302 } else { 401 }, Some("not_logged_in")),
                (ask("staff.example.org").header("cookie", cookie(&at_staff)), 403, Some("forbidden")),
                (ask("evil.example"), 403, Some("unknown_app")),
                (with(server.get(way.path()), &fields[1..]), 403, Some("malformed")),
                (ask(WIKI).header("host", "a b"), 400, Some("malformed")),
                (with(server.request("POST", way.path()), &fields), 405, Some("malformed")),
                // Asks nothing about an app.
                (
                    server
                        .request("OPTIONS", way.path())
                        .header("origin", "https://front.example.org")
                        .header("access-control-request-method", "GET"),
                    200,
                    None,
                ),
                (server.get("/profile"), 403, None),
            ] {
                let reply = call.send().await;
                let about = format!("{way:?} {word:?} {reply:?}");
                assert_eq!(reply.status, status, "{about}");
                if let Some(word) = word {
                    *counts.get_mut(word).unwrap() += 1;
                }
                assert_eq!(app_checks(&operations).await, counts, "{about}");
            }
        }
        for request in requests("GET", "/p", PAGE, &cookie(&at_wiki)) {
            let mut stranger = Raw::connect_from("127.0.0.2", server.address()).await;
            stranger.send(request.as_bytes()).await;
            assert_eq!(stranger.reply().await.status, 403);
            *counts.get_mut("untrusted").unwrap() += 1;
            assert_eq!(app_checks(&operations).await, counts, "{request}");
        }
    }

    async fn the_log_tells_who_begins_a_session_at_which_app_and_no_secret(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        for format in ["text", "json"] {
            let options = ["--log", "trace", "--log-format", format, "--operations", "127.0.0.1:0"];
            let server = serve(&database, folder.path().to_str().unwrap(), &options);
            if format == "text" {
                server.registered(EMAIL, PASSWORD).await;
            }
            let session = server.logged_in(EMAIL, PASSWORD).await;
            let mut browser = Browser::with_session(&server, Way::AuthRequest, &session);
            let callback = browser.ticket(WIKI).await;
            browser.visit(&callback).await.assert_app("https://wiki.example.org/p");
            // A used one, and one that nobody takes.
            browser.get(&callback).await;
            let unused = browser.ticket("a.example.com").await;
            let mut secrets = vec![browser.app_session(WIKI), session];
            secrets.extend([&callback, &unused].map(|url| url.split_once("ticket=").unwrap().1.to_owned()));
            let login = browser.cookie(WIKI, "bienvenue_login").unwrap();
            let start = browser.get("https://wiki.example.org/_bienvenue/login").await;
            let state = start.header("location").unwrap().split("state=").nth(1).unwrap();
            secrets.extend([login, state.split('&').next().unwrap().to_owned()]);

            let series = metrics(&server.operations()).await;
            for (route, status) in [
                ("/_bienvenue/login", "303"),
                ("/_bienvenue/authorize", "303"),
                ("/_bienvenue/callback", "303"),
                ("/_bienvenue/callback", "403"),
                ("/_bienvenue/auth_request", "200"),
            ] {
                let name = format!(
                    "http_server_request_duration_seconds_count{{http_request_method=\"GET\",\
                     http_route=\"{route}\",http_response_status_code=\"{status}\"}}"
                );
                assert!(series.contains_key(&name), "{name} in {series:#?}");
            }
            let (_, log) = server.stop();
            let lines: Vec<&str> = log.lines().filter(|line| line.contains("app_login")).collect();
            assert_eq!(lines.len(), 1, "{log}");
            assert!(lines[0].contains(WIKI) && lines[0].contains("127.0.0.1"), "{lines:?}");
            for secret in &secrets {
                assert!(secret.len() >= 36, "{secret}");
                assert!(!log.contains(secret.as_str()), "{secret} in {log}");
            }
            assert!(log.contains("/_bienvenue/callback"), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_that_the_database_does_not_answer_are_counted_as_such() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let database = Database {
        url: cluster.create_database().await,
        folder: None,
    };
    let folder = tempfile::tempdir().unwrap();
    let options = ["--operations", "127.0.0.1:0"];
    let server = serve(&database, folder.path().to_str().unwrap(), &options);
    let cookie = format!("bienvenue_app={}", app_session(&server).await);
    let operations = server.operations();
    let mut counts = app_checks(&operations).await;
    cluster.down();
    for way in WAYS {
        let call = way.ask(&server, "GET", WIKI, "/p");
        assert_eq!(call.header("cookie", &cookie).send().await.status, 503);
    }
    *counts.get_mut("unavailable").unwrap() += 2;
    assert_eq!(app_checks(&operations).await, counts);
}
