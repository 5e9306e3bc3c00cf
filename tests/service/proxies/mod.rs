//! Apps behind real proxies, which are set up as `bienvenue print` says and ask the real program.

mod browser;
mod forged;
mod outages;
mod own_host;
mod programs;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::Request;
use axum::response::Html;
use axum::{Json, Router};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::proxy::{Proxy, free_addresses, nginx_at};
use crate::support::server::Server;
use crate::support::{Database, limited};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";

/// Where the service is.
const SERVICE: &str = "https://auth.example.org";

/// Two apps, on hosts of two domains.
const WIKI: &str = "https://wiki.example.org";
const NOTES: &str = "https://notes.example.net";

/// Hosts that the proxy leads to the app without a check: of the service's site, of another, and of a third.
const FREE: [&str; 3] = ["app.example.org", "app.example.com", "evil.example"];

/// What a browser accepts.
const HTML: &str = "accept: text/html,application/xhtml+xml,*/*;q=0.8";

/// Turns each function, which takes the kind of a proxy, into one test with each.
macro_rules! behind_each_proxy {
    ($(async fn $name:ident($proxy:ident: Kind) $body:block)*) => {
        $(
            mod $name {
                #[allow(unused_imports, reason = "a body may need nothing from outside")]
                use super::*;

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn nginx() {
                    limited(case(Kind::Nginx)).await;
                }

                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn caddy() {
                    limited(case(Kind::Caddy)).await;
                }

                async fn case($proxy: Kind) $body
            }
        )*
    };
}
use behind_each_proxy;

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nginx,
    Caddy,
}

/// An app that answers with what it got, and counts how often it is reached.
struct Echo {
    address: String,
    reached: Arc<AtomicUsize>,
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let reached = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&reached);
        let router = Router::new().fallback(async move |request: Request| {
            count.fetch_add(1, Ordering::SeqCst);
            echo(&request)
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, reached }
    }

    fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }
}

/// A page in which the request stands as JSON, or that alone.
fn echo(request: &Request) -> axum::response::Response {
    use axum::response::IntoResponse;
    let mut headers = json!({});
    for name in request.headers().keys() {
        let values = request.headers().get_all(name).iter();
        let values: Vec<_> = values
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        headers[name.as_str()] = json!(values);
    }
    let got = json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": headers,
    });
    let accept = request.headers().get("accept");
    if accept.is_some_and(|accept| accept.to_str().unwrap().contains("text/html")) {
        let text = got.to_string().replace('<', "&lt;");
        Html(format!("<title>app</title><main><pre>{text}</pre></main>")).into_response()
    } else {
        Json(got).into_response()
    }
}

/// The program with apps behind a proxy.
struct Stand {
    server: Server,
    echo: Echo,
    /// Where the proxy listens, with TLS for every host.
    address: String,
    _proxy: Proxy,
    folder: TempDir,
    _database: Database,
}

/// What a program printed, which others meanwhile answer.
async fn output(mut command: Command) -> Output {
    let ended = tokio::task::spawn_blocking(move || command.output());
    ended.await.unwrap().unwrap()
}

/// An answer, as curl tells it.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find_map(|(other, value)| (other == name).then_some(&**value))
    }

    /// What the app got.
    #[track_caller]
    fn echoed(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not of the app: {self:?}"))
    }
}

impl Stand {
    /// `None` where the proxy is not installed.
    async fn start(kind: Kind, apps: &[&str]) -> Option<Self> {
        Self::start_with(kind, apps, &[], Database::sqlite()).await
    }

    /// The same with two apps on hosts of their own.
    async fn with_two_apps(kind: Kind) -> Option<Self> {
        Self::start(kind, &["wiki.example.org", "notes.example.net"]).await
    }

