//! The service as a program of its own, on a real socket.

use std::io::{BufRead, BufReader};
use std::ops::Deref;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::client::Client;

/// How long a program may take to start or to end before the test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running server, killed when it is dropped. Is a [`Client`] of itself.
pub struct Server {
    pub url: String,
    /// Where it answers operators, if it does.
    operations: Option<String>,
    process: Child,
    log: Option<JoinHandle<String>>,
    ended: Receiver<()>,
    client: Client,
}

impl Server {
    /// Starts the program on a free port, at the lowest cost, and waits until it listens.
    pub fn start(database_url: &str) -> Self {
        Self::start_with(database_url, &["--bcrypt-cost", "4"])
    }

    /// The same with other options.
    pub fn start_with(database_url: &str, options: &[&str]) -> Self {
        let mut command = Self::command();
        command
            .args(["--listen", "127.0.0.1:0", "--database-url", database_url])
            .args(options);
        Self::spawn(command)
    }

    /// The program, in an environment without settings for it, and with an empty configuration file in
    /// the place of the machine's.
    pub fn command() -> Command {
        Self::command_by(env!("CARGO_BIN_EXE_bienvenue"))
    }

    /// Another program that starts it, in such an environment.
    pub fn command_by(program: &str) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars() {
            if name.starts_with("BIENVENUE_") || name.starts_with("DATABASE_URL") {
                command.env_remove(name);
            }
        }
        command.env_remove("CREDENTIALS_DIRECTORY");
        command.env("BIENVENUE_CONFIG", "/dev/null");
        command
    }

    /// Starts a command that serves and logs to standard error.
    pub fn spawn(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (heard, url) = channel();
        let (ending, ended) = channel();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            let mut operations = None;
            let url_after = |line: &str, words: &str| {
                let (_, rest) = line.split_once(words)?;
                let end = rest.find([' ', '"']).unwrap_or(rest.len());
                Some(rest[..end].to_owned())
            };
            for line in stderr.lines().map_while(Result::ok) {
                operations = operations.or_else(|| url_after(&line, "and /openapi.json on "));
                if let Some(url) = url_after(&line, "listening on ") {
                    let _ = heard.send((url, operations.clone()));
                }
                log += &(line + "\n");
            }
            drop(ending);
            log
        });
        let Ok((url, operations)) = url.recv_timeout(PATIENCE) else {
            let _ = process.kill();
            panic!("the server did not start: {}", log.join().unwrap());
        };
        Self {
            client: Client::of_url(&url),
            url,
            operations,
            process,
            log: Some(log),
            ended,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> &str {
        self.url.strip_prefix("http://").unwrap()
    }

    /// A client of the listener for operators, which the options must have asked for.
    pub fn operations(&self) -> Client {
        Client::of_operators_url(self.operations.as_ref().expect("a listener for operators"))
    }

    /// Where that listener is.
    pub fn operations_address(&self) -> &str {
        let url = self.operations.as_ref().expect("a listener for operators");
        url.strip_prefix("http://").unwrap()
    }

    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a signal, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end; returns how it ended and what it logged.
    pub fn wait(mut self) -> (ExitStatus, String) {
        // The log ends with the process.
        let _ = self.ended.recv_timeout(PATIENCE);
        let _ = self.process.kill();
        let status = self.process.wait().unwrap();
        (status, self.log.take().unwrap().join().unwrap())
    }

    /// Tells it to stop and waits for its end.
    pub fn stop(self) -> (ExitStatus, String) {
        self.signal("TERM");
        self.wait()
    }

    /// Kills it on the spot, as a crash would.
    pub fn kill(self) {
        self.signal("KILL");
        self.wait();
    }
}

impl Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
