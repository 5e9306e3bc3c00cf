//! The end-to-end test of the service: a user's whole story, told by a client that knows nothing but
//! the HTTP contract. Any service that keeps the contract passes.
//!
//! Needs a service that has not met the user before: run it against an empty database, or give a new
//! `--email`.

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use ureq::http::header::{COOKIE, LOCATION, SET_COOKIE};
use ureq::http::{HeaderMap, Response, StatusCode};
use ureq::{Agent, Body};

const PASSWORD: &str = "b4l0u";
const NEW_PASSWORD: &str = "t4rt1fl3tt3";

/// Plays a user's whole story against a user authentication service: register, log in with a wrong
/// password, look at the profile, log in, log out, reset the password, log in with the new one.
///
/// Prints a line a step and exits with 0 only if every step went as the contract says. The service
/// must not know the user yet: run it on an empty database, or give another --email.
#[derive(Parser)]
#[command(name = "bienvenue-e2e", version)]
struct Arguments {
    /// Where the service is
    #[arg(long, default_value = "http://127.0.0.1:5000", value_parser = parse_url)]
    url: String,
    /// Who the story is about
    #[arg(long, default_value = "guillaume@holberton.io")]
    email: String,
}

fn parse_url(text: &str) -> Result<String, &'static str> {
    let (scheme, host) = text.split_once("://").unwrap_or_default();
    let is_known = ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    if is_known && !host.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("a URL begins with http:// or https://, such as http://127.0.0.1:5000")
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let client = Client::new(&arguments.url);
    // As the service is to store and answer it.
    let email = arguments.email.trim().to_ascii_lowercase();
    match play(&client, &email) {
        Ok(()) => {
            println!("all steps passed");
            ExitCode::SUCCESS
        }
        Err(Stopped) => ExitCode::FAILURE,
    }
}

/// Said of a story that broke off, after the reason was printed.
struct Stopped;

fn play(client: &Client, email: &str) -> Result<(), Stopped> {
    step("register_user", || client.register_user(email, PASSWORD))?;
    step("log_in_wrong_password", || {
        client.log_in_wrong_password(email, NEW_PASSWORD)
    })?;
    step("profile_unlogged", || client.profile_unlogged())?;
    let session_id = step("log_in", || client.log_in(email, PASSWORD))?;
    step("profile_logged", || {
        client.profile_logged(&session_id, email)
    })?;
    step("log_out", || client.log_out(&session_id))?;
    let reset_token = step("reset_password_token", || {
        client.reset_password_token(email)
    })?;
    step("update_password", || {
        client.update_password(email, &reset_token, NEW_PASSWORD)
    })?;
    step("log_in (new password)", || {
        client.log_in(email, NEW_PASSWORD)
    })?;
    Ok(())
}

/// Runs one step and prints how it went and how long it took.
fn step<T>(name: &str, run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Stopped> {
    let started = Instant::now();
    let outcome = run();
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    match outcome {
        Ok(value) => {
            println!("ok      {name:<24}{milliseconds:>8.1} ms");
            Ok(value)
        }
        Err(failure) => {
            println!("FAILED  {name:<24}{milliseconds:>8.1} ms");
            println!("{failure}");
            Err(Stopped)
        }
    }
}

/// What a step expected, and what came instead.
#[derive(Debug)]
struct Failure {
    expected: String,
    came: String,
    /// What to do about it, if the reason is known.
    hint: Option<&'static str>,
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "        expected: {}", self.expected)?;
        write!(formatter, "        came:     {}", self.came)?;
        match self.hint {
            Some(hint) => write!(formatter, "\n        hint:     {hint}"),
            None => Ok(()),
        }
    }
}

/// The answer to a request.
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Reply {
    fn is_json(&self, expected: &Value) -> bool {
        serde_json::from_str::<Value>(&self.body).is_ok_and(|body| body == *expected)
    }

    fn expect(self, status: u16) -> Result<Self, Failure> {
        if self.status == status {
            Ok(self)
        } else {
            Err(self.failure(&format!("status {status}")))
        }
    }

    fn expect_json(self, status: u16, body: &Value) -> Result<Self, Failure> {
        if self.status == status && self.is_json(body) {
            Ok(self)
        } else {
            Err(self.failure(&format!("status {status}, body {body}")))
        }
    }

    /// The value of a cookie that this reply sets; `None` if it does not.
    fn cookie(&self, name: &str) -> Option<String> {
        self.headers.get_all(SET_COOKIE).iter().find_map(|header| {
            let pair = header.to_str().ok()?.split(';').next()?;
            let (this, value) = pair.split_once('=')?;
            (this.trim() == name && !value.is_empty()).then(|| value.to_owned())
        })
    }

    fn failure(&self, expected: &str) -> Failure {
        Failure {
            expected: expected.to_owned(),
            came: format!("status {}, body {}", self.status.as_u16(), self.body.trim()),
            hint: None,
        }
    }
}

