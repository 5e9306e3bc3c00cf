//! What the command line takes and what it refuses.

use crate::app::{SessionCookie, Settings};
use crate::mail::Sender;
use crate::password::PasswordRule;

use super::*;

fn parse(arguments: &[&str]) -> Result<Config, String> {
    let arguments = [&["bienvenue"], arguments].concat();
    let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
    Config::read(&arguments).map_err(|error| error.to_string())
}

#[test]
fn the_command_line_is_sound() {
    Config::command().debug_assert();
}

#[test]
fn loopback_addresses_are_taken() {
    for (text, address) in [
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("127.8.9.1:80", "127.8.9.1:80"),
        ("localhost:0", "127.0.0.1:0"),
        ("[::1]:5000", "[::1]:5000"),
        ("[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:1"),
    ] {
        let config = parse(&["--listen", text]).unwrap();
        assert_eq!(config.listen, address.parse().unwrap(), "{text}");
    }
}

#[test]
fn other_addresses_are_refused_with_the_way_out() {
    for text in [
        "0.0.0.0:5000",
        "[::]:5000",
        "192.168.1.2:80",
        "[::ffff:10.0.0.1]:80",
    ] {
        let message = parse(&["--listen", text]).unwrap_err();
        assert!(message.contains("--public-url"), "{message}");
    }
}

#[test]
fn bad_values_are_refused_with_what_would_be_right() {
    for (option, value, hint) in [
        ("--listen", "5000", "127.0.0.1:5000"),
        ("--listen", "localhost:x", "127.0.0.1:5000"),
        ("--bcrypt-cost", "3", "4 to 16"),
        ("--bcrypt-cost", "17", "4 to 16"),
        ("--bcrypt-cost", "twelve", "4 to 16"),
        ("--session-lifetime", "0s", "14d"),
        ("--session-lifetime", "soon", "14d"),
        ("--session-idle-timeout", "31d", "--session-lifetime"),
        ("--reset-token-lifetime", "25h", "24h"),
        (
            "--login-rate-per-account",
            "10",
            "10/m, 5/15m or 100/h; or off",
        ),
        ("--login-rate-per-source", "0/m", "from 1 to 1000000"),
        (
            "--successful-login-rate-per-source",
            "1000",
            "100/h; or off",
        ),
        ("--sign-up-rate-per-source", "10/1y", "from 1s to 30d"),
        ("--reset-rate-per-address", "ten/m", "10/m"),
        ("--reset-rate-per-source", "10/ m", "10/m"),
        ("--trusted-proxy", "localhost", "10.0.0.0/8"),
        ("--trusted-proxy", "10.0.0.1,", "10.0.0.0/8"),
        ("--trusted-proxy", "0.0.0.0/0", "your own proxies"),
        ("--head-timeout", "0s", "90s"),
        ("--max-connections", "0", "1 to 1000000"),
        ("--max-connections", "many", "1 to 1000000"),
        ("--log", "loud=very", "info,sqlx=debug"),
        ("--log", "verbose", "info,sqlx=debug"),
        ("--log", "inof", "info,sqlx=debug"),
        ("--log", "", "info,sqlx=debug"),
        ("--log", "3", "info,sqlx=debug"),
        ("--log", "info,", "info,sqlx=debug"),
        ("--log", "info,sqlx", "info,sqlx=debug"),
        ("--log", "sqlx=", "info,sqlx=debug"),
        ("--log", "=debug", "info,sqlx=debug"),
        ("--log", "sqlx=debug=info", "info,sqlx=debug"),
        ("--log", "sqlx[{x}]=debug", "info,sqlx=debug"),
        ("--log-format", "xml", "json"),
        ("--site-name", " ", "1 to 40"),
        ("--brand-color", "blue", "2f5fd0"),
        ("--logo", "no-such-file.svg", "cannot be read"),
        ("--logo", "Cargo.toml", "neither an SVG nor a PNG"),
        ("--database-url", "mysql://host/db", "postgres://"),
        ("--public-url", "auth.example.org", "https://"),
        ("--public-url", "http://auth.example.org", "https"),
        (
            "--public-url",
            "https://auth.example.org/auth",
            "a host and a port alone",
        ),
        ("--session-cookie", "secure", "plain, host"),
        ("--password-min", "7", "8 to 64, or none"),
        ("--password-min", "65", "8 to 64, or none"),
        ("--password-min", "long", "8 to 64, or none"),
        ("--smtp-url", "mail.example.org", "smtps://"),
        (
            "--smtp-url-file",
            "no/such/file",
            "cannot read no/such/file",
        ),
        ("--smtp-ca-file", "no/such/file", "cannot read no/such/file"),
        ("--mail-from", "noreply", "noreply@example.org"),
        (
            "--database-url-file",
            "no/such/file",
            "cannot read no/such/file",
        ),
    ] {
        let message = parse(&[option, value]).unwrap_err();
        assert!(message.contains(hint), "{option} {value}: {message}");
    }
}

