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
use crate::support::Database;
use crate::support::server::Server;

/// Runs the program, which must end by itself, in this folder.
fn run_in(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Server::command();
    command.current_dir(folder).args(arguments);
    command.output().unwrap()
}

/// That the program refuses to start with this exit status and one line with these words.
#[track_caller]
fn assert_refuses(folder: &Path, database_url: &str, words: &str) {
    let arguments = ["--listen", "127.0.0.1:0", "--database-url", database_url];
    let output = run_in(folder, &arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("bienvenue: "), "{said}");
    assert!(said.contains(words), "{said}");
}

fn fingerprint(file: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(file).unwrap()).to_vec()
}

#[cfg(unix)]
#[test]
fn what_cannot_be_written_to_is_told_as_that() {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use crate::support::postgres::is_root;

    let folder = tempdir().unwrap();
    let file = folder.path().join("b.db");
    let url = format!("sqlite:{}", file.display());
    Server::start(&url).stop();
    let before = fingerprint(&file);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = Server::command();
    if is_root() {
        // Root may write everywhere, by a capability.
        let mut without = Command::new("setpriv");
        without
            .arg("--bounding-set=-all")
            .arg(command.get_program());
        for (name, _) in command.get_envs() {
            without.env_remove(name);
        }
        command = without;
    }
    command.args(["--listen", "127.0.0.1:0", "--database-url", &url]);
    let output = command.output().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let told = said.contains("cannot write to") && said.contains("read-only");
    assert!(told && !said.contains("damaged"), "{said}");
    assert_eq!(fingerprint(&file), before);
}

#[test]
fn help_teaches_every_setting() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for taught in [
        "--listen",
        "BIENVENUE_LISTEN",
        "127.0.0.1:5000",
        "--database-url",
        "DATABASE_URL",
        "sqlite:bienvenue.db",
        "postgres://",
        "--bcrypt-cost",
        "BIENVENUE_BCRYPT_COST",
        "[default: 12]",
        "--login-wait",
        "BIENVENUE_LOGIN_WAIT",
        "5s",
        "--session-idle-timeout",
        "BIENVENUE_SESSION_IDLE_TIMEOUT",
        "14d",
        "--session-lifetime",
        "BIENVENUE_SESSION_LIFETIME",
        "30d",
        "--reset-token-lifetime",
        "BIENVENUE_RESET_TOKEN_LIFETIME",
        "30m",
        "--login-rate-per-account",
        "BIENVENUE_LOGIN_RATE_PER_ACCOUNT",
        "10000/h",
        "--login-rate-per-source",
        "BIENVENUE_LOGIN_RATE_PER_SOURCE",
        "--successful-login-rate-per-source",
        "BIENVENUE_SUCCESSFUL_LOGIN_RATE_PER_SOURCE",
        "--sign-up-rate-per-source",
        "BIENVENUE_SIGN_UP_RATE_PER_SOURCE",
        "--reset-rate-per-address",
        "BIENVENUE_RESET_RATE_PER_ADDRESS",
        "1000/h",
        "--reset-rate-per-source",
        "BIENVENUE_RESET_RATE_PER_SOURCE",
        "--trusted-proxy",
        "BIENVENUE_TRUSTED_PROXY",
        "10.0.0.0/8",
        "--head-timeout",
        "BIENVENUE_HEAD_TIMEOUT",
        "10s",
        "--body-timeout",
        "BIENVENUE_BODY_TIMEOUT",
        "--answer-timeout",
        "BIENVENUE_ANSWER_TIMEOUT",
        "--keep-alive-timeout",
        "BIENVENUE_KEEP_ALIVE_TIMEOUT",
        "75s",
        "--max-connections",
        "BIENVENUE_MAX_CONNECTIONS",
        "4096",
        "--site-name",
        "BIENVENUE_SITE_NAME",
        "Bienvenue",
        "--brand-color",
        "BIENVENUE_BRAND_COLOR",
        "#2f5fd0",
        "--logo",
        "BIENVENUE_LOGO",
        "--log",
        "BIENVENUE_LOG",
        "--log-format",
        "BIENVENUE_LOG_FORMAT",
        "DATABASE_URL_FILE",
        "--public-url",
        "BIENVENUE_PUBLIC_URL",
        "https://auth.example.org",
        "--session-cookie",
        "BIENVENUE_SESSION_COOKIE",
        "--password-min",
        "BIENVENUE_PASSWORD_MIN",
        "--give-reset-tokens-to-anyone",
        "BIENVENUE_GIVE_RESET_TOKENS_TO_ANYONE",
        "--smtp-url",
        "BIENVENUE_SMTP_URL",
        "BIENVENUE_SMTP_URL_FILE",
        "--smtp-ca-file",
        "BIENVENUE_SMTP_CA_FILE",
        "--mail-from",
        "BIENVENUE_MAIL_FROM",
        "--mail-dir",
        "BIENVENUE_MAIL_DIR",
        "curl",
    ] {
        assert!(
            help.contains(taught),
            "{taught} is not in the help:\n{help}"
        );
    }
    assert_eq!(
        fs::read_dir(folder.path()).unwrap().count(),
        0,
        "help leaves no file"
    );
}

