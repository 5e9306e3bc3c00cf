//! The configuration of nginx in the README, in a real nginx before the real program.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::json;
use tempfile::TempDir;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::support::Database;
use crate::support::client::{Call, Client};
use crate::support::proxy::{Proxy, free_addresses, nginx_at};
use crate::support::raw::Raw;
use crate::support::server::Server;
use crate::support::smtp_server::token_in;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";

/// From where the clients of nginx connect.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));

/// How long a mail may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// The service in public exposure with nginx before it.
struct Site {
    server: Server,
    nginx: Proxy,
    /// Where nginx listens, with TLS and without.
    tls: String,
    plain: String,
    /// With TLS too; `None` on a machine without IPv6.
    ipv6: Option<SocketAddr>,
    certificate: Vec<u8>,
    /// Holds the mails and, in `nginx`, all that nginx writes.
    folder: TempDir,
    _database: Database,
}

impl Site {
    /// `None` where nginx is not installed, which is said aloud, and under `CI=true` is an error.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mails = folder.path().join("mails");
        let database = Database::sqlite();
        let options = [
            "--bcrypt-cost",
            "4",
            "--public-url",
            "https://auth.example.org",
            "--sign-up",
            "unverified",
            "--trusted-proxy",
            "127.0.0.1",
            "--mail-dir",
            mails.to_str().unwrap(),
        ];
        let server = Server::start_with(&database.url, &options);

        let [tls, plain] = free_addresses();
        let files = folder.path().join("nginx");
        fs::create_dir(&files).unwrap();
        let names = [tls.split(':').next().unwrap(), "::1"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        fs::write(files.join("certificate"), cert.pem()).unwrap();
        fs::write(files.join("key"), signing_key.serialize_pem()).unwrap();
        let (configuration, ipv6) = configuration(&files, &tls, &plain, server.address());
        let nginx = Proxy::nginx(&files, &configuration, &plain)?;
        Some(Self {
            server,
            nginx,
            tls,
            plain,
            ipv6,
            certificate: cert.der().to_vec(),
            folder,
            _database: database,
        })
    }

    /// A client of nginx at [`CLIENT`].
    fn client(&self) -> Client {
        let mut connector = HttpConnector::new();
        connector.set_local_address(Some(CLIENT));
        let client = HttpClient::builder(TokioExecutor::new()).build(connector);
        Client::Url(client, format!("http://{}", self.plain))
    }