/// Talks to the service.
struct Client {
    agent: Agent,
    url: String,
}

impl Client {
    fn new(url: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self {
            agent: config.into(),
            url: url.trim_end_matches('/').to_owned(),
        }
    }

    fn register_user(&self, email: &str, password: &str) -> Result<(), Failure> {
        let form = [("email", email), ("password", password)];
        let created = json!({ "email": email, "message": "user created" });
        let taken = json!({ "message": "email already registered" });
        let reply = self.post("/users", &form)?;
        let is_taken = reply.status == StatusCode::BAD_REQUEST && reply.is_json(&taken);
        reply
            .expect_json(200, &created)
            .map_err(|failure| Failure {
                hint: is_taken.then_some("the service knows this user: give another --email"),
                ..failure
            })?;
        self.post("/users", &form)?.expect_json(400, &taken)?;
        Ok(())
    }

    fn log_in_wrong_password(&self, email: &str, password: &str) -> Result<(), Failure> {
        let form = [("email", email), ("password", password)];
        self.post("/sessions", &form)?.expect(401)?;
        Ok(())
    }

    fn profile_unlogged(&self) -> Result<(), Failure> {
        self.profile(None)?.expect(403)?;
        Ok(())
    }

    fn log_in(&self, email: &str, password: &str) -> Result<String, Failure> {
        let form = [("email", email), ("password", password)];
        let logged_in = json!({ "email": email, "message": "logged in" });
        let reply = self
            .post("/sessions", &form)?
            .expect_json(200, &logged_in)?;
        reply
            .cookie("session_id")
            .ok_or_else(|| reply.failure("a cookie session_id"))
    }

    fn profile_logged(&self, session_id: &str, email: &str) -> Result<(), Failure> {
        self.profile(Some(session_id))?
            .expect_json(200, &json!({ "email": email }))?;
        Ok(())
    }

    fn profile(&self, session_id: Option<&str>) -> Result<Reply, Failure> {
        let mut request = self.agent.get(format!("{}/profile", self.url));
        if let Some(session_id) = session_id {
            request = request.header(COOKIE, format!("session_id={session_id}"));
        }
        self.received("GET /profile", request.call())
    }

    /// Logs out, follows the redirect, as browsers and most HTTP libraries do, and looks whether the
    /// session has ended.
    fn log_out(&self, session_id: &str) -> Result<(), Failure> {
        let request = self.agent.delete(format!("{}/sessions", self.url));
        let request = request.header(COOKIE, format!("session_id={session_id}"));
        let reply = self.received("DELETE /sessions", request.call())?;
        let location = reply.headers.get(LOCATION).and_then(|to| to.to_str().ok());
        let Some(location) = location.filter(|_| reply.status == StatusCode::FOUND) else {
            return Err(reply.failure("status 302 to /"));
        };
        let url = if location.starts_with('/') {
            format!("{}{location}", self.url)
        } else {
            location.to_owned()
        };
        self.received("GET /", self.agent.get(url).call())?
            .expect_json(200, &json!({ "message": "Bienvenue" }))?;
        self.profile(Some(session_id))?.expect(403)?;
        Ok(())
    }

    fn reset_password_token(&self, email: &str) -> Result<String, Failure> {
        let reply = self
            .post("/reset_password", &[("email", email)])?
            .expect(200)?;
        let body: Value = serde_json::from_str(&reply.body).unwrap_or_default();
        let token = body["reset_token"].as_str().unwrap_or_default();
        if token.is_empty() {
            return Err(reply.failure("a reset_token"));
        }
        let token = token.to_owned();
        reply.expect_json(200, &json!({ "email": email, "reset_token": token }))?;
        Ok(token)
    }

    fn update_password(
        &self,
        email: &str,
        reset_token: &str,
        new_password: &str,
    ) -> Result<(), Failure> {
        let form = [
            ("email", email),
            ("reset_token", reset_token),
            ("new_password", new_password),
        ];
        let request = self.agent.put(format!("{}/reset_password", self.url));
        let updated = json!({ "email": email, "message": "Password updated" });
        self.received("PUT /reset_password", request.send_form(form))?
            .expect_json(200, &updated)?;
        Ok(())
    }

    fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Reply, Failure> {
        let request = self.agent.post(format!("{}{path}", self.url));
        self.received(
            &format!("POST {path}"),
            request.send_form(form.iter().copied()),
        )
    }

    fn received(
        &self,
        what: &str,
        response: Result<Response<Body>, ureq::Error>,
    ) -> Result<Reply, Failure> {
        let failed = |error: ureq::Error| Failure {
            expected: format!("an answer to {what} at {}", self.url),
            came: error.to_string(),
            hint: None,
        };
        let mut response = response.map_err(failed)?;
        let body = response.body_mut().read_to_string().map_err(failed)?;
        Ok(Reply {
            status: response.status(),
            headers: response.headers().clone(),
            body,
        })
    }
}
