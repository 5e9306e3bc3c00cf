//! People in a real browser, without scripts.

use super::*;
use crate::browser::{Browser, PERSON, Setup};

/// What the app that is open got.
async fn got(browser: &Browser) -> Value {
    serde_json::from_str(&browser.text_of("pre").await).unwrap()
}

/// What a script of the open page gets from the service: the status and the body, or the name of the error.
async fn fetch(browser: &Browser, method: &str, path: &str) -> Value {
    let user = json!({ "email": EMAIL, "password": PASSWORD }).to_string();
    let body = if method == "POST" {
        json!(user)
    } else {
        Value::Null
    };
    let options = json!({ "method": method, "body": body, "credentials": "include" });
    let script = format!(
        "const done = arguments[arguments.length - 1];
         const options = {{ ...{options}, headers: {{ 'Content-Type': 'application/json' }} }};
         fetch('{SERVICE}{path}', options).then(
             async reply => done([reply.status, await reply.json()]),
             error => done(error.name),
         );"
    );
    browser.script_that_calls_back(&script).await
}

behind_each_proxy! {
    async fn a_person_ends_at_what_they_wanted_and_is_known_to_every_app(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        let Some(browser) = Browser::start_behind(PERSON, &stand.address).await else { return };
        stand.server.registered(EMAIL, PASSWORD).await;
        let wanted = "/p?a=1&b=%2F";
        browser.open(&format!("{WIKI}{wanted}")).await;
        assert!(browser.url().await.starts_with(&format!("{SERVICE}/sessions?next=")));
        browser.fill("#email", EMAIL).await;
        browser.fill("#password", "wrong").await;
        browser.click("button").await;
        browser.fill("#password", PASSWORD).await;
        browser.click("button").await;
        assert_eq!(browser.url().await, format!("{WIKI}{wanted}"));
        let request = got(&browser).await;
        assert_eq!(request["uri"], wanted);
        assert_eq!(request["headers"]["remote-user"], json!([EMAIL]));

        // No page of the service is shown on the way to another app.
        browser.open(&format!("{NOTES}{wanted}")).await;
        assert_eq!(browser.url().await, format!("{NOTES}{wanted}"));
        assert_eq!(got(&browser).await["headers"]["remote-user"], json!([EMAIL]));

        browser.open(&format!("{SERVICE}/profile")).await;
        browser.click("form[action='/sessions'] button").await;
        let reached = stand.echo.reached();
        for url in [WIKI, NOTES] {
            browser.open(url).await;
            assert!(browser.url().await.starts_with(SERVICE), "{}", browser.url().await);
        }
        assert_eq!(stand.echo.reached(), reached);
        browser.close().await;
    }

    async fn on_this_machine_no_tls_is_needed(proxy: Kind) {
        let Some(browser) = Browser::start(PERSON).await else { return };
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let port = address.rsplit_once(':').unwrap().1;
        let (service, wiki) = (format!("http://localhost:{port}"), format!("http://wiki.localhost:{port}"));
        let app = wiki["http://".len()..].to_owned();
        let folder = tempfile::tempdir().unwrap();
        let mails = folder.path().join("mails");
        let options = ["--public-url", &service, "--sign-up", "unverified", "--trusted-proxy", "127.0.0.1",
            "--mail-dir", mails.to_str().unwrap(), "--app", &app];
        let database = Database::sqlite();
        let server = Server::start_with(&database.url, &[&options[..], &["--bcrypt-cost", "4"]].concat());
        let echo = Echo::start().await;
        let options = [&options[..], &["--listen", server.address()]].concat();
        let printed = printed(proxy, &options).replace("127.0.0.1:8080", &echo.address);
        let logs = folder.path().to_str().unwrap();
        let printed = printed.replace("/var/log/nginx", logs);
        let started = match proxy {
            Kind::Nginx => Proxy::nginx(folder.path(), &printed, &address),
            Kind::Caddy => Proxy::caddy(folder.path(), &format!("{{\nadmin off\n}}\n{printed}"), &address),
        };
        let Some(_running) = started else { return };
        server.registered(EMAIL, PASSWORD).await;
        browser.open(&format!("{wiki}/p?a=1")).await;
        assert!(browser.url().await.starts_with(&format!("{service}/sessions?next=")));
        browser.fill("#email", EMAIL).await;
        browser.fill("#password", PASSWORD).await;
        browser.click("button").await;
        assert_eq!(browser.url().await, format!("{wiki}/p?a=1"));
        assert_eq!(got(&browser).await["headers"]["remote-user"], json!([EMAIL]));
        browser.close().await;
    }

    async fn an_app_of_scripts_shares_the_session_of_its_site_and_has_one_apart_for_another(proxy: Kind) {
        let origins = ["--allow-origin", "https://app.example.org,https://app.example.com"];
        let Some(stand) = Stand::start_with(proxy, &[], &origins, Database::sqlite()).await else { return };
        let scripts = Setup { javascript: true, ..PERSON };
        let Some(browser) = Browser::start_behind(scripts, &stand.address).await else { return };
        stand.server.registered(EMAIL, PASSWORD).await;
        let profile = async || fetch(&browser, "GET", "/profile").await;
        let (logged_in, logged_out) = (json!([200, { "email": EMAIL }]), json!([403, { "message": "not logged in" }]));

        browser.open("https://app.example.org").await;
        assert_eq!(fetch(&browser, "POST", "/sessions").await[0], 200);
        assert_eq!(profile().await, logged_in);
        browser.open("https://app.example.com").await;
        assert_eq!(profile().await, logged_out);
        assert_eq!(fetch(&browser, "POST", "/sessions").await[0], 200);
        assert_eq!(profile().await, logged_in);
        // Each has its own: the page of the service that of its site.
        browser.open(&format!("{SERVICE}/profile")).await;
        assert!(browser.text().await.contains(EMAIL));
        browser.click("form[action='/sessions'] button").await;
        browser.open("https://app.example.org").await;
        assert_eq!(profile().await, logged_out);
        browser.open("https://app.example.com").await;
        assert_eq!(profile().await, logged_in);

        browser.open("https://evil.example").await;
        for (method, path) in [("GET", "/profile"), ("POST", "/sessions"), ("DELETE", "/sessions"), ("DELETE", "/users")] {
            assert_eq!(fetch(&browser, method, path).await, "TypeError", "{method} {path}");
        }
        browser.open("https://app.example.com").await;
        let out = json!([200, { "message": "logged out" }]);
        assert_eq!(fetch(&browser, "DELETE", "/sessions").await, out);
        assert_eq!(profile().await, logged_out);
        browser.close().await;
    }
}
