//! Scripts of other origins, such as single-page apps: those that are named may use the service, as the
//! service's own pages do, and nothing changes for all others.

use axum::http::HeaderMap;
use bienvenue::app::{SessionCookie, Settings};
use bienvenue::auth::rate_limit::RateLimits;
use serde_json::json;
use sqlx::Connection;

use crate::on_each_engine;
use crate::support::client::{Call, Client, FORM, Reply};
use crate::support::{NO_LIMITS, PUBLIC_URL, TestApp};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";
const APP: &str = "https://app.example.org";
const REFUSAL: &str = "cross-site requests are refused";

/// A service in public that allows one origin of its own site, one of another, and one for development.
fn settings() -> Settings {
    let origins = [APP, "https://app.example.com", "http://localhost:5173"];
    Settings {
        allowed_origins: origins.map(|origin| origin.parse().unwrap()).into(),
        ..of_no_origin()
    }
}

fn of_no_origin() -> Settings {
    Settings {
        public_url: Some(PUBLIC_URL.parse().unwrap()),
        session_cookie: SessionCookie::HostOnly,
        ..Settings::default()
    }
}

/// What browsers add to what a script sends.
fn by_script(call: Call, origin: &str, site: &str) -> Call {
    call.header("origin", origin)
        .header("sec-fetch-mode", "cors")
        .header("sec-fetch-site", site)
        .header("host", "auth.example.org")
}

fn by_app(call: Call) -> Call {
    by_script(call, APP, "same-site")
}

fn with_session(call: Call, id: &str) -> Call {
    call.header("cookie", format!("__Host-session_id={id}"))
}

/// What a browser asks before it sends a `DELETE`.
fn preflight(client: &Client, path: &str) -> Call {
    client
        .request("OPTIONS", path)
        .header("access-control-request-method", "DELETE")
        .header("access-control-request-headers", "content-type")
}

fn cors_fields(reply: &Reply) -> Vec<(&str, &str)> {
    let fields = reply.headers.iter();
    let fields = fields.filter(|(name, _)| name.as_str().starts_with("access-control-"));
    let mut fields: Vec<_> = fields
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
        .collect();
    fields.sort_unstable();
    fields
}

/// That the script of this origin can read the answer.
#[track_caller]
fn assert_shared(reply: &Reply, origin: &str) {
    let fields = [
        ("access-control-allow-credentials", "true"),
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", "retry-after,x-request-id"),
    ];
    assert_eq!(cors_fields(reply), fields, "{reply:?}");
    assert!(varies_by_origin(&reply.headers), "{reply:?}");
    assert!(reply.header("x-request-id").is_some(), "{reply:?}");
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    headers.get_all("vary").iter().any(|by| by == "origin")
}

/// The session in an answer that logs in, with how a browser keeps it.
fn set_session(reply: &Reply) -> (String, String) {
    let cookie = reply.header("set-cookie").expect("a cookie");
    let (session, attributes) = cookie.split_once("; ").unwrap();
    let id = session.strip_prefix("__Host-session_id=").unwrap();
    (id.to_owned(), attributes.to_owned())
}