/// The options of a sound public exposure.
const PUBLIC: [&str; 6] = [
    "--public-url",
    "https://auth.example.org",
    "--smtp-url",
    "smtps://me:s3cret@mail.example.org",
    "--mail-from",
    "Example <noreply@example.org>",
];

#[test]
fn without_a_public_url_everything_is_local() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.settings().public_url, None);
    assert_eq!(config.settings().session_cookie, SessionCookie::Plain);
    assert_eq!(config.exposure.password_rule(), None);
    assert!(config.mail.way().is_none());
    assert_eq!(config.limits(), RateLimits::local());
}

#[test]
fn a_public_url_switches_everything_at_once() {
    let config = parse(&[&PUBLIC[..], &["--listen", "0.0.0.0:80"]].concat()).unwrap();
    let public_url = config.settings().public_url.unwrap();
    assert_eq!(public_url.origin(), "https://auth.example.org");
    assert_eq!(config.exposure.session_cookie(), SessionCookie::HostOnly);
    assert_eq!(config.exposure.password_rule(), PasswordRule::new(8));
    assert_eq!(config.limits(), RateLimits::public());
    let (way, sender) = config.mail.way().unwrap();
    assert!(matches!(
        way,
        MailWay::Smtp {
            authority: None,
            ..
        }
    ));
    assert_eq!(sender.to_string(), "Example <noreply@example.org>");
}

#[test]
fn each_row_can_be_set_on_its_own() {
    let options = ["--session-cookie", "plain", "--password-min", "15"];
    let config = parse(&[&PUBLIC[..], &options].concat()).unwrap();
    assert_eq!(config.exposure.session_cookie(), SessionCookie::Plain);
    assert_eq!(config.exposure.password_rule(), PasswordRule::new(15));

    let config = parse(&[&PUBLIC[..], &["--password-min", "none"]].concat()).unwrap();
    assert_eq!(config.exposure.password_rule(), None);

    let config = parse(&["--session-cookie", "host", "--password-min", "8"]).unwrap();
    assert_eq!(config.exposure.session_cookie(), SessionCookie::HostOnly);
    assert_eq!(config.exposure.password_rule(), PasswordRule::new(8));

    let config = parse(&[&PUBLIC[..2], &["--give-reset-tokens-to-anyone"]].concat()).unwrap();
    assert!(config.mail.way().is_none());
}

#[test]
fn at_localhost_the_cookie_is_one_that_every_browser_keeps() {
    let config = parse(&[
        "--public-url",
        "http://localhost:5000",
        "--mail-dir",
        "mails",
    ])
    .unwrap();
    assert_eq!(config.exposure.session_cookie(), SessionCookie::Plain);
    assert_eq!(config.exposure.password_rule(), PasswordRule::new(8));
    let (way, sender) = config.mail.way().unwrap();
    assert!(matches!(way, MailWay::Folder(_)));
    assert_eq!(sender, Sender::default());
}

#[test]
fn what_does_not_go_together_is_refused_with_the_way_out() {
    let public = ["--public-url", "https://auth.example.org"];
    let smtp = ["--smtp-url", "smtps://me:s3cret@mail.example.org"];
    let from = ["--mail-from", "noreply@example.org"];
    let folder = ["--mail-dir", "mails"];
    let give = ["--give-reset-tokens-to-anyone"];
    for (options, hints) in [
        (vec![&public[..]], &["--smtp-url", "--mail-dir"][..]),
        (
            vec![&public[..], &["--listen", "0.0.0.0:80"]],
            &["--smtp-url"],
        ),
        (vec![&public[..], &smtp], &["--mail-from"]),
        (vec![&public[..], &from], &["--smtp-url", "--mail-dir"]),
        (
            vec![&public[..], &smtp, &from, &folder],
            &["--smtp-url", "--mail-dir"],
        ),
        (
            vec![&public[..], &folder, &give],
            &["--give-reset-tokens-to-anyone"],
        ),
        (vec![&smtp[..], &from], &["--public-url"]),
        (vec![&folder[..]], &["--public-url"]),
        (vec![&give[..]], &["--public-url"]),
        (
            vec![&give[..], &["--listen", "0.0.0.0:80"]],
            &["--public-url"],
        ),
    ] {
        let options = options.concat();
        let message = parse(&options).unwrap_err();
        for hint in hints {
            assert!(message.contains(hint), "{options:?}: {message}");
        }
        assert!(!message.contains("s3cret"), "{message}");
    }
}

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
    let config = parse(&options.concat()).unwrap();
    assert_eq!(
        config.database_url().to_string(),
        "postgres://me:***@host/db"
    );
    let Some((MailWay::Smtp { url, .. }, _)) = config.mail.way() else {
        panic!("{config:?}");
    };
    assert_eq!(url.to_string(), "smtps://***@mail.example.org:465");
    assert!(!format!("{config:?}").contains("s3cret"));

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
fn a_rate_that_is_set_stands_in_either_exposure() {
    let rate = ["--login-rate-per-account", "7/15m"];
    for (exposure, limits) in [
        (&[][..], RateLimits::local()),
        (&PUBLIC, RateLimits::public()),
    ] {
        let config = parse(&[exposure, &rate].concat()).unwrap();
        let expected = RateLimits {
            logins_per_account: "7/15m".parse().unwrap(),
            ..limits
        };
        assert_eq!(config.limits(), expected);
    }
}

