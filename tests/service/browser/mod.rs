//! The pages in a real browser: headless Chromium, driven through chromedriver.
//!
//! Two browsers run at a time, since each takes as much memory as everything else together.

mod accessibility;
mod address;
mod journeys;
mod keyboard;
mod other_origins;
mod other_sites;

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fantoccini::key::Key;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::{Position, Url};

use crate::support::report::skipped;
use crate::support::server::Server;

/// How long a page may take to come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets two browsers run at a time.
static TURNS: Semaphore = Semaphore::const_new(2);

/// How a browser is set up.
#[derive(Clone, Copy)]
pub struct Setup {
    /// Whether pages may run scripts.
    pub javascript: bool,
    /// What the person reads.
    pub language: &'static str,
}

/// A person of today: with scripts switched off, which must make no difference.
pub const PERSON: Setup = Setup {
    javascript: false,
    language: "en",
};

/// A browser with an empty profile; gone when it is dropped.
pub struct Browser {
    client: Client,
    driver: Driver,
    _turn: SemaphorePermit<'static>,
}

/// chromedriver with all that it starts.
struct Driver(Child);

impl Drop for Driver {
    fn drop(&mut self) {
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
        let _ = self.0.wait();
    }
}

impl Browser {
    /// `None` where Chromium is not installed, which is said aloud, and under `CI=true` is an error.
    pub async fn start(setup: Setup) -> Option<Self> {
        Self::start_with(setup, &[]).await
    }

    /// The same for one that finds every host behind this address, and takes its certificate for good.
    pub async fn start_behind(setup: Setup, address: &str) -> Option<Self> {
        let rules = format!("--host-resolver-rules=MAP * {address}");
        Self::start_with(setup, &["--ignore-certificate-errors", &rules]).await
    }

