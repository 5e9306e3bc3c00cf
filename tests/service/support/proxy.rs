//! Real proxies in front of the service: nginx and Caddy.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::report::skipped;

/// How long a proxy may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running proxy, killed when it is dropped.
pub struct Proxy(Child);

impl Proxy {
    /// Starts nginx with what stands in `http {}`. It writes to this folder alone, and logs as distributions
    /// have it do unless told otherwise. Lines for IPv6 are left out where that is off. `None` where it is not
    /// installed, which is said aloud, and under `CI=true` is an error.
    pub fn nginx(folder: &Path, http: &str, address: &str) -> Option<Self> {
        let programs = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/sbin/nginx"];
        let program = programs.into_iter().find(|path| Path::new(path).exists());
        let Some(program) = program else {
            skipped("nginx in front", "install nginx (Debian: nginx-light)");
            return None;
        };
        let shown = folder.display();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|kind| format!("{kind}_temp_path {shown}/{kind};\n"));
        let configuration = format!(
            "daemon off;
             master_process off;
             pid {shown}/pid;
             error_log {shown}/error.log;
             events {{}}
             http {{
                 access_log {shown}/access.log;
                 {}
                 {}
             }}",
            temporary.concat(),
            without_ipv6_where_off(http)
        );
        fs::write(folder.join("nginx.conf"), configuration).unwrap();
        let mut command = Command::new(program);
        command.arg("-p").arg(folder);
        command.args(["-c", "nginx.conf", "-e", "error.log"]);
        Some(Self::start(command, address))
    }

    /// Starts Caddy with this Caddyfile. `None` as above.
    pub fn caddy(folder: &Path, caddyfile: &str, address: &str) -> Option<Self> {
        let program = Path::new("/usr/bin/caddy");
        if !program.exists() {
            skipped("Caddy in front", "install Caddy (Debian: caddy)");
            return None;
        }
        fs::write(folder.join("Caddyfile"), caddyfile).unwrap();
        let mut command = Command::new(program);
        command.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]);
        command.current_dir(folder).env("HOME", folder);
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
            command.env(variable, folder);
        }
        let log = fs::File::create(folder.join("caddy.log")).unwrap();
        command.stderr(log);
        Some(Self::start(command, address))
    }

    /// Starts it, and waits until it listens there.
    fn start(mut command: Command, address: &str) -> Self {
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let mut proxy = Self(child);
        let started = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            let ended = proxy.0.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "{command:?} does not listen: {ended:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        proxy
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A configuration of nginx for TLS on port 443, on this address instead, and on a free one for IPv6; and that
/// one, `None` where IPv6 is off.
pub fn nginx_at(address: &str, http: &str) -> (String, Option<SocketAddr>) {
    let mut http = http.replace("listen 443 ssl", &format!("listen {address} ssl"));
    let ipv6 = free_ipv6_address();
    if let Some(ipv6) = ipv6 {
        http = http.replace("listen [::]:443 ssl", &format!("listen {ipv6} ssl"));
    }
    (http, ipv6)
}

/// A configuration of nginx without the lines for IPv6 where that is off, as it says itself.
fn without_ipv6_where_off(http: &str) -> String {
    if free_ipv6_address().is_some() {
        return http.to_owned();
    }
    let lines = http.split_inclusive('\n');
    let lines = lines.filter(|line| !line.trim_start().starts_with("listen [::"));
    lines.collect()
}

/// An address to listen on; `None` where IPv6 is off.
fn free_ipv6_address() -> Option<SocketAddr> {
    let listener = TcpListener::bind((Ipv6Addr::LOCALHOST, 0));
    listener.ok().map(|listener| listener.local_addr().unwrap())
}

/// Addresses to listen on, of this process alone, so that nobody takes the ports meanwhile.
pub fn free_addresses<const N: usize>() -> [String; N] {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 77, high, low);
    let listeners = [0; N].map(|port| TcpListener::bind((host, port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().to_string())
}
