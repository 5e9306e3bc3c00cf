//! A client of the service, whether the service is a router in this process or a program on a socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, SET_COOKIE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use bienvenue::source::Peer;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::yield_now;
use tower::ServiceExt;

use super::openapi::DOCUMENT;

pub const FORM: &str = "application/x-www-form-urlencoded";
pub const JSON: &str = "application/json";

/// Sends requests.
#[derive(Clone)]
pub enum Client {
    /// To a router, without a network.
    Router(Router),
    /// To a program, at this URL.
    Url(HttpClient<HttpConnector, Body>, String),
    /// To a program's listener for operators, at this URL. The OpenAPI document does not have its paths.
    Operators(HttpClient<HttpConnector, Body>, String),
}

impl Client {
    pub fn of_router(router: Router) -> Self {
        Self::Router(router)
    }

    pub fn of_url(url: &str) -> Self {
        let client = HttpClient::builder(TokioExecutor::new()).build_http();
        Self::Url(client, url.to_owned())
    }

    pub fn of_operators_url(url: &str) -> Self {
        let client = HttpClient::builder(TokioExecutor::new()).build_http();
        Self::Operators(client, url.to_owned())
    }

    pub fn request(&self, method: &str, path: &str) -> Call {
        Call {
            client: self.clone(),
            method: method.parse().unwrap(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Vec::new(),
            peer: Some(Ipv4Addr::LOCALHOST.into()),
        }
    }

    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    pub fn post(&self, path: &str, form: &[(&str, &str)]) -> Call {
        self.request("POST", path).form(form)
    }

    pub fn put(&self, path: &str, form: &[(&str, &str)]) -> Call {
        self.request("PUT", path).form(form)
    }

    /// Asks to register.
    pub fn register(&self, email: &str, password: &str) -> Call {
        self.post("/users", &[("email", email), ("password", password)])
    }

    /// Asks to sign up by a token.
    pub fn ask_sign_up(&self, email: &str) -> Call {
        self.post("/users", &[("email", email)])
    }

    /// Asks to finish a sign-up.
    pub fn finish_sign_up(&self, email: &str, token: &str, password: &str) -> Call {
        let form = [
            ("email", email),
            ("sign_up_token", token),
            ("password", password),
        ];
        self.put("/users", &form)
    }

    /// Asks to log in.
    pub fn log_in(&self, email: &str, password: &str) -> Call {
        self.post("/sessions", &[("email", email), ("password", password)])
    }

    /// Asks to log out.
    pub fn log_out(&self, session_id: &str) -> Call {
        self.request("DELETE", "/sessions").session(session_id)
    }

    /// Asks who is logged in.
    pub fn profile(&self, session_id: &str) -> Call {
        self.get("/profile").session(session_id)
    }

    /// Asks for a reset token.
    pub fn ask_reset(&self, email: &str) -> Call {
        self.post("/reset_password", &[("email", email)])
    }

    /// Asks to set a new password.
    pub fn reset(&self, email: &str, token: &str, new_password: &str) -> Call {
        let form = [
            ("email", email),
            ("reset_token", token),
            ("new_password", new_password),
        ];
        self.put("/reset_password", &form)
    }

    /// Asks to change the address of the account.
    pub fn ask_address(&self, session: &str, email: &str) -> Call {
        self.post("/profile/email", &[("email", email)])
            .session(session)
    }

    /// Asks to confirm the new address.
    pub fn change_address(&self, session: &str, token: &str) -> Call {
        self.put("/profile/email", &[("email_token", token)])
            .session(session)
    }

    /// Asks to call the change of the address off.
    pub fn call_off(&self, session: &str) -> Call {
        self.request("DELETE", "/profile/email").session(session)
    }

    /// Asks to take an account back.
    pub fn undo_address(&self, email: &str, token: &str, new_password: &str) -> Call {
        let form = [
            ("email", email),
            ("undo_token", token),
            ("new_password", new_password),
        ];
        self.put("/undo_email_change", &form)
    }

    /// Registers a user, who must be new.
    pub async fn registered(&self, email: &str, password: &str) {
        let reply = self.register(email, password).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }

    /// Logs in, which must work, and returns the session id.
    pub async fn logged_in(&self, email: &str, password: &str) -> String {
        let reply = self.log_in(email, password).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.session_id().expect("a session id")
    }

    /// Asks for a reset token, which must work, and returns it.
    pub async fn reset_token(&self, email: &str) -> String {
        let reply = self.ask_reset(email).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["reset_token"].as_str().unwrap().to_owned()
    }

    /// Asks for a sign-up token, which must work, and returns it.
    pub async fn sign_up_token(&self, email: &str) -> String {
        let reply = self.ask_sign_up(email).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["sign_up_token"].as_str().unwrap().to_owned()
    }

    /// Asks for a change of the address, which must work, and returns the token.
    pub async fn email_token(&self, session: &str, email: &str) -> String {
        let reply = self.ask_address(session, email).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["email_token"].as_str().unwrap().to_owned()
    }

    /// Changes an address, which must work, and returns the session and the token that undoes it.
    pub async fn moved(&self, session: &str, email: &str) -> (String, String) {
        let token = self.email_token(session, email).await;
        let reply = self.change_address(session, &token).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let undo_token = reply.json()["undo_token"].as_str().unwrap().to_owned();
        (reply.session_id().unwrap(), undo_token)
    }

    /// Whether a session is alive.
    pub async fn is_logged_in(&self, session_id: &str) -> bool {
        let reply = self.profile(session_id).send().await;
        assert!([200, 403].contains(&reply.status.as_u16()), "{reply:?}");
        reply.status == 200
    }

    /// Whether these are the address and the password of a user.
    pub async fn can_log_in(&self, email: &str, password: &str) -> bool {
        let reply = self.log_in(email, password).send().await;
        assert!([200, 401].contains(&reply.status.as_u16()), "{reply:?}");
        reply.status == 200
    }
}

/// A request on its way.
#[derive(Clone)]
pub struct Call {
    client: Client,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    peer: Option<IpAddr>,
}

impl Call {
    /// Lets the call come from this address, to a router; to a program it comes from where it does.
    pub fn from(mut self, address: &str) -> Self {
        self.peer = Some(address.parse().unwrap());
        self
    }

