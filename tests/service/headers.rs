//! Every response, of every status, tells browsers and caches what not to do with it.

use bienvenue::app::{SessionCookie, Settings};
use sqlx::Connection;

use crate::on_each_engine;
use crate::support::client::{Call, Client, FORM, Reply};
use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::{Database, TestApp};

const EMAIL: &str = "bob@example.org";

const SOME_UUID: &str = "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44";

const ALWAYS: [(&str, &str); 6] = [
    ("cache-control", "no-store"),
    (
        "content-security-policy",
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
];

const ROUTES_WITH_FIELDS: [(&str, &str); 4] = [
    ("POST", "/users"),
    ("POST", "/sessions"),
    ("POST", "/reset_password"),
    ("PUT", "/reset_password"),
];

struct Exposure {
    settings: Settings,
    cookie: &'static str,
    over_tls: Option<&'static str>,
}

fn exposures() -> [Exposure; 2] {
    [
        Exposure {
            settings: Settings::default(),
            cookie: "session_id",
            over_tls: None,
        },
        Exposure {
            settings: Settings {
                public_url: Some("https://auth.example.org".parse().unwrap()),
                session_cookie: SessionCookie::HostOnly,
                ..Settings::default()
            },
            cookie: "__Host-session_id",
            over_tls: Some("max-age=63072000"),
        },
    ]
}

#[track_caller]
fn assert_headers(reply: &Reply, over_tls: Option<&str>) {
    for (name, value) in ALWAYS {
        assert_eq!(reply.header(name), Some(value), "{reply:?}");
        assert_eq!(reply.headers.get_all(name).iter().count(), 1, "{reply:?}");
    }
    assert_eq!(reply.header("strict-transport-security"), over_tls);
    assert!(reply.header("x-request-id").is_some(), "{reply:?}");
    for name in ["server", "x-powered-by", "via"] {
        assert_eq!(reply.header(name), None, "{reply:?}");
    }
    let clears = (reply.status == 302 && over_tls.is_some()).then_some("\"storage\"");
    assert_eq!(reply.header("clear-site-data"), clears, "{reply:?}");
}

/// Each route with each status that it can have while the database is well.
async fn calls(app: &TestApp, client: &Client, cookie: &str) -> Vec<(u16, Call)> {
    let session = app.logged_in(EMAIL, "b4l0u").await;
    let other_session = app.logged_in(EMAIL, "b4l0u").await;
    let token = app.reset_token(EMAIL).await;
    let with_session = |call: Call, id: &str| call.header("cookie", format!("{cookie}={id}"));
    let mut calls = vec![
        (200, client.get("/")),
        (200, client.request("HEAD", "/")),
        (200, with_session(client.get("/profile"), &session)),
        (403, client.get("/profile")),
        (
            302,
            with_session(client.request("DELETE", "/sessions"), &session),
        ),
        (
            403,
            with_session(client.request("DELETE", "/sessions"), &session),
        ),
        (
            200,
            client.register(&format!("{cookie}@example.org"), "b4l0u"),
        ),
        (400, client.register(EMAIL, "b4l0u")),
        (200, client.log_in(EMAIL, "b4l0u")),
        (401, client.log_in(EMAIL, "wrong")),
        (200, client.reset(EMAIL, &token, "b4l0u")),
        (403, client.reset(EMAIL, &token, "b4l0u")),
        (200, client.ask_reset(EMAIL)),
        (403, client.ask_reset("nobody@example.org")),
        (403, with_session(client.get("/profile"), &other_session)),
        (404, client.get("/nowhere")),
        (404, client.post("/nowhere/at/all", &[])),
        (400, client.get("/").header("host", "a").header("host", "b")),
        (
            403,
            client
                .ask_reset(EMAIL)
                .header("sec-fetch-site", "same-site"),
        ),
    ];
    for path in ["/", "/users", "/sessions", "/profile", "/reset_password"] {
        calls.push((405, client.request("PATCH", path)));
        calls.push((405, client.request("TRACE", path)));
    }
    for (method, path) in ROUTES_WITH_FIELDS {
        let call = || client.request(method, path);
        calls.push((400, call().form(&[])));
        calls.push((400, call().body("application/json", "{")));
        calls.push((413, call().body(FORM, vec![b'x'; 20_000])));
        calls.push((415, call().body("text/plain", "email=a@b")));
    }
    calls
}

on_each_engine! {
    async fn every_response_has_them_whatever_its_status(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        for exposure in exposures() {
            let client = app.exposed(exposure.settings);
            for (status, call) in calls(&app, &client, exposure.cookie).await {
                let reply = call.send().await;
                assert_eq!(reply.status, status, "{reply:?}");
                assert_headers(&reply, exposure.over_tls);
            }
        }
    }

    async fn so_have_those_of_a_service_in_trouble(database: Database) {
        let app = TestApp::new(database).await;
        for exposure in exposures() {
            let client = app.exposed(exposure.settings);
            let lock = app.inside.lock_out_writers().await;
            let unavailable = client.register(EMAIL, "b4l0u").send().await;
            assert_eq!(unavailable.status, 503);
            assert_headers(&unavailable, exposure.over_tls);
            lock.close().await.unwrap();

            app.inside.execute("ALTER TABLE users RENAME TO away").await;
            for call in [
                client.register(EMAIL, "b4l0u"),
                client.log_in(EMAIL, "b4l0u"),
                client.ask_reset(EMAIL),
                client.reset(EMAIL, SOME_UUID, "b4l0u"),
                client.get("/profile").header("cookie", format!("{}={SOME_UUID}", exposure.cookie)),
            ] {
                let failed = call.send().await;
                assert_eq!(failed.status, 500, "{failed:?}");
                assert_headers(&failed, exposure.over_tls);
            }
            app.inside.execute("ALTER TABLE away RENAME TO users").await;
        }
    }
}

#[tokio::test]
async fn so_has_the_answer_to_a_body_that_does_not_come() {
    let database = Database::sqlite();
    let server = Server::start_with(
        &database.url,
        &["--bcrypt-cost", "4", "--body-timeout", "1s"],
    );
    for (method, path) in ROUTES_WITH_FIELDS {
        let mut raw = Raw::connect(&server).await;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nemail");
        raw.send(head.as_bytes()).await;
        let reply = raw.reply().await;
        assert_eq!(reply.status, 408);
        assert_headers(&reply, None);
    }
}
