//! Options with passwords, and the environment.

use super::*;

#[test]
fn secrets_come_out_of_files_too() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let smtp = write("smtp", "smtps://me:s3cret@mail.example.org\n");
    let database = write("database", "postgres://me:s3cret@host/db\r\n");
    let options = [
        &PUBLIC[..2],
        &PUBLIC[4..],
        &["--smtp-url-file", &smtp, "--database-url-file", &database],
    ];
    let options = parse(&options.concat()).unwrap();
    assert_eq!(
        options.database.url().to_string(),
        "postgres://me:***@host/db"
    );
    let Some((MailTransport::Smtp { url, .. }, _)) = options.mail.transport() else {
        panic!("{options:?}");
    };
    assert_eq!(url.to_string(), "smtps://***@mail.example.org:465");
    assert!(!format!("{options:?}").contains("s3cret"));

    let both = [
        "--database-url",
        "sqlite:b.db",
        "--database-url-file",
        &database,
    ];
    assert!(parse(&both).unwrap_err().contains("--database-url"));
    let both = [&PUBLIC[..], &["--smtp-url-file", &smtp]].concat();
    assert!(parse(&both).unwrap_err().contains("--smtp-url"));
}

#[test]
fn a_refused_secret_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "ftp://me:s3cret@host").unwrap();
    let file = file.display().to_string();
    for (option, value) in [
        ("--database-url", "mysql://me:s3cret@host/db"),
        ("--database-url-file", &file),
        ("--smtp-url", "https://me:s3cret@host"),
        ("--smtp-url", "smtps://me:s3cret@host/path"),
        ("--smtp-url-file", &file),
    ] {
        let message = parse(&[option, value]).unwrap_err();
        assert!(message.contains(option), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn a_url_in_place_of_a_file_name_is_not_repeated() {
    for (option, value, hint) in [
        (
            "--database-url-file",
            "postgres://bob:hunter2@localhost/b",
            "or the URL by --database-url or the environment variable DATABASE_URL\n",
        ),
        (
            "--smtp-url-file",
            "smtps://bob:hunter2@localhost",
            "or the URL by --smtp-url or the environment variable BIENVENUE_SMTP_URL\n",
        ),
        (
            "--smtp-ca-file",
            "https://bob:hunter2@localhost",
            "the name of a file, not a URL\n",
        ),
    ] {
        let message = parse(&[option, value]).unwrap_err();
        assert!(message.contains(option), "{message}");
        assert!(message.contains(hint), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn a_secret_file_holds_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    let name = file.display().to_string();
    for (option, value) in [
        ("--database-url-file", "sqlite:two.db"),
        ("--database-url-file", "postgres://me:s3cret@host/db"),
        ("--smtp-url-file", "smtps://me:s3cret@host"),
    ] {
        std::fs::write(&file, format!("{value}\n# the users\n")).unwrap();
        let message = parse(&[option, &name]).unwrap_err();
        assert!(message.contains("on one line"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
    }
}

#[test]
fn passwords_of_urls_in_the_wrong_place_are_not_repeated() {
    for (arguments, shown) in [
        (
            &["postgres://me:s3cret@host/db"][..],
            "postgres://***@host/db",
        ),
        (&["postgres://me:s3@cr?et@host/db"], "postgres://***"),
        (&["postgres://host/db?password=s3cret"], "postgres://***"),
        (&["smtps://s3cret@host"], "smtps://***@host"),
        (&["me:s3cret@host"], "***@host"),
        (&["me:s3cret@host?x"], "***"),
        (
            &["--postgres://me:s3cret@host/db"],
            "--postgres://***@host/db",
        ),
        (
            &["--databse-url=postgres://me:s3cret@host/db"],
            "--databse-url",
        ),
        (
            &["--bcrypt-cost", "smtps://me:s3cret@host"],
            "smtps://***@host",
        ),
        (
            &["--log-format", "smtps://me:s3cret@host"],
            "smtps://***@host",
        ),
        (
            &["--trusted-proxy", "10.0.0.1,x://me:s3cret@host"],
            "x://***@host",
        ),
        (
            &["--give-reset-tokens-to-anyone=x://me:s3cret@host"],
            "x://***@host",
        ),
        (&["bob@example.org"], "bob@example.org"),
        (&["--mail-from", "bob"], "bob"),
    ] {
        let message = parse(arguments).unwrap_err();
        assert!(message.contains(&format!("'{shown}'")), "{message}");
        for secret in ["s3", "cr?et", "cret"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
}

#[test]
fn files_with_passwords_that_others_can_read_are_told_of() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        file.display().to_string()
    };
    let is_root = folder.path().metadata().unwrap().uid() == 0;
    for (mode, is_open) in [
        (0o600, false),
        (0o400, false),
        (0o640, !is_root),
        (0o660, true),
        (0o644, true),
        (0o604, true),
    ] {
        let database = file("database", "sqlite:b.db", mode);
        let smtp = file("smtp", "smtps://me:s3cret@mail.example.org", mode);
        let files = ["--database-url-file", &database, "--smtp-url-file", &smtp];
        let options = parse(&[&files, &PUBLIC[..2], &PUBLIC[4..]].concat()).unwrap();
        let warnings = options.warnings();
        assert_eq!(warnings.len(), if is_open { 2 } else { 0 }, "{mode:o}");
        for (warning, file) in warnings.iter().zip([database, smtp]) {
            let remedy = if is_root { "chmod 640" } else { "chmod 600" };
            assert!(warning.ends_with(&format!("{remedy} {file}")), "{warning}");
        }
    }
    let public = file("authority", "sqlite:b.db", 0o644);
    // The database URL stands for anything: what is wrong is said about the file's content.
    let message = parse(&["--smtp-ca-file", &public]).unwrap_err();
    assert!(!message.contains("chmod"), "{message}");
}

#[test]
fn variables_that_are_no_settings_are_told_of_with_the_nearest_one() {
    for (name, told) in [
        ("BIENVENUE_LISTEN", None),
        ("DATABASE_URL", None),
        ("PATH", None),
        ("DATABASE_URI", None),
        ("BIENVENUE_LISTN", Some("; BIENVENUE_LISTEN is")),
        (
            "BIENVENUE_SMTP_URI_FILE",
            Some("; BIENVENUE_SMTP_URL_FILE is"),
        ),
        ("BIENVENUE_DATABASE_URL", Some("; DATABASE_URL is")),
        (
            "BIENVENUE_TRUSTED_PROXIES",
            Some("; BIENVENUE_TRUSTED_PROXY is"),
        ),
        ("BIENVENUE_", Some("is no setting")),
        ("BIENVENUE_COFFEE_MACHINE_ADDRESS", Some("is no setting")),
    ] {
        let command = command();
        let warnings = environment::unknown(&command, [OsString::from(name)]);
        match told {
            None => assert_eq!(warnings, [""; 0]),
            Some(told) => {
                let [warning] = &warnings[..] else {
                    panic!("{warnings:?}");
                };
                assert!(
                    warning.contains(name) && warning.ends_with(told),
                    "{warning}"
                );
            }
        }
    }
}
