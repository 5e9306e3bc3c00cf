//! The settings, and how what is found is told.

use std::collections::BTreeSet;

use tempfile::tempdir;

use super::*;
use crate::support::Database;

#[test]
fn weaknesses_are_told_in_the_words_of_the_start() {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let weak = [
        "--bcrypt-cost",
        "4",
        "--public-url",
        "https://auth.example.org",
        "--session-cookie",
        "plain",
        "--mail-dir",
        mails.path().to_str().unwrap(),
    ];
    let mut command = Server::command();
    command
        .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(weak)
        .env("BIENVENUE_LISTN", "x")
        .env("DATABASE_URL", &database.url);
    let (_, log) = Server::spawn(command).stop();
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let is_of_settings = |line: &Value| line["target"] == "bienvenue::cli::serve";
    let warnings = lines.filter(|line| line["level"] == "WARN" && is_of_settings(line));
    let told: BTreeSet<String> = warnings
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(told.len(), 5, "{log}");

    let mut command = super::command(&database.url, &["--config-only"]);
    let output = command.args(weak).env("BIENVENUE_LISTN", "x").output();
    let found = Found::from(output.unwrap());
    let lines = found.lines.iter().filter(|[result, ..]| result == "warn");
    let found: BTreeSet<String> = lines.map(|[_, _, message]| message.clone()).collect();
    assert_eq!(found, told);
}

#[test]
fn a_configuration_that_cannot_be_used_is_refused_in_the_words_of_the_start() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("bienvenue.toml");
    for (text, words) in [
        ("bcrypt-cost = 40\n", "--bcrypt-cost"),
        (
            "session-lifetme = \"1d\"\n",
            "session-lifetme is no setting",
        ),
        ("listen = \"0.0.0.0:5000\"\n", "give --public-url"),
        (
            "smtp-url-file = \"no/such/file\"\n",
            "cannot read no/such/file",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let [started, examined] = [&[][..], &["doctor", "--config-only"]].map(|arguments| {
            let mut command = Server::command();
            command
                .args(arguments)
                .arg("--config")
                .arg(&file)
                .current_dir(folder.path());
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{text}: {output:?}");
            assert_eq!(output.stdout, b"");
            String::from_utf8(output.stderr).unwrap()
        });
        assert!(examined.contains(words), "{examined}");
        let first = |text: &str| text.lines().next().unwrap().to_owned();
        assert_eq!(first(&examined), first(&started));
    }
    assert_eq!(files(folder.path()).len(), 1);
}

#[test]
fn of_the_configuration_alone_nothing_else_is_looked_at() {
    let folder = tempdir().unwrap();
    for url in [
        "sqlite:no/such/folder/b.db",
        "postgres://127.0.0.1:1/nothing",
    ] {
        let elsewhere = [
            "--config-only",
            "--public-url",
            "http://127.0.0.1:1",
            "--smtp-url",
            "smtp://127.0.0.1:1",
            "--mail-from",
            "noreply@example.org",
            "--operations",
            "127.0.0.1:1",
        ];
        let mut command = command(url, &elsewhere);
        let found = Found::from(command.current_dir(folder.path()).output().unwrap());
        assert_eq!(found.lines.len(), 1, "{found:?}");
        found.has("ok", "configuration", "the options can be used");
    }
    assert!(files(folder.path()).is_empty());
}

#[test]
fn people_get_a_table_and_no_password() {
    let arguments = [
        "doctor",
        "--database-url",
        "postgres://me:s3cret@127.0.0.1:1/b?password=s3cret",
        "--smtp-url",
        "smtp://me:s3cret@127.0.0.1:1",
        "--mail-from",
        "noreply@example.org",
        "--public-url",
        "http://127.0.0.1:1",
        "--operations",
        "127.0.0.1:1",
    ];
    let output = Server::command().args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("s3cret"), "{text}");
    assert_eq!(output.stderr, b"");
    let starts: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().take(2).collect::<Vec<_>>())
        .collect();
    assert_eq!(
        starts,
        [
            ["RESULT", "CHECK"],
            ["ok", "configuration"],
            ["fail", "server"],
            ["fail", "mail"],
            ["fail", "public-url"],
            ["fail", "service"],
        ],
        "{text}"
    );
}

#[tokio::test]
async fn whether_the_service_is_ready_is_asked_where_it_answers_operators() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &["--operations", "127.0.0.1:0"]);
    let address = server.operations_address().to_owned();
    let options = ["--operations", &address];
    doctor(&database.url, &options).has("ok", "service", "ready");
    server.stop();
    doctor(&database.url, &options).has("fail", "service", "start the service");
}
