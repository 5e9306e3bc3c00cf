//! The OpenAPI document describes the router, and the router answers as it says.
//!
//! All other tests add to it: `support::client` checks every answer that they get against the document.

use std::collections::BTreeSet;
use std::fs;

use axum::http::Method;
use bienvenue::auth::SignUpMode;
use bienvenue::auth::rate_limit::{Rate, RateLimits};
use bienvenue::password::PasswordRule;
use serde_json::json;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::client::{Call, Client, FORM, JSON, Reply};
use crate::support::openapi::{DOCUMENT, Refusal};
use crate::support::server::Server;
use crate::support::{LIFETIMES, NO_LIMITS, TestApp};

mod got;

use got::Got;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";
const NO_TOKEN: &str = "8eabf6e7-e0de-4e90-9627-1dcb41989bae";

/// What takes fields and a session.
const CHANGE_PASSWORD: &str = "/profile/password";
const CHANGE_ADDRESS: &str = "/profile/email";
const UNDO: &str = "/undo_email_change";

/// What takes a session that began lately.
const OF_FRESH: [(&str, &str); 3] = [
    ("DELETE", "/users"),
    ("DELETE", "/sessions/others"),
    ("DELETE", "/sessions/{id}"),
];

/// What a proxy asks.
const CHECKS: [&str; 2] = ["/_bienvenue/forward_auth", "/_bienvenue/auth_request"];

/// The steps by which a browser is handed over to an app.
const STEPS: [&str; 3] = [LOG_IN, AUTHORIZE, CALL_BACK];
const LOG_IN: &str = "/_bienvenue/login";
const AUTHORIZE: &str = "/_bienvenue/authorize";
const CALL_BACK: &str = "/_bienvenue/callback";
const TO_WIKI: &str = "app=wiki.example.org&state=\
                       e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

type Fields = Vec<(&'static str, &'static str)>;

/// Every operation that takes fields, with good ones.
fn operations_with_fields() -> [(&'static str, &'static str, Fields); 9] {
    let user = vec![("email", EMAIL), ("password", PASSWORD)];
    let finish = vec![
        ("email", EMAIL),
        ("sign_up_token", NO_TOKEN),
        ("password", PASSWORD),
    ];
    let update = vec![
        ("email", EMAIL),
        ("reset_token", NO_TOKEN),
        ("new_password", PASSWORD),
    ];
    let change = vec![("password", "wrong"), ("new_password", PASSWORD)];
    let undo = vec![
        ("email", EMAIL),
        ("undo_token", NO_TOKEN),
        ("new_password", PASSWORD),
    ];
    [
        ("POST", "/users", user.clone()),
        ("PUT", "/users", finish),
        ("POST", "/sessions", user),
        ("POST", "/reset_password", vec![("email", EMAIL)]),
        ("PUT", "/reset_password", update),
        ("PUT", CHANGE_PASSWORD, change),
        ("POST", CHANGE_ADDRESS, vec![("email", "new@example.org")]),
        ("PUT", CHANGE_ADDRESS, vec![("email_token", NO_TOKEN)]),
        ("PUT", UNDO, undo),
    ]
}

/// The methods that a path allows.
async fn allowed(call: Call) -> BTreeSet<Method> {
    let reply = call.send().await;
    assert_eq!(reply.status, 405, "{reply:?}");
    let methods = reply.header("allow").unwrap().split(',');
    methods
        .map(|method| method.trim().parse().unwrap())
        .collect()
}