    /// Lets a router not know where the call comes from.
    pub fn of_nobody(mut self) -> Self {
        self.peer = None;
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name: HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap();
        self.headers.append(name, value);
        self
    }

    pub fn body(self, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let mut call = self.header(CONTENT_TYPE.as_str(), content_type);
        call.body = body.as_ref().to_vec();
        call
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        self.body(FORM, body)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(JSON, body.to_string())
    }

    pub fn multipart(self, fields: &[(&str, &str)]) -> Self {
        let parts = fields.iter().map(|(name, text)| {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"");
            format!("--limit\r\n{head}\r\n\r\n{text}\r\n")
        });
        let body: String = parts.chain(["--limit--\r\n".to_owned()]).collect();
        self.body("multipart/form-data; boundary=limit", body)
    }

    pub fn session(self, session_id: &str) -> Self {
        self.header(COOKIE.as_str(), format!("session_id={session_id}"))
    }

    /// The reply, which must come and be as the OpenAPI document says.
    pub async fn send(self) -> Reply {
        self.try_send().await.unwrap()
    }

    /// The reply, or why there is none or not all of it.
    pub async fn try_send(self) -> Result<Reply, String> {
        let url = match &self.client {
            Client::Router(_) => self.path.clone(),
            Client::Url(_, url) | Client::Operators(_, url) => url.clone() + &self.path,
        };
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url.parse().unwrap();
        *request.headers_mut() = self.headers;
        if let Some(peer) = self.peer {
            let peer = ConnectInfo(Peer::Machine(peer));
            request.extensions_mut().insert(peer);
        }
        let is_described = !matches!(self.client, Client::Operators(..));
        let (head, body) = match self.client {
            Client::Router(router) => {
                // As the other kind does by itself.
                let headers = request.headers_mut();
                if !headers.contains_key(HOST) {
                    headers.insert(HOST, HeaderValue::from_static("localhost"));
                }
                // As reading from a socket does: an answer that needs no waiting, asked for in a loop, would
                // otherwise leave the threads of the runtime to nobody else.
                yield_now().await;
                let (head, body) = router.oneshot(request).await.unwrap().into_parts();
                (
                    head,
                    body.collect().await.map_err(|error| error.to_string()),
                )
            }
            Client::Url(client, _) | Client::Operators(client, _) => {
                let response = client.request(request).await;
                let (head, body) = response.map_err(|error| format!("{error:?}"))?.into_parts();
                (
                    head,
                    body.collect().await.map_err(|error| error.to_string()),
                )
            }
        };
        let reply = Reply {
            status: head.status,
            headers: head.headers,
            body: body?.to_bytes().into(),
        };
        if is_described {
            DOCUMENT.assert_describes(&self.method, &self.path, &self.body, &reply);
        }
        Ok(reply)
    }
}

/// What came back.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status, headers, ..
        } = self;
        let body = String::from_utf8_lossy(&self.body);
        write!(formatter, "{status} {headers:?}\n{body}")
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().unwrap())
    }

    /// The session id that the reply sets; `None` if it sets none.
    pub fn session_id(&self) -> Option<String> {
        let cookie = self.header(SET_COOKIE.as_str())?;
        let value = cookie.strip_prefix("session_id=")?.split(';').next()?;
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// That this is the status and exactly this the JSON body.
    #[track_caller]
    pub fn assert_is(&self, status: u16, body: &Value) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some(JSON), "{self:?}");
        assert_eq!(self.json(), *body, "{self:?}");
        assert!(self.body.ends_with(b"}\n"), "{self:?}");
        if let Some(length) = self.header("content-length") {
            assert_eq!(length, self.body.len().to_string(), "{self:?}");
        }
    }

    /// That this is a refusal with this status and these words and the headers that go with it.
    #[track_caller]
    pub fn assert_refusal(&self, status: u16, message: &str) {
        self.assert_is(status, &json!({ "message": message }));
        for (name, goes_with) in [("www-authenticate", 401), ("allow", 405)] {
            assert_eq!(self.header(name).is_some(), status == goes_with, "{self:?}");
        }
        let says_when = [429, 503].contains(&status);
        assert_eq!(self.header("retry-after").is_some(), says_when, "{self:?}");
        assert_eq!(self.header("set-cookie"), None, "{self:?}");
    }
}