#[test]
fn the_limits_of_connections_are_the_usual_ones_unless_set() {
    let config = parse(&[]).unwrap();
    assert_eq!(config.connection_limits(), ConnectionLimits::default());
    let body_timeout = config.settings().body_timeout;
    assert_eq!(body_timeout, Settings::default().body_timeout);
    let arguments = [
        ["--head-timeout", "1s"],
        ["--body-timeout", "2s"],
        ["--answer-timeout", "3s"],
        ["--keep-alive-timeout", "4s"],
        ["--max-connections", "5"],
    ];
    let set = ConnectionLimits {
        head: Duration::from_secs(1),
        answer: Duration::from_secs(3),
        keep_alive: Duration::from_secs(4),
        connections: 5,
    };
    let config = parse(arguments.as_flattened()).unwrap();
    assert_eq!(config.connection_limits(), set);
    assert_eq!(config.settings().body_timeout, Duration::from_secs(2));
}

#[test]
fn audit_lines_are_logged_unless_they_are_named() {
    for (text, audit, others) in [
        ("info", true, true),
        ("warn", true, false),
        ("OFF", true, false),
        ("sqlx=debug, bienvenue=error", true, false),
        ("info,bienvenue::audit=off", false, true),
        ("bienvenue::audit=warn,info", false, true),
        ("bienvenue::audit=info", true, false),
    ] {
        let log = parse(&["--log", text]).unwrap().log;
        let shows = |target| log.would_enable(target, &tracing::Level::INFO);
        assert_eq!(shows("bienvenue::audit"), audit, "{text}");
        assert_eq!(shows("bienvenue::app"), others, "{text}");
    }
}

#[test]
fn an_idle_timeout_that_is_not_set_is_no_longer_than_the_lifetime() {
    let day = Duration::from_hours(24);
    for (arguments, idle) in [
        (&[][..], 14 * day),
        (&["--session-lifetime", "1d"], day),
        (&["--session-lifetime", "60d"], 14 * day),
        (
            &["--session-lifetime", "2d", "--session-idle-timeout", "1d"],
            day,
        ),
    ] {
        let lifetimes = parse(arguments).unwrap().lifetimes();
        assert_eq!(lifetimes.session_idle, idle, "{arguments:?}");
    }
    let longer = ["--session-lifetime", "1d", "--session-idle-timeout", "2d"];
    assert!(
        parse(&longer)
            .unwrap_err()
            .contains("--session-idle-timeout")
    );
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

#[cfg(unix)]
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
        let config = parse(&[&files, &PUBLIC[..2], &PUBLIC[4..]].concat()).unwrap();
        let warnings = config.warnings();
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
        let command = Config::command();
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

#[test]
fn a_proxy_is_missed_where_nothing_else_can_end_tls() {
    let forgotten = |arguments: &[&str]| {
        let config = parse(&[&PUBLIC[..], arguments].concat()).unwrap();
        config.forgotten_proxy().map(|address| address.to_string())
    };
    assert_eq!(forgotten(&[]).as_deref(), Some("127.0.0.1"));
    assert_eq!(
        forgotten(&["--listen", "[::1]:5000"]).as_deref(),
        Some("::1")
    );
    assert_eq!(forgotten(&["--trusted-proxy", "127.0.0.1"]), None);
    assert_eq!(forgotten(&["--listen", "0.0.0.0:5000"]), None);
    assert_eq!(parse(&[]).unwrap().forgotten_proxy(), None);
    let here = [
        "--public-url",
        "http://localhost:5000",
        "--mail-dir",
        "mails",
    ];
    assert_eq!(parse(&here).unwrap().forgotten_proxy(), None);
}
