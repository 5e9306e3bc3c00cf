//! A browser, and the proxy between it, the service and its apps.

use std::collections::BTreeMap;

use super::*;

/// A browser, with its cookies of each host.
pub struct Browser {
    client: Client,
    way: Way,
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a browser has ended.
#[derive(Debug)]
pub enum End {
    /// At a page of the app with this URL, as this user.
    App(String, Reply),
    /// At a page of the service with this URL.
    Service(String, Reply),
}

impl End {
    #[track_caller]
    pub fn assert_app(&self, url: &str) {
        match self {
            Self::App(end, reply) => {
                assert_eq!(end, url);
                assert_passes(reply, EMAIL, "users");
            }
            end @ Self::Service(..) => panic!("{end:?}"),
        }
    }

    #[track_caller]
    pub fn service(self) -> (String, Reply) {
        match self {
            Self::Service(url, reply) => (url, reply),
            end @ Self::App(..) => panic!("{end:?}"),
        }
    }
}

/// The host of a URL and the rest.
pub fn taken_apart(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("https://").unwrap();
    rest.split_at(rest.find('/').unwrap_or(rest.len()))
}

impl Browser {
    pub fn new(client: &Client, way: Way) -> Self {
        Self {
            client: client.clone(),
            way,
            cookies: BTreeMap::new(),
        }
    }

    /// A browser that is logged in at the service.
    pub fn with_session(client: &Client, way: Way, session: &str) -> Self {
        let mut browser = Self::new(client, way);
        browser.set(OWN, "session_id", session);
        browser
    }

    pub fn set(&mut self, host: &str, name: &str, value: &str) {
        let of_host = self.cookies.entry(host.to_owned()).or_default();
        of_host.insert(name.to_owned(), value.to_owned());
    }

    pub fn cookie(&self, host: &str, name: &str) -> Option<String> {
        self.cookies.get(host)?.get(name).cloned()
    }

    /// The session at an app.
    pub fn app_session(&self, host: &str) -> String {
        self.cookie(host, "bienvenue_app")
            .expect("a session at the app")
    }

    fn with_cookies(&self, call: Call, host: &str) -> Call {
        let cookies = self.cookies.get(host).into_iter().flatten();
        let cookies: Vec<String> = cookies
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        if cookies.is_empty() {
            call
        } else {
            call.header("cookie", cookies.join("; "))
        }
    }

    /// Sends a request to the service, on this host, and keeps the cookies that it sets.
    pub async fn send(&mut self, call: Call, host: &str) -> Reply {
        let call = self.with_cookies(call.header("host", host), host);
        let reply = call.header("accept", BROWSER).send().await;
        for cookie in reply.headers.get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.set(host, name, rest.split(';').next().unwrap());
        }
        reply
    }

    /// Goes to this URL without following where it leads.
    pub async fn get(&mut self, url: &str) -> Reply {
        let (host, path) = taken_apart(url);
        self.send(self.client.get(path), host).await
    }

    /// Asks, as the proxy does, whether a request for this URL passes.
    pub async fn check(&self, url: &str) -> Reply {
        let (host, path) = taken_apart(url);
        let call = self.way.navigate(&self.client, "GET", host, path);
        self.with_cookies(call, host).send().await
    }

    /// Goes to this URL, and on to wherever that leads.
    pub async fn visit(&mut self, url: &str) -> End {
        let mut url = url.to_owned();
        for _ in 0..10 {
            let (host, path) = taken_apart(&url);
            let is_service = host == OWN || path.starts_with("/_bienvenue/");
            let reply = if is_service {
                self.get(&url).await
            } else {
                self.check(&url).await
            };
            match reply.header("location") {
                Some(next) if next.starts_with('/') => url = format!("https://{host}{next}"),
                Some(next) => next.clone_into(&mut url),
                None if reply.status == 200 && !is_service => return End::App(url, reply),
                None if is_service => return End::Service(url, reply),
                None => panic!("{reply:?}"),
            }
        }
        panic!("in circles at {url}");
    }

    /// Goes to an app by this URL, which it is handed over to without a page.
    pub async fn enter(&mut self, url: &str) {
        self.visit(url).await.assert_app(url);
    }

    /// Goes to an app up to the ticket for it, and returns the URL that takes it.
    pub async fn ticket(&mut self, host: &str) -> String {
        let login = self
            .get(&format!("https://{host}/_bienvenue/login?next=%2Fp"))
            .await;
        let authorize = self.get(login.header("location").unwrap()).await;
        authorize.header("location").unwrap().to_owned()
    }
}
