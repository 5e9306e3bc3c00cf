//! A real PgBouncer before the PostgreSQL server of the tests.

use std::fs;
use std::net::{IpAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::Database;
use super::postgres::{Cluster, unprivileged};
use super::report::skipped;

/// How long it may take to listen.
const PATIENCE: Duration = Duration::from_secs(30);

/// What drivers say when they connect and it does not know by itself.
pub const KNOWN: &str = "ignore_startup_parameters = extra_float_digits";

/// A running pooler. Stops when it is dropped or this process ends, in whatever way.
pub struct PgBouncer {
    folder: TempDir,
    port: u16,
    /// Holds the certificate and its key.
    certificate: Option<TempDir>,
    /// Waits for the end of our side of its pipe, then stops the pooler.
    watchdog: Child,
}

impl PgBouncer {
    /// A pooler in this mode with these further settings, before the server that the tests share. `None` if
    /// it or PostgreSQL is not installed, which is said aloud, and under `CI=true` is an error.
    pub fn start(mode: &str, settings: &[&str]) -> Option<Self> {
        let cluster = Cluster::shared()?;
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            skipped(
                "PgBouncer before PostgreSQL",
                "install pgbouncer (Debian: pgbouncer)",
            );
            return None;
        };
        let folder = tempfile::Builder::new()
            .prefix("bienvenue-pgb-")
            .tempdir_in("/tmp");
        let folder = folder.unwrap();
        // It may run as another user, who makes the socket.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        // Free for now, on all addresses; also a part of the name of its socket.
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let (own, server) = (folder.path().display(), cluster.sockets().display());
        let configuration = format!(
            "[databases]\n* = host={server}\n[pgbouncer]\nlisten_port = {port}\n\
             unix_socket_dir = {own}\nauth_type = trust\nauth_file = {own}/users\npool_mode = {mode}\n{}\n",
            settings.join("\n")
        );
        fs::write(folder.path().join("pgbouncer.ini"), configuration).unwrap();
        fs::write(folder.path().join("users"), "\"bienvenue\" \"\"\n").unwrap();
        let mut watchdog = Command::new("sh");
        watchdog
            .args(["-c", r#""$0" -q "$1" </dev/null & cat; kill -KILL $!"#])
            .arg(program)
            .arg(folder.path().join("pgbouncer.ini"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches the tests, and through the end of the pipe the watchdog.
            .process_group(0);
        let pooler = Self {
            watchdog: unprivileged(&mut watchdog).spawn().unwrap(),
            folder,
            port,
            certificate: None,
        };
        let socket = pooler.folder.path().join(format!(".s.PGSQL.{port}"));
        let started = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(started.elapsed() < PATIENCE, "PgBouncer does not listen");
            std::thread::yield_now();
        }
        Some(pooler)
    }

    /// A pooler in session mode that wants clients to encrypt, with a certificate for this address.
    pub fn start_with_tls(address: IpAddr, settings: &[&str]) -> Option<Self> {
        let files = tempfile::tempdir().unwrap();
        fs::set_permissions(files.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed([address.to_string()]).unwrap();
        let [certificate, key] = ["certificate", "key"].map(|name| files.path().join(name));
        fs::write(&certificate, cert.pem()).unwrap();
        fs::write(&key, signing_key.serialize_pem()).unwrap();
        let tls = format!(
            "client_tls_sslmode = require\nclient_tls_cert_file = {}\nclient_tls_key_file = {}",
            certificate.display(),
            key.display()
        );
        let mut pooler = Self::start("session", &[settings, &[&tls]].concat())?;
        pooler.certificate = Some(files);
        Some(pooler)
    }

    /// The file with its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.certificate
            .as_ref()
            .unwrap()
            .path()
            .join("certificate")
    }

    /// The URL of a database of the server through this pooler, over TCP.
    pub fn far_url(&self, database: &Database, address: IpAddr) -> String {
        let url: url::Url = database.url.parse().unwrap();
        format!(
            "postgres://bienvenue@{address}:{}{}?application_name=test",
            self.port,
            url.path()
        )
    }

    /// The URL of a database of the server through this pooler.
    pub fn url(&self, database: &Database) -> String {
        let url: url::Url = database.url.parse().unwrap();
        let folder = self.folder.path().display();
        let (name, port) = (url.path(), self.port);
        format!("postgres://{name}?host={folder}&port={port}&user=bienvenue")
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // Ends its pipe first.
        let _ = self.watchdog.wait();
    }
}
