//! A throw-away PostgreSQL server, from the installed server programs, on a socket of its own.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use bienvenue::db::Db;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::report::skipped;

/// The user that the server runs as if the tests run as root, which PostgreSQL refuses to: nobody.
const UNPRIVILEGED: u32 = 65534;

/// Where files are on a disk. The folder for temporary files may be in memory, where a durable commit
/// costs nothing.
pub const ON_DISK: &str = "/var/tmp";

/// How many connections a server lets in at once.
pub const MAX_CONNECTIONS: usize = 300;

/// Short, since the path of a socket must be.
const SOCKETS: &str = "/tmp";

/// A running server. Stops when it is dropped or this process ends, in whatever way.
pub struct Cluster {
    programs: PathBuf,
    /// Holds the socket and the log.
    folder: TempDir,
    data: TempDir,
    databases: AtomicU32,
    /// The name of the database with the tables of today that others are copies of.
    with_tables: OnceCell<String>,
    fsync: &'static str,
    /// Waits for the end of our side of its pipe, then stops the server.
    watchdog: Child,
}

impl Cluster {
    /// The server that all tests of this process share, each in a database of its own. `None` if
    /// PostgreSQL is not installed, which is said aloud, and under `CI=true` is an error.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cluster>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server of one's own, to be stopped and started. `None` as for [`Cluster::shared`].
    pub fn start() -> Option<Self> {
        // Tests kill our processes, not this server, so it need not wait for the disk.
        Self::start_with("off", SOCKETS)
    }

    /// A server of one's own that waits for the disk at every commit.
    pub fn start_durable() -> Option<Self> {
        Self::start_with("on", ON_DISK)
    }

    fn start_with(fsync: &'static str, place_of_data: &str) -> Option<Self> {
        let Some(programs) = find_programs() else {
            skipped(
                "everything on PostgreSQL",
                "install its server programs (Debian: postgresql)",
            );
            return None;
        };
        let [folder, data] = [SOCKETS, place_of_data].map(|place| {
            let mut folder = tempfile::Builder::new();
            let folder = folder.prefix("bienvenue-pg-").tempdir_in(place).unwrap();
            if is_root() {
                chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
            }
            folder
        });
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut watchdog = Command::new("sh");
        watchdog
            .args([
                "-c",
                r#"cat; "$0" -D "$1" -m immediate stop; rm -rf "$1" "$2""#,
            ])
            .arg(programs.join("pg_ctl"))
            .arg(data.path())
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C reaches the tests, and through the end of the pipe the watchdog.
            .process_group(0);
        let cluster = Self {
            databases: AtomicU32::new(0),
            with_tables: OnceCell::new(),
            fsync,
            watchdog: unprivileged(&mut watchdog).spawn().unwrap(),
            programs,
            folder,
            data,
        };
        cluster.run(
            "initdb",
            &[
                "--no-sync",
                "-A",
                "trust",
                "-U",
                "bienvenue",
                "-E",
                "UTF8",
                "--locale=C",
            ],
        );
        cluster.up();
        Some(cluster)
    }

    /// Starts the server and waits until it answers.
    pub fn up(&self) {
        // Without autovacuum, which would look into hundreds of databases again and again.
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={} -c max_connections={MAX_CONNECTIONS} \
             -c fsync={} -c autovacuum=off",
            self.folder.path().display(),
            self.fsync
        );
        let log = self.folder.path().join("log").display().to_string();
        self.run("pg_ctl", &["-w", "-s", "-l", &log, "-o", &options, "start"]);
    }

    /// Stops the server as a crash would.
    pub fn down(&self) {
        self.run("pg_ctl", &["-w", "-s", "-m", "immediate", "stop"]);
    }

    /// Stops the server's processes in their tracks: connections stay open, and nothing answers.
    pub fn pause(&self) {
        self.signal_all("STOP");
    }

    /// Lets the server's processes go on.
    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, signal: &str) {
        let pid_file = self.data.path().join("postmaster.pid");
        let pid_file = fs::read_to_string(pid_file).unwrap();
        let postmaster = pid_file.lines().next().unwrap();
        // Their parent first, so that no child is born in between.
        for command in [
            ["kill", postmaster].as_slice(),
            &["pkill", "-P", postmaster],
        ] {
            let (program, arguments) = command.split_first().unwrap();
            Command::new(program)
                .arg(format!("-{signal}"))
                .args(arguments)
                .status()
                .unwrap();
        }
    }

    /// The URL of a new, empty database.
    pub async fn create_database(&self) -> String {
        self.copy_database("template1", &self.new_name()).await
    }

    /// The URL of a new database with the tables of today.
    pub async fn create_database_with_tables(&self) -> String {
        let original = self.with_tables.get_or_init(async || {
            let name = self.new_name();
            make_tables(&self.copy_database("template1", &name).await).await;
            name
        });
        self.copy_database(original.await, &self.new_name()).await
    }

    fn new_name(&self) -> String {
        format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed))
    }

    async fn copy_database(&self, original: &str, name: &str) -> String {
        let mut connection = PgConnection::connect(&self.url("postgres")).await.unwrap();
        let create = format!("CREATE DATABASE {name} TEMPLATE {original}");
        connection.execute(AssertSqlSafe(create)).await.unwrap();
        connection.close().await.unwrap();
        self.url(name)
    }

    /// The folder of its socket.
    pub fn sockets(&self) -> &Path {
        self.folder.path()
    }

    fn url(&self, database: &str) -> String {
        let socket = self.folder.path().display();
        format!("postgres:///{database}?host={socket}&user=bienvenue")
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.programs.join(program));
        command
            .arg("-D")
            .arg(self.data.path())
            .args(arguments)
            .current_dir(self.folder.path())
            .stdout(Stdio::null());
        let status = unprivileged(&mut command).status().unwrap();
        assert!(status.success(), "{program} failed");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Ends its pipe first. Without its files the server could not be found any more.
        let _ = self.watchdog.wait();
    }
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

pub fn unprivileged(command: &mut Command) -> &mut Command {
    if is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// Makes the tables of today in an empty database, of whatever engine.
pub async fn make_tables(url: &str) {
    let db = Db::open(&url.parse().unwrap()).await.unwrap();
    db.close().await;
}

/// The folder with `initdb` and `pg_ctl`: Debian's, the newest version first, or one on the path.
fn find_programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|version| Some(version.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders.reverse();
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    let has_all = |folder: &Path| {
        ["initdb", "pg_ctl", "postgres"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    folders.into_iter().find(|folder| has_all(folder))
}