on_each_engine! {
    async fn the_document_has_the_methods_of_the_router(database: Database) {
        let app = TestApp::new(database).await.guarding(&["auth.example.org"]);
        for path in DOCUMENT.paths() {
            let described = |with_pages: bool| -> BTreeSet<Method> {
                let methods = DOCUMENT.methods(path);
                let methods = methods.filter(|(_, operation)| with_pages || !operation.is_page);
                methods.map(|(method, _)| method.clone()).collect()
            };
            let unknown = app.request("PATCH", path);
            assert_eq!(allowed(unknown.clone()).await, described(false), "{path}");
            // `HEAD` of what is a page alone goes without saying.
            let mut of_people = allowed(unknown.by_browser()).await;
            of_people.retain(|method| method != Method::HEAD || described(false).contains(method));
            assert_eq!(of_people, described(true), "{path}");
        }
    }

    async fn the_service_gives_each_refusal_of_the_document(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        let stale = app.logged_in(EMAIL, PASSWORD).await;
        app.clock.turn(LIFETIMES.fresh_login);
        // Notes that it is in use.
        assert!(app.is_logged_in(&stale).await);
        let mut got = Got::by(app.logged_in(EMAIL, PASSWORD).await);
        let before = app.inside.all_rows().await;
        for path in DOCUMENT.paths() {
            for (method, operation) in DOCUMENT.methods(path) {
                if *method != Method::HEAD {
                    got.add_of_any(&app, method.as_str(), path).await;
                }
                if operation.is_page {
                    got.add(&app, method.as_str(), path, |call| call).await;
                }
            }
        }
        for (method, path, fields) in operations_with_fields() {
            got.add_of_body(&app, method, path).await;
            got.add_of_fields(&app, method, path, &fields).await;
        }
        for (method, path, fields) in [
            ("POST", "/users", &[("email", EMAIL), ("password", PASSWORD)][..]),
            ("POST", "/sessions", &[("email", EMAIL), ("password", "wrong")]),
            ("POST", "/reset_password", &[("email", "eve@example.org")]),
            ("PUT", "/reset_password", &operations_with_fields()[4].2),
            ("PUT", "/users", &operations_with_fields()[1].2),
            ("PUT", CHANGE_PASSWORD, &operations_with_fields()[5].2),
            ("POST", CHANGE_ADDRESS, &[("email", EMAIL)]),
            ("PUT", CHANGE_ADDRESS, &operations_with_fields()[7].2),
            ("PUT", UNDO, &operations_with_fields()[8].2),
        ] {
            got.add(&app, method, path, |call| call.form(fields)).await;
        }
        let with_session = [
            ("GET", "/profile"),
            ("GET", "/users/me"),
            ("GET", "/sessions"),
            ("DELETE", "/sessions"),
        ];
        for (method, path) in with_session.into_iter().chain(OF_FRESH) {
            got.add(&app, method, path, |call| call).await;
        }
        got.add_without_session(&app).await;
        got.add_of_user(&app, "DELETE", "/sessions/{id}").await;
        got.session = stale;
        let fields = &operations_with_fields()[6].2;
        got.add(&app, "POST", CHANGE_ADDRESS, |call| call.form(fields)).await;
        for (method, path) in OF_FRESH {
            got.add_of_user(&app, method, path).await;
        }

        let token = app.reset_token(EMAIL).await;
        let rule = PasswordRule::default().for_site("Reblochon", Some("example.org"));
        let app = app.with_rules(|auth| auth.with_password_rule(rule));
        got.add_of_weak_passwords(&app, &token).await;
        let mut after = app.inside.all_rows().await;
        after.retain(|row| !row.starts_with("reset_tokens"));
        assert_eq!(after, before);

        app.inside.execute("UPDATE users SET locked_at = 1").await;
        let fields = [("email", EMAIL), ("password", PASSWORD)];
        for path in ["/sessions", "/reset_password"] {
            got.add(&app, "POST", path, |call| call.form(&fields)).await;
        }

        let verified = app.with_rules(|auth| auth.with_sign_up(SignUpMode::Verified));
        let new = [("email", "new@example.org"), ("password", "r3bl0ch0n de savoie")];
        let token = verified.sign_up_token("new@example.org").await;
        let closed = verified.with_rules(|auth| auth.with_sign_up(SignUpMode::Closed));
        let finish = [&new[..], &[("sign_up_token", &*token)]].concat();
        got.add(&closed, "POST", "/users", |call| call.form(&new)).await;
        got.add(&closed, "PUT", "/users", |call| call.form(&finish)).await;
        let app = closed.with_rules(|auth| auth.with_sign_up(SignUpMode::Unverified));
        let reply = app.register("new@example.org", "r3bl0ch0n de savoie").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        got.add(&app, "PUT", "/users", |call| call.form(&finish)).await;

        got.session = app.logged_in("new@example.org", "r3bl0ch0n de savoie").await;
        got.add_of_changed_address(&app).await;

        for path in CHECKS.into_iter().chain(STEPS) {
            got.add(&app, "GET", path, |call| call).await;
        }
        let app = app.guarding(&["auth.example.org: group:staff", "wiki.example.org: group:staff"]);
        app.inside.execute("UPDATE users SET locked_at = NULL").await;
        got.session = app.logged_in(EMAIL, PASSWORD).await;
        got.add_of_checks(&app).await;
        got.add_of_steps(&app).await;

        let mut missing = DOCUMENT.refusals();
        missing.retain(|(_, status, message)| {
            // What needs a fault or a limit is provoked by tests of its own, such as the next one,
            // `outage`, `panics` and `slow_clients`.
            let needs_more = [408, 429, 500, 503].contains(status) || message == "body is incomplete";
            !needs_more
        });
        missing.retain(|refusal| !got.refusals.contains(refusal));
        assert_eq!(missing, BTreeSet::new());
    }

    async fn the_service_gives_each_refusal_of_rate_limits_in_the_document(database: Database) {
        let once: Rate = "1/h".parse().unwrap();
        let limits = RateLimits {
            successful_logins_per_source: once,
            sign_ups_per_source: once,
            resets_per_address: once,
            ..NO_LIMITS
        };
        let app = TestApp::with_limits(database, limits, &[]).await;
        let mut got = Got::by(String::new());
        for (method, path, fields) in operations_with_fields() {
            for _ in 0..3 {
                let call = app.request(method, path).form(&fields);
                let reply = call.session(&got.session).send().await;
                got.session = reply.session_id().unwrap_or(got.session);
                got.note(method, path, &reply);
            }
        }
        let app = app.guarding(&["wiki.example.org"]);
        for _ in 0..31 {
            let call = app.get(&format!("{AUTHORIZE}?{TO_WIKI}")).session(&got.session);
            got.note("GET", AUTHORIZE, &call.send().await);
        }
        let mut described = DOCUMENT.refusals();
        described.retain(|(_, status, _)| *status == 429);
        got.refusals.retain(|(_, status, _)| *status == 429);
        assert_eq!(got.refusals, described);
    }

    async fn the_answers_in_the_readme_are_those_of_the_service(database: Database) {
        let server = Server::start(&database.url);
        let (mut session, mut token) = (String::new(), String::new());
        let steps = readme_steps();
        assert_eq!(steps.len(), 9);
        for Step { method, path, body, has_cookie, answer } in steps {
            let mut call = server.request(&method, &path);
            if let Some((content_type, body)) = body {
                call = call.body(&content_type, body.replace(NO_TOKEN, &token));
            }
            if has_cookie {
                call = call.session(&session);
            }
            let reply = call.send().await;
            session = reply.session_id().unwrap_or(session);
            if let Some(given) = reply.json()["reset_token"].as_str() {
                given.clone_into(&mut token);
            }
            let shown = shown(&reply, answer.starts_with("HTTP/"));
            assert_eq!(without_ids(&shown), without_ids(&answer));
        }
    }
}