    /// The same with other options of the service.
    async fn start_with(
        kind: Kind,
        apps: &[&str],
        others: &[&str],
        database: Database,
    ) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mails = folder.path().join("mails");
        let mut options = vec!["--public-url", SERVICE, "--sign-up", "unverified"];
        options.extend(["--trusted-proxy", "127.0.0.1", "--mail-dir"]);
        options.push(mails.to_str().unwrap());
        for app in apps {
            options.extend(["--app", app]);
        }
        options.extend(others);
        let cheap = [&options[..], &["--bcrypt-cost", "4"]].concat();
        let server = Server::start_with(&database.url, &cheap);
        let echo = Echo::start().await;
        let [address] = free_addresses();
        let files = folder.path().join("proxy");
        fs::create_dir(&files).unwrap();
        let options = [&options[..], &["--listen", server.address()]].concat();
        let proxy = start_proxy(kind, &files, &address, &echo.address, &options)?;
        Some(Self {
            server,
            echo,
            address,
            _proxy: proxy,
            folder,
            _database: database,
        })
    }

    /// Sends a request by curl, whose arguments these are besides the URL.
    async fn curl(&self, arguments: &[&str], url: &str) -> Reply {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--insecure"]);
        command.args(["--disable", "--noproxy", "*", "--max-time", "30"]);
        command.args(["--connect-to", &format!("::{}", self.address)]);
        command.args(arguments).arg(url).stdin(Stdio::null());
        let output = output(command).await;
        let error = String::from_utf8_lossy(&output.stderr);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{arguments:?} {url}: {error}");
        // That of the last one, if redirects were followed.
        let mut rest = &text[..];
        loop {
            let (head, body) = rest.split_once("\r\n\r\n").expect(rest);
            let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
            let was_followed = body.starts_with("HTTP/");
            if was_followed {
                rest = body;
                continue;
            }
            let fields = head.lines().skip(1);
            let fields = fields.filter_map(|line| line.split_once(": "));
            let headers = fields.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
            return Reply {
                status,
                headers: headers.collect(),
                body: body.to_owned(),
            };
        }
    }

    /// The same with the cookies that were set for earlier ones.
    async fn curl_with_cookies(&self, arguments: &[&str], url: &str) -> Reply {
        let cookies = self.folder.path().join("cookies");
        let cookies = cookies.to_str().unwrap();
        let arguments = [&["-b", cookies, "-c", cookies], arguments].concat();
        self.curl(&arguments, url).await
    }

    /// Adds a user and logs in, at the service.
    async fn log_in(&self) {
        self.server.registered(EMAIL, PASSWORD).await;
        let fields = ["-d", &format!("email={EMAIL}&password={PASSWORD}")];
        let url = format!("{SERVICE}/sessions");
        let reply = self.curl_with_cookies(&fields, &url).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Opens a page of an app as a browser does, which begins a session there.
    async fn open(&self, url: &str) -> Reply {
        self.curl_with_cookies(&["-L", "-H", HTML], url).await
    }
}

/// What the program prints for a proxy, with these options.
fn printed(kind: Kind, options: &[&str]) -> String {
    let name = match kind {
        Kind::Nginx => "nginx",
        Kind::Caddy => "caddy",
    };
    let printed = Server::command()
        .args(["print", name])
        .args(options)
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    String::from_utf8(printed.stdout).unwrap()
}

/// The same with a part of each app that is for everyone, as the README has it.
fn with_public_part(kind: Kind, printed: &str) -> String {
    let (start, place) = match kind {
        Kind::Nginx => (
            "```nginx\nlocation /public/",
            "    location / {\n        proxy_pass http://127",
        ),
        Kind::Caddy => (
            "```caddy\nreverse_proxy /public/",
            "        # Asked about each request.",
        ),
    };
    let readme = include_str!("../../../README.md");
    let begin = readme.find(start).unwrap() + start.find('\n').unwrap();
    let block = readme[begin..].split_once("```").unwrap().0;
    printed.replace(place, &format!("{block}{place}"))
}

/// Starts a proxy with what the program prints for these options, but with other places and with `app` for the
/// app.
fn start_proxy(
    kind: Kind,
    folder: &Path,
    address: &str,
    app: &str,
    options: &[&str],
) -> Option<Proxy> {
    let names = ["auth.example.org", "wiki.example.org", "notes.example.net"];
    let all = [&names[..], &FREE].concat();
    let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(all).unwrap();
    let (certificate, key) = (folder.join("certificate"), folder.join("key"));
    fs::write(&certificate, cert.pem()).unwrap();
    fs::write(&key, signing_key.serialize_pem()).unwrap();
    let printed = with_public_part(kind, &printed(kind, options));
    let printed = printed.replace("127.0.0.1:8080", app);
    let (certificate, key) = (certificate.display(), key.display());
    match kind {
        Kind::Nginx => {
            let free = FREE.join(" ");
            let free = format!(
                "server {{
                     listen 443 ssl;
                     server_name {free};
                     ssl_certificate x;
                     ssl_certificate_key x;
                     location / {{ proxy_pass http://{app}; }}
                 }}"
            );
            let (http, _) = nginx_at(address, &(printed + &free));
            let http = http.replace("/var/log/nginx", folder.to_str().unwrap());
            let lines = http.lines().map(|line| match line.trim_start() {
                line if line.starts_with("ssl_certificate ") => {
                    format!("ssl_certificate {certificate};")
                }
                line if line.starts_with("ssl_certificate_key ") => {
                    format!("ssl_certificate_key {key};")
                }
                _ => line.to_owned(),
            });
            let http: Vec<String> = lines.collect();
            Proxy::nginx(folder, &http.join("\n"), address)
        }
        Kind::Caddy => {
            let (host, port) = address.rsplit_once(':').unwrap();
            let place = format!("bind {host}\ntls {certificate} {key}");
            let free = FREE.join(", ");
            let free = format!("{free} {{\n{place}\nreverse_proxy {app}\n}}\n");
            let sites = names.iter().fold(printed, |sites, name| {
                sites.replace(&format!("{name} {{"), &format!("{name} {{\n{place}"))
            });
            let global = format!("admin off\nhttps_port {port}\nauto_https disable_redirects");
            Proxy::caddy(folder, &format!("{{\n{global}\n}}\n{sites}{free}"), address)
        }
    }
}
