//! What a page of another site makes a browser send changes nothing.

use bienvenue::app::{SessionCookie, Settings};
use serde_json::json;

use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::client::Call;

const EMAIL: &str = "bob@example.org";
const REFUSAL: &str = "cross-site requests are refused";

/// What the test knows of an exposure.
struct Exposure {
    settings: Settings,
    host: &'static str,
    cookie: &'static str,
    /// Values of `Origin`, and whether they are ours.
    origins: [(Option<&'static str>, bool); 9],
}

fn local() -> Exposure {
    Exposure {
        settings: Settings::default(),
        host: "localhost:5000",
        cookie: "session_id",
        origins: [
            (None, true),
            (Some("http://localhost:5000"), true),
            (Some("http://localhost:5001"), false),
            (Some("http://localhost"), false),
            (Some("https://localhost:5000"), false),
            (Some("http://localhost:5000/"), false),
            (Some("null"), false),
            (Some("https://evil.example"), false),
            (Some(""), false),
        ],
    }
}

fn public() -> Exposure {
    Exposure {
        settings: Settings {
            public_url: Some("https://auth.example.org".parse().unwrap()),
            session_cookie: SessionCookie::HostOnly,
            ..Settings::default()
        },
        // As a proxy may call us.
        host: "127.0.0.1:5000",
        cookie: "__Host-session_id",
        origins: [
            (None, true),
            (Some("https://auth.example.org"), true),
            (Some("https://auth.example.org:443"), true),
            (Some("https://auth.example.org:8443"), false),
            (Some("http://auth.example.org"), false),
            (Some("http://127.0.0.1:5000"), false),
            (Some("null"), false),
            (Some("https://evil.example"), false),
            (Some(""), false),
        ],
    }
}

fn with(call: Call, name: &str, value: Option<&str>) -> Call {
    match value {
        Some(value) => call.header(name, value),
        None => call,
    }
}

on_each_engine! {
    async fn the_table_of_fetch_site_and_origin_decides_every_change(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        for exposure in [local(), public()] {
            let client = app.exposed(exposure.settings);
            for site in [None, Some("same-origin"), Some("none"), Some("same-site"), Some("cross-site"), Some("bogus")] {
                for (origin, is_ours) in exposure.origins {
                    let session = app.logged_in(EMAIL, "b4l0u").await;
                    let token = app.reset_token(EMAIL).await;
                    let with_session = |call: Call| call.header("cookie", format!("{}={session}", exposure.cookie));
                    let calls = [
                        (client.register("eve@example.org", "b4l0u"), "DELETE FROM users WHERE email = 'eve@example.org'"),
                        (client.log_in(EMAIL, "b4l0u"), ""),
                        (client.ask_reset("nobody@example.org"), ""),
                        (client.reset(EMAIL, &token, "b4l0u"), ""),
                        (with_session(client.post("/profile/email", &[("email", "new@example.org")])), ""),
                        (with_session(client.put("/profile/email", &[("email_token", &token)])), ""),
                        (with_session(client.request("DELETE", "/profile/email")), ""),
                        (client.undo_address(EMAIL, &token, "b4l0u"), ""),
                        (with_session(client.request("DELETE", "/sessions")), ""),
                    ];
                    let passes = match site {
                        Some(site) => site == "same-origin" || site == "none",
                        None => is_ours,
                    };
                    for (call, undo) in calls {
                        let call = with(call.header("host", exposure.host), "sec-fetch-site", site);
                        let call = with(call, "origin", origin);
                        if !passes {
                            app.assert_refused(call, 403, REFUSAL).await;
                            continue;
                        }
                        let reply = call.send().await;
                        assert!(reply.status.as_u16() < 500, "{reply:?}");
                        assert_ne!(reply.json(), json!({ "message": REFUSAL }), "{site:?} {origin:?}");
                        if !undo.is_empty() {
                            app.inside.execute(undo).await;
                        }
                    }
                }
            }
        }
    }

    async fn looking_is_free_for_all(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        for (method, path, status) in [
            ("GET", "/profile", 200),
            ("HEAD", "/profile", 200),
            ("OPTIONS", "/profile", 405),
            ("POST", "/profile", 403),
            ("PATCH", "/profile", 403),
        ] {
            let call = app.request(method, path).session(&session);
            let call = call.header("sec-fetch-site", "cross-site").header("origin", "https://evil.example");
            let reply = call.send().await;
            assert_eq!(reply.status, status, "{method} {path}");
            // No page of another origin gets to read it.
            assert_eq!(reply.header("access-control-allow-origin"), None);
        }
    }

    async fn a_name_that_was_made_to_lead_here_is_another_site(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let rebound = app
            .ask_reset(EMAIL)
            .header("host", "evil.example:5000")
            .header("origin", "http://evil.example:5000");
        app.assert_refused(rebound, 403, REFUSAL).await;
    }

    async fn a_request_is_refused_before_its_body_is_looked_at(database: Database) {
        let app = TestApp::new(database).await;
        for body in [&b"\xFF%"[..], &vec![b'x'; 100_000]] {
            let call = app.request("POST", "/users").body("text/nonsense", body);
            let call = call.header("sec-fetch-site", "cross-site");
            app.assert_refused(call, 403, REFUSAL).await;
        }
    }
}
