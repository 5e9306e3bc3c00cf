//! The part of a service manager: it opens the socket, hands it over at each start, and hears how the
//! service is.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::server::Server;

/// The program with this as its file descriptor 3, and as all others up to the number of sockets that it
/// is told of.
pub fn hand_over(socket: impl Into<OwnedFd>, number: usize) -> Command {
    let copies: Vec<String> = (3..3 + number)
        .map(|descriptor| format!("{descriptor}<&0"))
        .collect();
    let copies = copies.join(" ");
    let script = format!(r#"exec {copies} </dev/null; LISTEN_PID=$$ exec "$0" "$@""#);
    let mut command = Server::command_by("sh");
    command
        .args(["-c", &script, env!("CARGO_BIN_EXE_bienvenue")])
        .args(["--bcrypt-cost", "4"])
        .env("LISTEN_FDS", number.to_string())
        .stdin(Stdio::from(socket.into()));
    command
}

/// Hears what the service says of itself.
pub struct Ear(UnixDatagram);

impl Ear {
    /// At this path, which is given to the service as `NOTIFY_SOCKET`.
    pub fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        let patience = Some(Duration::from_secs(30));
        socket.set_read_timeout(patience).unwrap();
        Self(socket)
    }

    /// What is said next, which is waited for.
    pub fn hear(&self) -> String {
        let mut said = [0; 1024];
        let length = self.0.recv(&mut said).expect("the service says something");
        String::from_utf8(said[..length].to_vec()).unwrap()
    }

    /// Whether nothing was said that has not been heard.
    pub fn said_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0]).is_err()
    }
}