on_each_engine! {
    async fn a_script_of_an_allowed_origin_signs_up_logs_in_looks_and_logs_out(database: Database) {
        let app = TestApp::new(database).await;
        let client = app.exposed(settings());
        for (number, origin) in [APP, "http://localhost:5173"].into_iter().enumerate() {
            let by_app = |call| by_script(call, origin, "same-site");
            let email = format!("bob{number}@example.org");
            let reply = by_app(client.register(&email, PASSWORD)).send().await;
            reply.assert_is(200, &json!({ "email": email, "message": "user created" }));
            assert_shared(&reply, origin);
            let reply = by_app(client.log_in(&email, PASSWORD)).send().await;
            reply.assert_is(200, &json!({ "email": email, "message": "logged in" }));
            assert_shared(&reply, origin);
            // A cookie of the one kind that the pages of the service have too.
            let (id, attributes) = set_session(&reply);
            assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
            let reply = with_session(by_app(client.get("/profile")), &id).send().await;
            reply.assert_is(200, &json!({ "email": email }));
            assert_shared(&reply, origin);
            let fields = [("password", PASSWORD), ("new_password", "t4rt1fl3tt3")];
            let change = with_session(by_app(client.put("/profile/password", &fields)), &id);
            let reply = change.send().await;
            assert_eq!(reply.status, 200, "{reply:?}");
            let (id, attributes) = set_session(&reply);
            assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
            let log_out = with_session(by_app(client.request("DELETE", "/sessions")), &id);
            // Not a redirect, which a script cannot follow to anything.
            let reply = log_out.clone().send().await;
            reply.assert_is(200, &json!({ "message": "logged out" }));
            assert_shared(&reply, origin);
            let cleared = "__Host-session_id=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
            assert_eq!(reply.header("set-cookie"), Some(cleared));
            assert_eq!(reply.header("clear-site-data"), Some("\"storage\""));
            let reply = log_out.send().await;
            reply.assert_refusal(403, "not logged in");
            assert_shared(&reply, origin);
        }
    }

    async fn browsers_keep_a_session_apart_for_the_pages_of_another_site(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let apart = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned";
        let by_app = |call| by_script(call, "https://app.example.com", "cross-site");
        let client = app.exposed(settings());
        let log_in = [("email", EMAIL), ("password", PASSWORD), ("remember", "on")];
        let reply = by_app(client.post("/sessions", &log_in)).send().await;
        let (id, attributes) = set_session(&reply);
        assert_eq!(attributes, format!("{apart}; Max-Age=2592000"));
        let fields = [("password", PASSWORD), ("new_password", PASSWORD)];
        let change = with_session(by_app(client.put("/profile/password", &fields)), &id);
        let (id, attributes) = set_session(&change.send().await);
        assert_eq!(attributes, apart);
        let cleared = format!("__Host-session_id=; {apart}; Max-Age=0");
        let log_out = with_session(by_app(client.request("DELETE", "/sessions")), &id);
        assert_eq!(log_out.send().await.header("set-cookie"), Some(&*cleared));
        let (id, _) = set_session(&by_app(client.log_in(EMAIL, PASSWORD)).send().await);
        let delete = with_session(by_app(client.request("DELETE", "/users")), &id);
        assert_eq!(delete.send().await.header("set-cookie"), Some(&*cleared));

        // Those of the service itself are told so by nobody, and without TLS none can be kept.
        app.registered(EMAIL, PASSWORD).await;
        let own = client.log_in(EMAIL, PASSWORD).header("sec-fetch-site", "same-origin");
        let (_, attributes) = set_session(&own.send().await);
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        let plain = Settings { session_cookie: SessionCookie::Plain, ..settings() };
        let reply = by_app(app.exposed(plain).log_in(EMAIL, PASSWORD)).send().await;
        assert!(reply.header("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    }

    async fn refusals_can_be_read_too(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let client = app.exposed(settings());
        for (status, call) in [
            (400, client.post("/sessions", &[])),
            (400, client.get("/").header("host", "a")),
            (401, client.log_in(EMAIL, "wrong")),
            (403, client.get("/profile")),
            (404, client.get("/nowhere")),
            (405, client.request("PATCH", "/sessions")),
            (413, client.request("POST", "/sessions").body(FORM, vec![b'x'; 20_000])),
            (415, client.request("POST", "/sessions").body("text/plain", "x")),
        ] {
            let reply = by_app(call).send().await;
            assert_eq!(reply.status, status, "{reply:?}");
            assert_shared(&reply, APP);
        }
        let lock = app.inside.lock_out_writers().await;
        let reply = by_app(client.register("eve@example.org", PASSWORD)).send().await;
        assert_eq!(reply.status, 503, "{reply:?}");
        assert_shared(&reply, APP);
        assert_eq!(reply.header("retry-after"), Some("1"));
        lock.close().await.unwrap();
        app.inside.execute("ALTER TABLE users RENAME TO away").await;
        let reply = by_app(client.log_in(EMAIL, PASSWORD)).send().await;
        assert_eq!(reply.status, 500, "{reply:?}");
        assert_shared(&reply, APP);
    }

    async fn a_script_is_told_when_to_try_again(database: Database) {
        let limits = RateLimits {
            logins_per_account: "1/h".parse().unwrap(),
            ..NO_LIMITS
        };
        let app = TestApp::with_limits(database, limits, &[]).await;
        let client = app.exposed(settings());
        let log_in = || by_app(client.log_in(EMAIL, "wrong"));
        assert_eq!(log_in().send().await.status, 401);
        let reply = log_in().send().await;
        assert_eq!(reply.status, 429, "{reply:?}");
        assert_eq!(reply.header("retry-after"), Some("3600"));
        assert_shared(&reply, APP);
    }

    async fn a_browser_that_asks_first_is_answered_without_the_database(database: Database) {
        let app = TestApp::new(database).await;
        let client = app.exposed(settings());
        app.inside.execute("ALTER TABLE users RENAME TO away").await;
        app.inside.execute("ALTER TABLE sessions RENAME TO away2").await;
        app.inside.execute("ALTER TABLE throttles RENAME TO away3").await;
        for path in ["/", "/users", "/sessions", "/sessions/others", "/profile", "/nowhere"] {
            let reply = by_app(preflight(&client, path)).send().await;
            assert_eq!(reply.status, 200, "{reply:?}");
            assert_eq!(reply.body, b"");
            let fields = [
                ("access-control-allow-credentials", "true"),
                ("access-control-allow-headers", "content-type"),
                ("access-control-allow-methods", "GET,POST,PUT,DELETE"),
                ("access-control-allow-origin", APP),
                ("access-control-max-age", "7200"),
            ];
            assert_eq!(cors_fields(&reply), fields);
            assert!(varies_by_origin(&reply.headers));
            assert!(reply.header("x-request-id").is_some());
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(reply.header("set-cookie"), None);
        }
        // Others that a browser does not send are what they are without origins.
        let options = by_app(client.request("OPTIONS", "/users"));
        options.send().await.assert_refusal(405, "method not allowed");
        let with_body = by_app(preflight(&client, "/users")).body(FORM, "email=eve@example.org");
        with_body.send().await.assert_refusal(405, "method not allowed");
    }

    async fn an_origin_that_is_not_named_gets_what_it_gets_where_none_is(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let id = app.logged_in(EMAIL, PASSWORD).await;
        let (client, without) = (app.exposed(settings()), app.exposed(of_no_origin()));
        let calls = |client: &Client| [
            (client.get("/profile"), 200),
            (client.request("HEAD", "/"), 200),
            (client.get("/").by_browser(), 200),
            (client.get("/sessions").by_browser(), 200),
            (client.get("/profile").header("host", "a"), 400),
            (client.register("eve@example.org", PASSWORD), 403),
            (client.log_in(EMAIL, PASSWORD), 403),
            (client.log_in(EMAIL, PASSWORD).by_browser(), 403),
            (client.ask_reset(EMAIL), 403),
            (client.request("DELETE", "/sessions"), 403),
            (client.request("DELETE", "/users"), 403),
            (preflight(client, "/sessions"), 405),
        ];
        let before = app.inside.all_rows().await;
        for (origin, site) in [
            ("https://evil.example", "cross-site"),
            ("https://evil.example.org", "same-site"),
            ("https://app.example.org:8443", "same-site"),
            ("http://app.example.org", "cross-site"),
            ("https://app.example.org.evil.example", "cross-site"),
            ("null", "cross-site"),
        ] {
            for ((call, status), (same, _)) in calls(&client).into_iter().zip(calls(&without)) {
                let of_origin = |call| with_session(by_script(call, origin, site), &id);
                let (mut reply, mut other) = (of_origin(call).send().await, of_origin(same).send().await);
                assert_eq!(reply.status, status, "{origin} {reply:?}");
                assert_eq!(cors_fields(&reply), [], "{origin}");
                assert!(varies_by_origin(&reply.headers) && !varies_by_origin(&other.headers));
                for reply in [&mut reply, &mut other] {
                    reply.headers.remove("x-request-id").unwrap();
                    reply.headers.remove("vary").unwrap();
                }
                assert_eq!((&reply.headers, &reply.body), (&other.headers, &other.body));
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn a_form_of_an_allowed_origin_is_refused_and_so_is_what_asks_to_read_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let client = app.exposed(settings());
        let before = app.inside.all_rows().await;
        for mode in ["navigate", "no-cors", "websocket", "same-origin"] {
            for path in ["/sessions", "/reset_password", "/users"] {
                let fields = [("email", EMAIL), ("password", PASSWORD)];
                let call = client.post(path, &fields).header("origin", APP);
                let call = call.header("sec-fetch-mode", mode).header("sec-fetch-site", "same-site");
                let reply = call.clone().send().await;
                reply.assert_refusal(403, REFUSAL);
                assert_eq!(cors_fields(&reply), []);
                call.by_browser().send().await.assert_page(403);
            }
        }
        let twice = by_app(client.log_in(EMAIL, PASSWORD)).header("origin", APP);
        twice.send().await.assert_refusal(403, REFUSAL);
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn a_script_reads_json_whatever_it_accepts(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let client = app.exposed(settings());
        let reply = by_app(client.get("/").by_browser()).send().await;
        reply.assert_is(200, &json!({ "message": "Bienvenue" }));
        assert_shared(&reply, APP);
        let reply = by_app(client.log_in(EMAIL, "wrong").by_browser()).send().await;
        reply.assert_refusal(401, "wrong email or password");
        let reply = by_app(client.get("/users").by_browser()).send().await;
        reply.assert_refusal(405, "method not allowed");
        // No field of a script stands for a method.
        let fields = [("email", EMAIL), ("password", PASSWORD), ("_method", "DELETE")];
        let reply = by_app(client.post("/sessions", &fields).by_browser()).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "logged in" }));
    }

    async fn browsers_that_tell_the_origin_alone_are_understood(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let client = app.exposed(settings());
        let reply = client.log_in(EMAIL, PASSWORD).header("origin", APP).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_shared(&reply, APP);
        let foreign = client.log_in(EMAIL, PASSWORD).header("origin", "https://evil.example");
        foreign.send().await.assert_refusal(403, REFUSAL);
    }
}
