//! The apps in the README, as they stand there.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::browser::{Browser, PERSON, Setup};
use crate::support::Database;
use crate::support::client::Client;
use crate::support::proxy::free_addresses;
use crate::support::report::skipped;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";

/// How long an app may take to start, or a page to change.
const PATIENCE: Duration = Duration::from_secs(30);

/// The block of the README that begins with this.
fn block(start: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once(start).expect(start);
    let (_, first_line) = start.split_once('\n').unwrap();
    let begin = readme.len() - rest.len() - first_line.len();
    readme[begin..].split_once("```\n").unwrap().0
}

/// A text with others in the places of these, each of which stands there once.
fn with(text: &str, places: &[(&str, &str)]) -> String {
    places.iter().fold(text.to_owned(), |text, (place, other)| {
        assert_eq!(text.matches(place).count(), 1, "{place}");
        text.replace(place, other)
    })
}

/// An app of the README that runs.
struct App {
    process: Child,
    client: Client,
    _folder: TempDir,
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl App {
    /// Starts the one that is run by this program. `None` where that is not installed, which is said aloud, and
    /// under `CI=true` is an error.
    fn start(
        program: &str,
        file: &str,
        text: &str,
        listen: [&str; 2],
        server: &Server,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let [address] = free_addresses();
        let (host, port) = address.rsplit_once(':').unwrap();
        let [before, after] = listen.map(|text| text.replace("HOST", host).replace("PORT", port));
        let text = with(
            text,
            &[("127.0.0.1:5000", server.address()), (&before, &after)],
        );
        fs::write(folder.path().join(file), text).unwrap();
        let process = Command::new(program)
            .arg(file)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            skipped(&format!("the app in {file}"), &format!("install {program}"));
            return None;
        };
        let mut app = Self {
            process,
            // The document of the service does not have its paths.
            client: Client::of_operators_url(&format!("http://{address}")),
            _folder: folder,
        };
        let started = Instant::now();
        while TcpStream::connect(&address).is_err() {
            let ended = app.process.try_wait().unwrap();
            assert!(ended.is_none() && started.elapsed() < PATIENCE, "{file}");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(app)
    }

    /// That it knows who is logged in, and leads others to where they log in.
    async fn assert_knows_its_users(&self, server: &Server) {
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let reply = self.client.get("/").session(&session).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert_eq!(reply.body, b"Hello bob@example.org, number 1\n");
        server.log_out(&session).send().await;
        for call in [
            self.client.get("/p?a=1&b=%2F").session(&session),
            self.client.get("/p?a=1&b=%2F"),
            self.client.get("/p?a=1&b=%2F").session("nonsense"),
        ] {
            let reply = call.send().await;
            assert_eq!(reply.status, 303, "{reply:?}");
            let to = "/sessions?next=%2Fp%3Fa%3D1%26b%3D%252F";
            assert_eq!(reply.header("location"), Some(to));
        }
        // As a browser that is sent there.
        let page = server
            .get("/sessions?next=%2Fp%3Fa%3D1%26b%3D%252F")
            .by_browser();
        let page = String::from_utf8(page.send().await.body).unwrap();
        assert!(page.contains("value=\"/p?a=1&amp;b=%2F\""), "{page}");
    }
}

#[tokio::test]
async fn the_back_end_in_python_knows_its_users() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let text = block("```python\n# app.py\n");
    let listen = ["(\"127.0.0.1\", 8080)", "(\"HOST\", PORT)"];
    if let Some(app) = App::start("python3", "app.py", text, listen, &server) {
        app.assert_knows_its_users(&server).await;
    }
}

#[tokio::test]
async fn the_back_end_in_node_knows_its_users() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let text = block("```js\n// app.mjs\n");
    let listen = ["listen(8080, \"127.0.0.1\")", "listen(PORT, \"HOST\")"];
    if let Some(app) = App::start("node", "app.mjs", text, listen, &server) {
        app.assert_knows_its_users(&server).await;
        server.stop();
        let reply = app.client.get("/").session("nonsense").send().await;
        assert_eq!(reply.status, 503);
    }
}

/// Waits until an element of the page has this text.
async fn wait_for(browser: &Browser, selector: &str, text: &str) {
    let shown = async { while browser.text_of(selector).await != text {} };
    if timeout(PATIENCE, shown).await.is_err() {
        assert_eq!(browser.text_of(selector).await, text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_single_page_app_logs_in_and_out() {
    let setup = Setup {
        javascript: true,
        ..PERSON
    };
    let Some(browser) = Browser::start(setup).await else {
        return;
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let database = Database::sqlite();
    let options = ["--bcrypt-cost", "4", "--login-rate-per-account", "2/h"];
    let options = [&options[..], &["--allow-origin", &origin]].concat();
    let server = Server::start_with(&database.url, &options);
    server.registered(EMAIL, PASSWORD).await;
    let page = block("```html\n<!doctype html>\n<title>App</title>\n");
    let page = with(page, &[("https://auth.example.org", &server.url)]);
    let router = Router::new().route("/", get(async move || Html(page)));
    tokio::spawn(async move { axum::serve(listener, router).await });

    browser.open(&origin).await;
    wait_for(&browser, "#status", "Not logged in").await;
    let try_password = async |email: &str, password: &str| {
        browser.fill("[name=email]", email).await;
        browser.fill("[name=password]", password).await;
        browser
            .script("document.querySelector('form button').click()")
            .await;
    };
    try_password(EMAIL, "wrong").await;
    wait_for(&browser, "#status", "wrong email or password").await;
    try_password(EMAIL, PASSWORD).await;
    wait_for(&browser, "#status", "Hello bob@example.org").await;
    browser.open(&origin).await;
    wait_for(&browser, "#status", "Hello bob@example.org").await;
    browser
        .script("document.querySelector('#log-out').click()")
        .await;
    wait_for(&browser, "#status", "Not logged in").await;
    for _ in 0..3 {
        try_password("eve@example.org", "wrong").await;
        let answered = "return document.querySelector('#status').textContent";
        let answered = async { while browser.script(answered).await == json!("Not logged in") {} };
        timeout(PATIENCE, answered).await.unwrap();
    }
    let waits = async {
        while !browser
            .text_of("#status")
            .await
            .starts_with("too many attempts, try again in")
        {}
    };
    timeout(PATIENCE, waits).await.unwrap();
    browser.close().await;
}
