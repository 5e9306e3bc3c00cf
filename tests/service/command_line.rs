//! The program as a person meets it: its help, its settings, its refusals.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::tempdir;

use crate::on_each_engine;
use crate::support::server::Server;
use crate::support::{Database, EmptyDatabase};

mod configuration;
mod databases;
mod help;
mod proxies;
mod warnings;

/// Runs the program, which must end by itself, in this folder.
fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Server::command();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

#[test]
fn a_bad_value_from_the_environment_is_refused_with_the_name_of_the_variable() {
    let refused = |variable: &str, value: &str, arguments: &[&str]| {
        let mut command = Server::command();
        let output = command.env(variable, value).args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (variable, value, option) in [
        ("BIENVENUE_BCRYPT_COST", "40", "--bcrypt-cost"),
        ("BIENVENUE_LOG", "loud", "--log"),
        ("BIENVENUE_LOG_FORMAT", "xml", "--log-format"),
        ("BIENVENUE_LISTEN", "0.0.0.0:1", "--listen"),
        (
            "BIENVENUE_SESSION_IDLE_TIMEOUT",
            "60d",
            "--session-idle-timeout",
        ),
        ("BIENVENUE_SMTP_URL_FILE", "no/such/file", "--smtp-url-file"),
        (
            "DATABASE_URL",
            "mysql://me:s3cret@host/db",
            "--database-url",
        ),
        (
            "BIENVENUE_PUBLIC_URL",
            "https://auth.example.org",
            "--public-url",
        ),
    ] {
        let said = refused(variable, value, &[]);
        let told = format!("{option} is set by the environment variable {variable}\n");
        assert!(said.contains(&told), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let said = refused("BIENVENUE_BCRYPT_COST", "12", &["--bcrypt-cost=40"]);
    assert!(
        said.contains("--bcrypt-cost") && !said.contains("BIENVENUE_"),
        "{said}"
    );
}

#[test]
fn each_variable_that_is_empty_is_refused_with_what_to_do() {
    let help = Server::command().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let variables = help.split("[env: ").skip(1);
    let variables = variables.map(|text| text.split(['=', ']']).next().unwrap());
    assert!(variables.clone().count() > 40, "{help}");
    for variable in variables {
        let output = Server::command().env(variable, "").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{variable}: {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let told = format!("environment variable {variable}, which is empty: unset it to leave");
        assert!(said.contains(&told), "{said}");
    }
}

#[test]
fn a_url_in_the_wrong_place_is_refused_without_its_password() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["postgres://me:s3cret@host/db"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("'postgres://***@host/db'"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn a_bad_setting_is_refused_with_status_2_and_leaves_no_file() {
    let folder = tempdir().unwrap();
    for (arguments, hint) in [
        (&["--listen", "0.0.0.0:5000"][..], "--public-url"),
        (&["--public-url", "https://auth.example.org"], "--mail-dir"),
        (&["--bcrypt-cost", "40"], "4 to 16"),
        (&["--database-url", "mysql://host/db"], "postgres://"),
        (&["--session-idle-timeout", "60d"], "--session-lifetime"),
        (&["--log", "verbose"], "info,sqlx=debug"),
        (&["--no-such-option"], "--no-such-option"),
    ] {
        let output = run_in(folder.path(), arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(hint), "{said}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

on_each_engine! {
    async fn settings_come_from_the_environment_and_options_win(database: Database) {
        let mut command = Server::command();
        command
            .env("BIENVENUE_LISTEN", "0.0.0.0:1")
            .env("DATABASE_URL", &database.url)
            .env("BIENVENUE_BCRYPT_COST", "5")
            .env("BIENVENUE_LOG_FORMAT", "json")
            .args(["--listen", "localhost:0"]);
        let server = Server::spawn(command);
        server.registered("bob@example.org", "b4l0u").await;
        let hash = database.look_inside().await.hash_of("bob@example.org").await;
        assert!(hash.starts_with("$2b$05$"), "{hash}");
    }

    async fn rates_and_trusted_proxies_come_from_the_environment_and_options_win(database: Database) {
        let mut command = Server::command();
        command
            .env("BIENVENUE_LOGIN_RATE_PER_ACCOUNT", "1/h")
            .env("BIENVENUE_LOGIN_RATE_PER_SOURCE", "2/h")
            .env("BIENVENUE_SUCCESSFUL_LOGIN_RATE_PER_SOURCE", "1/h")
            .env("BIENVENUE_SIGN_UP_RATE_PER_SOURCE", "3/h")
            .env("BIENVENUE_RESET_RATE_PER_ADDRESS", "off")
            .env("BIENVENUE_RESET_RATE_PER_SOURCE", "3/h")
            .env("BIENVENUE_TRUSTED_PROXY", "10.0.0.0/8,127.0.0.1")
            .args(["--listen", "127.0.0.1:0", "--bcrypt-cost", "4"])
            .args(["--login-rate-per-account", "off"])
            .args(["--database-url", &database.url]);
        let server = Server::spawn(command);
        server.registered("bob@example.org", "b4l0u").await;
        for client in ["192.0.2.1", "192.0.2.2"] {
            for (path, statuses) in [
                ("/sessions", &[401, 401, 429][..]),
                ("/users", &[400, 400, 400, 429]),
                ("/reset_password", &[200, 200, 200, 429]),
            ] {
                for status in statuses {
                    let form = [("email", "bob@example.org"), ("password", "wrong")];
                    let call = server.post(path, &form).header("x-forwarded-for", client);
                    assert_eq!(call.send().await.status, *status, "{path} {client}");
                }
            }
        }
        for status in [200, 429] {
            let login = server.log_in("bob@example.org", "b4l0u").header("x-forwarded-for", "192.0.2.3");
            assert_eq!(login.send().await.status, status);
        }
    }

    async fn a_low_cost_is_warned_of(database: Database) {
        let (_, log) = Server::start(&database.url).stop();
        assert!(log.contains("WARN") && log.contains("--bcrypt-cost 4 is for tests"), "{log}");
        let (_, log) = Server::start_with(&database.url, &[]).stop();
        assert!(!log.contains("WARN"), "{log}");
    }
}

#[tokio::test]
async fn mails_in_a_folder_are_for_its_owner_alone_whatever_the_umask() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let mails = folder.path().join("new/mails");
    let start = || {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                "umask 000; exec \"$0\" \"$@\"",
                env!("CARGO_BIN_EXE_bienvenue"),
            ])
            .args(["--listen", "127.0.0.1:0", "--bcrypt-cost", "4"])
            .args(["--database-url", &database.url])
            .args(["--public-url", "https://auth.example.org"])
            .args(["--sign-up", "unverified", "--mail-dir"])
            .arg(&mails);
        Server::spawn(command)
    };
    let server = start();
    server
        .registered("bob@example.org", "r3bl0ch0n de savoie")
        .await;
    server.ask_reset("bob@example.org").send().await;
    let (_, log) = server.stop();
    assert!(!log.contains("have access"), "{log}");
    assert_eq!(mode(&mails), 0o700);
    assert_eq!(mode(&folder.path().join("new")), 0o700);
    // What was asked for just before the end is sent after the next start.
    start().stop();
    let mail = fs::read_dir(&mails).unwrap().next().unwrap().unwrap();
    assert_eq!(mode(&mail.path()), 0o600);

    fs::set_permissions(&mails, PermissionsExt::from_mode(0o755)).unwrap();
    let (_, log) = start().stop();
    let warning = log.lines().find(|line| line.contains("have access"));
    let told = format!("chmod 700 {}", mails.display());
    assert!(
        warning.is_some_and(|line| line.contains("WARN") && line.contains(&told)),
        "{log}"
    );
    assert_eq!(mode(&mails), 0o755);
}

#[test]
fn a_port_that_is_taken_is_refused_and_leaves_no_file() {
    let folder = tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run_in(folder.path(), &["--listen", &address]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&address) && said.contains("--listen"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serve_is_the_command_that_none_stands_for() {
    let database = Database::sqlite();
    let mut command = Server::command();
    command.args(["serve", "--listen", "127.0.0.1:0"]).args([
        "--bcrypt-cost",
        "4",
        "--database-url",
        &database.url,
    ]);
    let server = Server::spawn(command);
    server.registered("bob@example.org", "b4l0u").await;
    server.stop();
    let server = Server::start(&database.url);
    assert!(server.can_log_in("bob@example.org", "b4l0u").await);
}

#[test]
fn a_command_that_is_not_there_is_refused_and_the_nearest_one_named() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["srve"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("'srve'") && said.contains("'serve'"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_option_wins_over_the_variable_of_its_alternative() {
    let (database, other) = (EmptyDatabase::sqlite(), EmptyDatabase::sqlite());
    let folder = tempdir().unwrap();
    let file = folder.path().join("url");
    fs::write(&file, &database.url).unwrap();
    let mut command = Server::command();
    command
        .env("DATABASE_URL", &other.url)
        .args(["--listen", "127.0.0.1:0", "--bcrypt-cost", "4"])
        .arg("--database-url-file")
        .arg(&file);
    let server = Server::spawn(command);
    server.registered("bob@example.org", "b4l0u").await;
    server.stop();
    assert!(database.file().exists());
    assert!(!other.file().exists());
}
