//! What the program says of itself.

use bienvenue::app::openapi;

use super::*;

/// Each option and variable, and some of their values.
const SETTINGS: &[&str] = &[
    "--listen",
    "BIENVENUE_LISTEN",
    "127.0.0.1:5000",
    "--operations",
    "BIENVENUE_OPERATIONS",
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
    "--fresh-login",
    "BIENVENUE_FRESH_LOGIN",
    "10m",
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
    "--allow-origin",
    "BIENVENUE_ALLOW_ORIGIN",
    "https://app.example.org",
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
    "--sign-up",
    "BIENVENUE_SIGN_UP",
    "--sign-up-rate-per-address",
    "BIENVENUE_SIGN_UP_RATE_PER_ADDRESS",
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
    "--notify-logins",
    "BIENVENUE_NOTIFY_LOGINS",
    "curl",
];

#[test]
fn help_teaches_every_setting() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).unwrap();
    for taught in SETTINGS {
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

/// What `bienvenue print …` prints.
fn printed(folder: &Path, what: &[&str]) -> String {
    let output = run_in(folder, &[&["print"], what].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_openapi_document_is_printed_as_it_is() {
    let folder = tempdir().unwrap();
    assert_eq!(printed(folder.path(), &["openapi"]), openapi());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_help_of_a_command_has_examples_and_exit_codes() {
    let folder = tempdir().unwrap();
    for noun in ["users", "groups", "sessions"] {
        let output = run_in(folder.path(), &[noun, "--help"]);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        for taught in [
            "Examples:",
            &format!("bienvenue {noun} "),
            "Exit codes:",
            "  5  not confirmed",
            "  7  the database does not answer",
        ] {
            assert!(help.contains(taught), "{taught}: {help}");
        }
    }
}

#[test]
fn the_help_of_the_service_has_its_exit_codes() {
    let folder = tempdir().unwrap();
    for arguments in [&["--help"][..], &["serve", "--help"]] {
        let output = run_in(folder.path(), arguments);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Exit codes:"), "{help}");
        assert!(
            help.contains("  8  the file of the database was lost"),
            "{help}"
        );
    }
}

#[test]
fn the_manual_page_and_completions_know_every_option() {
    let folder = tempdir().unwrap();
    let print = |what: &[&str]| printed(folder.path(), what);
    let manual = print(&["man"]).replace("\\-", "-");
    assert!(manual.contains(".TH bienvenue 1"), "{manual}");
    for section in [
        "USERS LIST",
        "USERS RESET-LINK",
        "GROUPS ADD",
        "SESSIONS REVOKE",
        "DOCTOR",
    ] {
        let heading = format!(".SH \"BIENVENUE {section}\"");
        assert!(manual.contains(&heading), "{heading}: {manual}");
    }
    for taught in [
        "--password-stdin",
        "--search",
        "--config-only",
        "Exit codes:",
    ] {
        assert!(manual.contains(taught), "{taught}");
    }
    let completions = ["bash", "zsh", "fish"].map(|shell| print(&["completions", shell]));
    for option in ["listen", "database-url-file", "public-url", "bcrypt-cost"] {
        assert!(manual.contains(&format!("--{option}")), "{option}");
        for completions in &completions {
            assert!(completions.contains(option), "{option}: {completions}");
        }
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_files_for_systemd_are_those_of_the_repository() {
    let folder = tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/print");
    for (arguments, file) in [
        (&["print", "systemd"][..], "bienvenue.service"),
        (&["print", "systemd", "service"], "bienvenue.service"),
        (&["print", "systemd", "socket"], "bienvenue.socket"),
        (&["print", "systemd", "sysusers"], "bienvenue.sysusers"),
    ] {
        let output = run_in(folder.path(), arguments);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            output.stdout,
            fs::read(source.join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn the_example_of_a_configuration_file_has_every_option_and_no_other() {
    let folder = tempdir().unwrap();
    let output = run_in(folder.path(), &["-h"]);
    let help = String::from_utf8(output.stdout).unwrap();
    let lines = help.lines().map(str::trim_start);
    let mut options: Vec<&str> = lines
        .filter_map(|line| line.strip_prefix("--"))
        .filter_map(|line| line.split_whitespace().next())
        .map(|option| option.trim_end_matches([',', '.', ']']))
        .filter(|option| *option != "config")
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/packages/bienvenue.toml");
    let example = fs::read_to_string(&path).unwrap();
    let mut examples: Vec<&str> = example
        .lines()
        .filter_map(|line| line.strip_prefix('#').unwrap_or(line).split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    options.sort_unstable();
    // One that another one is explained by.
    options.dedup();
    examples.sort_unstable();
    assert_eq!(examples, options);
    // Commands run in other folders than the service.
    let printed = run_in(
        folder.path(),
        &["print", "config", "--config", path.to_str().unwrap()],
    );
    let printed = String::from_utf8(printed.stdout).unwrap();
    let database = "\ndatabase-url = \"sqlite:/var/lib/bienvenue/bienvenue.db\"  # ";
    assert!(printed.contains(database), "{printed}");
}