    /// The path and query of the link in the one mail that was sent.
    async fn mailed_link(&self) -> String {
        let started = Instant::now();
        loop {
            let mails = fs::read_dir(self.folder.path().join("mails")).unwrap();
            let mails: Vec<_> = mails.map(|entry| entry.unwrap().path()).collect();
            if let [mail] = &mails[..]
                && mail.extension().is_some_and(|extension| extension == "eml")
            {
                let mail = fs::read_to_string(mail).unwrap();
                // Undoes the one encoding that such lines get.
                let mail = mail.replace("=\r\n", "").replace("=3D", "=");
                let start = "https://auth.example.org/reset_password?";
                let link = mail.lines().find(|line| line.starts_with(start));
                return link.unwrap()["https://auth.example.org".len()..].to_owned();
            }
            assert!(started.elapsed() < PATIENCE, "no mail: {mails:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The names and texts of the logs in a folder.
fn logs_in(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let logs = files.filter(|file| file.path().extension() == Some("log".as_ref()));
    logs.map(|log| {
        let name = log.file_name().to_string_lossy().into_owned();
        (name, fs::read_to_string(log.path()).unwrap())
    })
    .collect()
}

/// The block in the README, with other addresses and files and, beside TLS, a plain port; and where it listens
/// on IPv6.
fn configuration(
    folder: &Path,
    tls: &str,
    plain: &str,
    service: &str,
) -> (String, Option<SocketAddr>) {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let blocks = readme.split("```nginx\n").skip(1);
    let mut blocks = blocks.filter_map(|rest| rest.split("```").next());
    let block = blocks.find(|block| block.contains("upstream")).unwrap();
    let mut block = block.to_owned();
    let folder = folder.display();
    for (text, replacement) in [
        ("server 127.0.0.1:5000;", format!("server {service};")),
        (
            "/etc/ssl/auth.example.org.pem",
            format!("{folder}/certificate"),
        ),
        ("/etc/ssl/auth.example.org.key", format!("{folder}/key")),
        ("/var/log/nginx/", format!("{folder}/")),
    ] {
        assert_eq!(block.matches(text).count(), 1, "{text}");
        block = block.replace(text, &replacement);
    }
    let (block, ipv6) = nginx_at(tls, &block);
    let tls = format!("listen {tls} ssl;");
    assert_eq!(block.matches(&tls).count(), 1, "{block}");
    (block.replace(&tls, &format!("{tls} listen {plain};")), ipv6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_of_the_readme_passes_on_what_clients_ask_for() {
    let Some(site) = Site::start() else { return };
    let client = site.client();
    client.registered(EMAIL, PASSWORD).await;
    let reply = client.log_in(EMAIL, PASSWORD).send().await;
    reply.assert_is(200, &json!({ "email": EMAIL, "message": "logged in" }));
    let cookie = reply.header("set-cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let with_session = |call: Call| call.header("cookie", &cookie);
    let profile = with_session(client.get("/profile")).send().await;
    profile.assert_is(200, &json!({ "email": EMAIL }));
    let log_out = || with_session(client.request("DELETE", "/sessions")).send();
    let reply = log_out().await;
    reply.assert_is(302, &json!({ "message": "logged out" }));
    assert_eq!(reply.header("location"), Some("/"));
    assert_eq!(reply.header("clear-site-data"), Some("\"storage\""));
    log_out().await.assert_refusal(403, "not logged in");

    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&[Certificate::from_der(
            &site.certificate,
        )
        .to_owned()]))
        .build();
    let agent: Agent = Agent::config_builder().tls_config(tls).build().into();
    let ipv6 = site.ipv6.map(|address| address.to_string());
    for address in [Some(site.tls), ipv6].into_iter().flatten() {
        let (agent, url) = (agent.clone(), format!("https://{address}/"));
        let home = tokio::task::spawn_blocking(move || {
            let mut response = agent.get(url).call().unwrap();
            response.body_mut().read_to_string().unwrap()
        });
        assert_eq!(home.await.unwrap(), "{\"message\":\"Bienvenue\"}\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_of_the_readme_logs_no_reset_token() {
    let Some(site) = Site::start() else { return };
    let client = site.client();
    client.registered(EMAIL, PASSWORD).await;
    assert_eq!(client.ask_reset(EMAIL).send().await.status, 200);
    let link = site.mailed_link().await;
    let url = format!("https://auth.example.org{link}");
    let token = token_in(&url);

    let reply = client.get(&link).by_browser().send().await;
    let id = reply.header("x-request-id").unwrap();
    let page = reply.assert_page(200);
    assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
    // A client that sends one all the same.
    let style = page.attribute("link[rel=stylesheet]", "href").unwrap();
    let style = client.get(&style).header("referer", &url).send().await;
    assert_eq!(style.status, 200);

    // So many that nginx refuses some, which it notes as an error.
    let mut raw = Raw::connect_to(&site.plain).await;
    let statuses = statuses_of(&mut raw, &link).await;
    assert!(
        statuses.contains(&405) && statuses.contains(&429),
        "{statuses:?}"
    );

    // Without the service every request is an error, of whatever kind.
    let Site {
        server,
        nginx,
        folder,
        ..
    } = site;
    server.kill();
    let to_sign_up = link
        .replace("reset_password", "users")
        .replace("reset_token", "sign_up_token");
    for link in [&link, &link.replacen('?', "/?", 1), &to_sign_up] {
        assert_eq!(client.get(link).send().await.status, 502);
    }
    assert_eq!(client.get("/profile").send().await.status, 502);

    drop(nginx);
    let logs = logs_in(&folder.path().join("nginx"));
    for (name, text) in &logs {
        assert!(!text.contains(&token), "{name}: {text}");
    }
    let log = |name: &str| &logs.iter().find(|(other, _)| other == name).unwrap().1;
    let errors = log("error.log");
    assert!(
        errors.contains("GET /profile"),
        "other errors are noted: {errors}"
    );
    let requests = log("auth.example.org.log");
    for part in [
        "127.0.0.9 [",
        "\"POST /users HTTP/1.1\" 200 ",
        "\"GET /reset_password HTTP/1.1\" 200 ",
        "\"GET /reset_password HTTP/1.1\" 429 ",
        "\"GET /reset_password HTTP/1.1\" 502 ",
        &format!(" {id}\n"),
    ] {
        assert!(requests.contains(part), "{part}: {requests}");
    }
}

/// Sends 200 requests at once, and returns the statuses of the replies.
async fn statuses_of(raw: &mut Raw, path: &str) -> Vec<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: auth.example.org\r\n\r\n");
    raw.send(request.repeat(200).as_bytes()).await;
    let mut statuses = Vec::new();
    for _ in 0..200 {
        statuses.push(raw.reply().await.status.as_u16());
    }
    statuses
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_of_the_readme_limits_the_requests_of_one_address() {
    let Some(site) = Site::start() else { return };
    let mut raw = Raw::connect_to(&site.plain).await;
    let statuses = statuses_of(&mut raw, "/").await;
    assert_eq!(statuses[..41], [200; 41]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(
        site.client().get("/").send().await.status,
        200,
        "another address"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_of_the_readme_limits_the_connections_of_one_address() {
    let Some(site) = Site::start() else { return };
    let mut held = Vec::new();
    for _ in 0..20 {
        let mut raw = Raw::connect_to(&site.plain).await;
        let request = "POST /users HTTP/1.1\r\nHost: auth.example.org\r\nExpect: 100-continue\r\n\
                    Content-Length: 9\r\n\r\n";
        raw.send(request.as_bytes()).await;
        // By then it has been counted.
        raw.asked_for_body().await;
        held.push(raw);
    }
    let mut next = Raw::connect_to(&site.plain).await;
    next.send(b"GET / HTTP/1.1\r\nHost: auth.example.org\r\n\r\n")
        .await;
    assert_eq!(next.reply().await.status, 429);
    assert_eq!(
        site.client().get("/").send().await.status,
        200,
        "another address"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_of_the_readme_lets_no_client_choose_its_address() {
    let Some(site) = Site::start() else { return };
    for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let value = if name == "forwarded" {
            "for=198.51.100.1"
        } else {
            "198.51.100.1"
        };
        let call = site.client().log_in(EMAIL, "wrong").header(name, value);
        call.send()
            .await
            .assert_refusal(401, "wrong email or password");
    }
    let Site { server, nginx, .. } = site;
    drop(nginx);
    let (_, log) = server.stop();
    assert_eq!(log.matches("source=").count(), 3, "{log}");
    assert_eq!(log.matches("source=127.0.0.9").count(), 3, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_the_service_behind_nginx_if_its_certificate_is_trusted() {
    let Some(site) = Site::start() else { return };
    let database = Database::sqlite();
    let mails = site.folder.path().join("mails");
    let url = format!("https://{}", site.tls);
    let doctor = |certificate: Option<&Path>| {
        let mut command = Server::command();
        command
            .args(["doctor", "--public-url", &url, "--mail-dir"])
            .arg(&mails)
            .env("DATABASE_URL", &database.url)
            .env_remove("SSL_CERT_FILE");
        if let Some(certificate) = certificate {
            command.env("SSL_CERT_FILE", certificate);
        }
        let output = command.output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let certificate = site.folder.path().join("nginx/certificate");
    let trusting = doctor(Some(&certificate));
    assert!(
        trusting.contains("is answered by a bienvenue"),
        "{trusting}"
    );
    let distrusting = doctor(None);
    assert!(
        distrusting.contains("check the certificate of the proxy"),
        "{distrusting}"
    );
    site.server.stop();
    let without = doctor(Some(&certificate));
    assert!(without.contains("answered with status 502"), "{without}");
}