    async fn start_with(setup: Setup, arguments: &[&str]) -> Option<Self> {
        let (Some(chromium), Some(chromedriver)) = (
            find_program(&["chromium", "chromium-browser", "google-chrome"]),
            find_program(&["chromedriver"]),
        ) else {
            skipped(
                "the pages in a browser",
                "install Chromium (Debian: chromium and chromium-driver)",
            );
            return None;
        };
        let turn = TURNS.acquire().await.unwrap();
        let (driver, url) = start_driver(&chromedriver);
        let javascript = if setup.javascript { 1 } else { 2 };
        let always = [
            "--headless=new",
            // Tests often run as root and in containers, where it cannot have its sandbox
            // or much shared memory.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ];
        let capabilities = json!({
            "goog:chromeOptions": {
                "binary": chromium,
                "args": ([&always, arguments].concat()),
                "prefs": {
                    "intl.accept_languages": setup.language,
                    "profile.managed_default_content_settings.javascript": javascript,
                },
            },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let Value::Object(capabilities) = capabilities else {
            unreachable!()
        };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&url)
            .await
            .unwrap();
        Some(Self {
            client,
            driver,
            _turn: turn,
        })
    }

    /// Ends the browser as its user would, and waits for the end.
    pub async fn close(self) {
        self.client.close().await.unwrap();
        drop(self.driver);
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// What is open.
    pub async fn url(&self) -> String {
        self.client.current_url().await.unwrap().into()
    }

    /// The path that is open, with its query.
    pub async fn path(&self) -> String {
        let url: Url = self.client.current_url().await.unwrap();
        url[url::Position::BeforePath..].to_owned()
    }

    pub async fn title(&self) -> String {
        self.client.title().await.unwrap()
    }

    /// Every text on the page that can be seen.
    pub async fn text(&self) -> String {
        self.text_of("body").await
    }

    pub async fn text_of(&self, selector: &str) -> String {
        let element = self.client.find(Locator::Css(selector)).await;
        element
            .unwrap_or_else(|error| panic!("{selector}: {error}"))
            .text()
            .await
            .unwrap()
    }

    pub async fn has(&self, selector: &str) -> bool {
        let all = self.client.find_all(Locator::Css(selector)).await;
        !all.unwrap().is_empty()
    }

    /// What stands in a field.
    pub async fn value_of(&self, selector: &str) -> String {
        let element = self.client.find(Locator::Css(selector)).await.unwrap();
        element.prop("value").await.unwrap().unwrap_or_default()
    }

    /// Types into a field, in the place of what was there.
    pub async fn fill(&self, selector: &str, text: &str) {
        let element = self.client.find(Locator::Css(selector)).await.unwrap();
        element.clear().await.unwrap();
        element.send_keys(text).await.unwrap();
    }

    /// Clicks on what leads to another page, and waits until that is there.
    pub async fn click(&self, selector: &str) {
        self.click_on(Locator::Css(selector)).await;
    }

    /// The same with the link that has this text.
    pub async fn follow(&self, text: &str) {
        self.click_on(Locator::LinkText(text)).await;
    }

    async fn click_on(&self, locator: Locator<'_>) {
        let element = self.client.find(locator).await;
        let element = element.unwrap_or_else(|error| panic!("{locator:?}: {error}"));
        self.leave(async || element.click().await.unwrap()).await;
    }

    /// Presses Enter where that leads to another page, and waits until that is there.
    pub async fn press_enter(&self) {
        let enter = char::from(Key::Enter).to_string();
        self.leave(async || self.press(&enter).await).await;
    }

    /// Does what leads to another page, and waits until this one is gone and that is there.
    async fn leave(&self, action: impl AsyncFnOnce()) {
        let page = self.client.find(Locator::Css("html")).await.unwrap();
        action().await;
        let gone = async { while page.tag_name().await.is_ok() {} };
        timeout(PATIENCE, gone).await.expect("another page");
        self.client
            .wait()
            .for_element(Locator::Css("main"))
            .await
            .unwrap();
    }

    /// Presses keys, wherever the focus is.
    pub async fn press(&self, keys: &str) {
        let focused = self.client.active_element().await.unwrap();
        focused.send_keys(keys).await.unwrap();
    }

    /// The name of what has the focus: the id of a field, the text of a link or a button.
    pub async fn focus(&self) -> String {
        let focused = self.client.active_element().await.unwrap();
        match focused.attr("id").await.unwrap() {
            Some(id) => id,
            None => focused.text().await.unwrap(),
        }
    }

    /// How thick the frame is around what has the focus, such as `3px`.
    pub async fn focus_frame(&self) -> String {
        let focused = self.client.active_element().await.unwrap();
        focused.css_value("outline-width").await.unwrap()
    }

    pub async fn script(&self, script: &str) -> Value {
        self.client.execute(script, vec![]).await.unwrap()
    }

    /// The same for one that calls its last argument when it has finished.
    pub async fn script_that_calls_back(&self, script: &str) -> Value {
        self.client.execute_async(script, vec![]).await.unwrap()
    }

    /// Tells Chromium itself to do something (its `DevTools` protocol).
    pub async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.issue("goog/cdp/execute", body).await;
    }

    /// What Chromium has to complain of since it was asked last.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.issue("se/log", json!({ "type": "browser" })).await;
        let entries = log.as_array().unwrap().iter();
        let entries = entries.map(|entry| entry["message"].as_str().unwrap().to_owned());
        // That a page has the status of a refusal is as it should be.
        entries
            .filter(|message| !message.contains("the server responded with a status of 4"))
            .collect()
    }

    async fn issue(&self, path: &'static str, body: Value) -> Value {
        let command = VendorCommand { path, body };
        self.client.issue_cmd(command).await.unwrap()
    }
}

/// A command that is none of the standard's.
#[derive(Debug)]
struct VendorCommand {
    path: &'static str,
    body: Value,
}

impl WebDriverCompatibleCommand for VendorCommand {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap(), self.path))
    }

    fn method_and_body(&self, _url: &Url) -> (axum::http::Method, Option<String>) {
        (axum::http::Method::POST, Some(self.body.to_string()))
    }
}

fn start_driver(program: &Path) -> (Driver, String) {
    let mut process = Command::new(program)
        .arg("--port=0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // So that what it starts can be ended with it.
        .process_group(0)
        .spawn()
        .unwrap();
    let output = process.stdout.take().unwrap();
    let driver = Driver(process);
    let mut lines = BufReader::new(output).lines();
    let port = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        })
        .expect("chromedriver did not start");
    // So that it can go on writing.
    std::thread::spawn(move || lines.for_each(drop));
    (driver, format!("http://127.0.0.1:{port}"))
}

fn find_program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let files = names
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Opens the link in a mail, which leads to the public URL.
pub async fn open_link(browser: &Browser, server: &Server, link: &str) {
    let link: Url = link.parse().unwrap();
    let link = server.url.clone() + &link[Position::BeforePath..];
    browser.open(&link).await;
}
