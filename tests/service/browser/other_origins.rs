//! A single-page app at another origin than the service, in a real browser.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Browser, PERSON, Setup};
use crate::support::Database;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";

/// An app that is nothing but scripts.
async fn app_at(host: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let page = "<!doctype html><title>app</title><main>app</main>";
    let router = Router::new().route("/", get(async move || Html(page)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{host}:{port}")
}

/// What a script of the open page gets for a request with cookies: the status, the body and when to try again,
/// or the name of the error.
async fn fetch(browser: &Browser, method: &str, url: &str, body: Value) -> Value {
    let options = match &body {
        Value::Null => json!({ "method": method }),
        body => json!({
            "method": method,
            "headers": { "Content-Type": "application/json" },
            "body": body.to_string(),
        }),
    };
    let script = format!(
        "const done = arguments[arguments.length - 1];
         fetch({url:?}, {{ ...{options}, credentials: 'include' }}).then(
             async reply => done([reply.status, await reply.json(), reply.headers.get('retry-after')]),
             error => done(error.name),
         );"
    );
    browser.script_that_calls_back(&script).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_at_another_port_signs_up_logs_in_looks_and_logs_out_if_it_is_allowed() {
    let setup = Setup {
        javascript: true,
        ..PERSON
    };
    let Some(browser) = Browser::start(setup).await else {
        return;
    };
    let database = Database::sqlite();
    let (allowed, other) = (app_at("127.0.0.1").await, app_at("127.0.0.1").await);
    let elsewhere = app_at("localhost").await;
    let origins = format!("{allowed},{elsewhere}");
    let options = ["--bcrypt-cost", "4", "--login-rate-per-account", "1/h"];
    let options = [&options[..], &["--allow-origin", &origins]].concat();
    let server = Server::start_with(&database.url, &options);
    let inside = database.look_inside().await;
    let user = json!({ "email": EMAIL, "password": PASSWORD });
    let [users, sessions, profile] =
        ["/users", "/sessions", "/profile"].map(|path| server.url.clone() + path);

    browser.open(&allowed).await;
    let reply = fetch(&browser, "POST", &users, user.clone()).await;
    let created = json!([200, { "email": EMAIL, "message": "user created" }, null]);
    assert_eq!(reply, created);
    let reply = fetch(&browser, "GET", &profile, Value::Null).await;
    assert_eq!(reply, json!([403, { "message": "not logged in" }, null]));
    let log_in = fetch(&browser, "POST", &sessions, user.clone()).await;
    let logged_in = json!([200, { "email": EMAIL, "message": "logged in" }, null]);
    assert_eq!(log_in, logged_in);
    let reply = fetch(&browser, "GET", &profile, Value::Null).await;
    assert_eq!(reply, json!([200, { "email": EMAIL }, null]));
    let wrong = json!({ "email": "eve@example.org", "password": "wrong" });
    let refused = json!({ "message": "wrong email or password" });
    let reply = fetch(&browser, "POST", &sessions, wrong.clone()).await;
    assert_eq!(reply, json!([401, refused, null]));
    let reply = fetch(&browser, "POST", &sessions, wrong).await;
    assert_eq!(reply[0], 429, "{reply}");
    assert_eq!(reply[2], "3600", "{reply}");

    // One that is not named can do nothing, though the browser sends the cookie along.
    let before = inside.all_rows().await;
    browser.open(&other).await;
    for (method, url, body) in [
        ("GET", &profile, Value::Null),
        ("POST", &sessions, user.clone()),
        ("DELETE", &sessions, Value::Null),
        ("DELETE", &users, Value::Null),
    ] {
        let reply = fetch(&browser, method, url, body).await;
        assert_eq!(reply, "TypeError", "{method} {url}");
    }
    assert_eq!(inside.all_rows().await, before);

    // Of another site, over plain HTTP: it can ask, and no session is kept for it.
    browser.open(&elsewhere).await;
    assert_eq!(fetch(&browser, "POST", &sessions, user).await, logged_in);
    let reply = fetch(&browser, "GET", &profile, Value::Null).await;
    assert_eq!(reply, json!([403, { "message": "not logged in" }, null]));

    browser.open(&allowed).await;
    let reply = fetch(&browser, "DELETE", &sessions, Value::Null).await;
    assert_eq!(reply, json!([200, { "message": "logged out" }, null]));
    let reply = fetch(&browser, "GET", &profile, Value::Null).await;
    assert_eq!(reply, json!([403, { "message": "not logged in" }, null]));
    browser.close().await;
}