#[test]
fn short_help_has_a_line_or_two_for_each_option() {
    let folder = tempdir().unwrap();
    let [short, long] = ["-h", "--help"].map(|option| {
        let output = run_in(folder.path(), &[option]);
        String::from_utf8(output.stdout).unwrap()
    });
    assert!(short.lines().count() * 2 < long.lines().count(), "{short}");
    for option in long
        .split_whitespace()
        .filter(|word| word.starts_with("--"))
    {
        let option = option.trim_end_matches(|letter: char| !letter.is_ascii_alphabetic());
        assert!(short.contains(option), "{option} is not in the short help");
    }
    assert!(long.contains("curl") && !short.contains("curl"), "{short}");
}

#[test]
fn help_says_how_to_keep_passwords_out_of_the_command_line() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["--help"]);
    let help = String::from_utf8(output.stdout).unwrap();
    for option in ["--database-url <URL>", "--smtp-url <URL>"] {
        let (_, about) = help.split_once(option).unwrap();
        let (about, _) = about.split_once("\n      --").unwrap();
        let about = about.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "can see a command line",
            "environment variable",
            "-url-file",
        ] {
            assert!(about.contains(words), "{option}: {about}");
        }
    }
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
        ("BIENVENUE_LOG", "", "--log"),
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
fn a_url_in_the_wrong_place_is_refused_without_its_password() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["postgres://me:s3cret@host/db"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("'postgres://***@host/db'"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}

#[test]
fn the_version_is_the_packages() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["--version"]);
    let version = String::from_utf8(output.stdout).unwrap();
    assert_eq!(
        version.trim(),
        concat!("bienvenue ", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn help_does_not_show_the_passwords_in_the_environment() {
    let output = Server::command()
        .env("DATABASE_URL", "postgres://me:s3cret@host/db")
        .env("BIENVENUE_SMTP_URL", "smtps://me:s3cret@host")
        .arg("--help")
        .output()
        .unwrap();
    assert!(!String::from_utf8(output.stdout).unwrap().contains("s3cret"));
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
async fn a_mistyped_variable_and_an_open_file_with_a_password_are_warned_of() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let file = folder.path().join("database-url");
    fs::write(&file, &database.url).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let mut command = Server::command();
    command
        .env("BIENVENUE_TRUSTED_PROXYS", "s3cret")
        .env("DATABASE_URL_FILE", &file)
        .args(["--listen", "127.0.0.1:0"]);
    let (_, log) = Server::spawn(command).stop();
    let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
    let [variable, open_file] = warnings[..] else {
        panic!("{log}");
    };
    let told = "BIENVENUE_TRUSTED_PROXYS is no setting; BIENVENUE_TRUSTED_PROXY is";
    assert!(variable.contains(told), "{log}");
    let path = file.display().to_string();
    assert!(
        open_file.contains("chmod") && open_file.contains(&path),
        "{log}"
    );
    assert!(!log.contains("s3cret"), "{log}");
}

/// Starts the program in public exposure, behind whatever these options say.
fn start_public(database: &Database, mails: &Path, options: &[&str]) -> Server {
    let public = ["--public-url", "https://auth.example.org", "--mail-dir"];
    let mails = [mails.to_str().unwrap()];
    Server::start_with(&database.url, &[&public[..], &mails, options].concat())
}

#[tokio::test]
async fn a_proxy_that_is_not_trusted_is_warned_of_at_the_start_and_once_when_it_forwards() {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let server = start_public(&database, mails.path(), &[]);
    for (header, value) in [
        ("x-forwarded-for", "192.0.2.1"),
        ("forwarded", "for=192.0.2.1"),
    ] {
        for _ in 0..2 {
            let call = server.log_in("bob@example.org", "wrong");
            assert_eq!(call.header(header, value).send().await.status, 401);
        }
    }
    let (_, log) = server.stop();
    assert_eq!(
        log.matches("give --trusted-proxy 127.0.0.1").count(),
        2,
        "{log}"
    );
    assert_eq!(log.matches("can end TLS").count(), 1, "{log}");
    assert_eq!(
        log.matches("127.0.0.1 sends X-Forwarded-For").count(),
        1,
        "{log}"
    );
    assert!(!log.contains("192.0.2.1"), "{log}");
}

#[tokio::test]
async fn a_trusted_proxy_is_warned_of_once_only_if_it_names_no_client() {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let server = start_public(&database, mails.path(), &["--trusted-proxy", "127.0.0.1"]);
    let log_in = || server.log_in("bob@example.org", "wrong");
    let named = log_in().header("x-forwarded-for", "192.0.2.1");
    assert_eq!(named.send().await.status, 401);
    // As a check of the proxy's own health.
    assert_eq!(server.get("/").send().await.status, 200);
    let (_, log) = server.stop();
    assert!(!log.contains("trusted"), "{log}");

    let server = start_public(&database, mails.path(), &["--trusted-proxy", "127.0.0.1"]);
    for _ in 0..2 {
        let call = server.log_in("bob@example.org", "wrong");
        assert_eq!(call.send().await.status, 401);
    }
    let (_, log) = server.stop();
    assert_eq!(
        log.matches("127.0.0.1 is a --trusted-proxy and").count(),
        1,
        "{log}"
    );
}

#[tokio::test]
async fn without_a_public_url_no_proxy_is_warned_of() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &[]);
    let call = server.log_in("bob@example.org", "wrong");
    let reply = call.header("x-forwarded-for", "192.0.2.1").send().await;
    assert_eq!(reply.status, 401);
    let (_, log) = server.stop();
    assert!(!log.contains("WARN"), "{log}");
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
            .args(["--public-url", "https://auth.example.org", "--mail-dir"])
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

#[test]
fn a_database_that_cannot_be_written_is_refused() {
    let folder = tempdir().unwrap();
    assert_refuses(
        folder.path(),
        "sqlite:no/such/folder/b.db",
        "sqlite:no/such/folder/b.db",
    );
    fs::create_dir(folder.path().join("folder.db")).unwrap();
    assert_refuses(folder.path(), "sqlite:folder.db", "folder.db");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_not_touched() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    fs::write(&file, "Buy milk. ".repeat(1000)).unwrap();
    let before = fingerprint(&file);
    assert_refuses(folder.path(), "sqlite:notes.txt", "not an SQLite database");
    assert_eq!(fingerprint(&file), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_not_touched() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("a.db");
    let url = format!("sqlite:{}?mode=rwc", file.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    connection
        .execute("CREATE TABLE users (id, email, hashed_password)")
        .await
        .unwrap();
    connection.close().await.unwrap();
    let before = fingerprint(&file);
    assert_refuses(folder.path(), "sqlite:a.db", "belongs to another program");
    assert_eq!(fingerprint(&file), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

on_each_engine! {
    async fn a_schema_from_the_future_is_refused_and_not_touched(database: Database) {
        database.open().await.close().await;
        let inside = database.look_inside().await;
        inside.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             SELECT 9999, 'from the future', success, checksum, 0 FROM _sqlx_migrations
             WHERE version = 1",
        )
        .await;
        inside.close().await;
        let file = database.folder.as_ref().map(|folder| folder.path().join("bienvenue.db"));
        let before = file.as_deref().map(fingerprint);

        let folder = tempdir().unwrap();
        assert_refuses(folder.path(), &database.url, "has migration 9999");
        assert_eq!(file.as_deref().map(fingerprint), before);
    }
}