/// A command of the README, as far as curl would send it, and what stands below it.
struct Step {
    method: String,
    path: String,
    body: Option<(String, String)>,
    has_cookie: bool,
    answer: String,
}

fn readme_steps() -> Vec<Step> {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = readme.split("```console\n").nth(1).unwrap();
    let block = block.split("```").next().unwrap().replace("\\\n", " ");
    let steps = block.split("$ curl ").skip(1).map(|step| {
        let (command, answer) = step.split_once('\n').unwrap();
        step_of(command, answer.trim_end())
    });
    steps.collect()
}

fn step_of(command: &str, answer: &str) -> Step {
    // Every second piece is quoted.
    let pieces = command.split('\'').enumerate();
    let mut words = pieces.flat_map(|(index, piece)| match index % 2 {
        0 => piece.split_whitespace().collect(),
        _ => vec![piece],
    });
    let (mut method, mut content_type, mut data) = (None, FORM, Vec::new());
    let (mut path, mut has_cookie) = ("", false);
    while let Some(word) = words.next() {
        match word {
            "-d" => data.push(words.next().unwrap()),
            "-X" => method = words.next(),
            "-H" => {
                let field = words.next().unwrap();
                content_type = field.strip_prefix("Content-Type: ").unwrap();
            }
            "-b" => has_cookie = words.next().is_some(),
            "-c" => assert_eq!(words.next(), Some("cookies.txt")),
            "-i" => {}
            url => path = url.strip_prefix("http://127.0.0.1:5000").unwrap(),
        }
    }
    let default = if data.is_empty() { "GET" } else { "POST" };
    Step {
        method: method.unwrap_or(default).to_owned(),
        path: path.to_owned(),
        body: (!data.is_empty()).then(|| (content_type.to_owned(), data.join("&"))),
        has_cookie,
        answer: answer.to_owned(),
    }
}

/// An answer as curl shows it, with its head if that is wanted.
fn shown(reply: &Reply, with_head: bool) -> String {
    let body = String::from_utf8(reply.body.clone()).unwrap();
    if !with_head {
        return body.trim_end().to_owned();
    }
    let fields = reply
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap()));
    let head: String = fields.collect();
    format!("HTTP/1.1 {}\n{head}\n{}", reply.status, body.trim_end())
}

/// The text without what is another in every run: ids, tokens and dates.
fn without_ids(text: &str) -> String {
    let is_token = |part: &str| {
        let part = part.trim_end_matches(['"', ';']);
        part.parse::<Uuid>().is_ok()
    };
    let lines = text.lines().map(|line| {
        let name = line.split(' ').next().unwrap_or_default();
        let is_other = ["x-request-id:", "date:"].contains(&name);
        let parts = if is_other { name } else { line }.split_inclusive(['"', '=', ';']);
        parts.filter(|part| !is_token(part)).collect::<String>() + "\n"
    });
    lines.collect()
}
