//! Other services that do the same, started from `benches/peers`.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use ureq::http::header::COOKIE;

use super::clients::{self, PASSWORD};
use super::services;

/// How many are registered and logged in at a peer: more than any of them would keep at hand.
const USERS: usize = 200;

/// A running peer with users who are logged in.
pub struct Peer {
    pub name: String,
    pub url: String,
    pub profile: &'static str,
    pub cookies: Vec<String>,
    process: Child,
}

/// How one talks to a peer.
struct Manner {
    folder: &'static str,
    name: &'static str,
    register: &'static str,
    /// Whether it registers by JSON; all but that is forms.
    registers_by_json: bool,
    log_in: &'static str,
    logs_in_by_json: bool,
    /// What it calls the address at the login.
    login_name: &'static str,
    profile: &'static str,
}

/// The manner of bienvenue itself, which two of them share.
const CONTRACT: Manner = Manner {
    folder: "",
    name: "",
    register: "/users",
    registers_by_json: false,
    log_in: "/sessions",
    logs_in_by_json: false,
    login_name: "email",
    profile: "/profile",
};

const PEERS: [Manner; 4] = [
    Manner {
        folder: "axum_login",
        name: "axum-login, tower-sessions, SQLite",
        ..CONTRACT
    },
    Manner {
        folder: "flask",
        name: "Flask, gunicorn -w 2, SQLite",
        ..CONTRACT
    },
    Manner {
        folder: "fastapi_users",
        name: "FastAPI Users, uvicorn --workers 2, SQLite",
        register: "/auth/register",
        registers_by_json: true,
        log_in: "/auth/cookie/login",
        logs_in_by_json: false,
        login_name: "username",
        profile: "/users/me",
    },
    Manner {
        folder: "better_auth",
        name: "Better Auth, node × 2, SQLite",
        register: "/api/auth/sign-up/email",
        registers_by_json: true,
        log_in: "/api/auth/sign-in/email",
        logs_in_by_json: true,
        login_name: "email",
        profile: "/api/auth/get-session",
    },
];

/// Starts all peers that can be installed.
pub fn start_all() -> Vec<Peer> {
    PEERS.iter().filter_map(start).collect()
}

fn start(manner: &Manner) -> Option<Peer> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // Kept, so that it is installed only once.
    let state = root.join("target/peers").join(manner.folder);
    std::fs::create_dir_all(&state).expect("a folder");
    let port = services::free_port();
    let mut process = Command::new(root.join("benches/peers").join(manner.folder).join("start"))
        .arg(port.to_string())
        .arg(&state)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the peer's script");
    let url = format!("http://127.0.0.1:{port}");
    // While it is being installed, nothing answers.
    loop {
        if process.try_wait().is_ok_and(|ended| ended.is_some()) {
            println!("{} cannot be started here", manner.name);
            return None;
        }
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    services::await_answer(&url);
    let agent = clients::agent();
    let cookies = (0..USERS).map(|number| log_one_in(&agent, manner, &url, number));
    let cookies: Vec<String> = cookies.collect();
    assert_knows(&agent, manner, &url, &cookies[0], &email_of(0));
    Some(Peer {
        name: manner.name.to_owned(),
        url,
        profile: manner.profile,
        cookies,
        process,
    })
}

fn email_of(number: usize) -> String {
    format!("user{number}@example.org")
}

/// That a peer says whose session this is. Its status is not enough: Better Auth tells strangers
/// nothing, and with 200.
fn assert_knows(agent: &ureq::Agent, manner: &Manner, url: &str, cookie: &str, email: &str) {
    let request = agent.get(format!("{url}{}", manner.profile));
    let mut response = request.header(COOKIE, cookie).call().expect("an answer");
    let body = response.body_mut().read_to_string().expect("a body");
    assert!(body.contains(email), "{}: {body}", manner.name);
}

/// Registers a user, logs them in, and returns the cookie.
fn log_one_in(agent: &ureq::Agent, manner: &Manner, url: &str, number: usize) -> String {
    let email = email_of(number);
    let send = |path: &str, by_json: bool, login_name: &str| {
        let url = format!("{url}{path}");
        let (status, cookie) = if by_json {
            let body = json!({ login_name: email, "password": PASSWORD, "name": "Bob" });
            clients::post(agent, &url, "application/json", &body.to_string())
        } else {
            let body = format!("{login_name}={email}&password={PASSWORD}");
            clients::post(agent, &url, "application/x-www-form-urlencoded", &body)
        };
        assert!((200..300).contains(&status), "{}: {status}", manner.name);
        cookie
    };
    send(manner.register, manner.registers_by_json, "email");
    send(manner.log_in, manner.logs_in_by_json, manner.login_name)
}

impl Peer {
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // A signal that it can pass on to its workers.
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").args(["-s", "TERM", &pid]).status();
        let _ = self.process.wait();
    }
}
