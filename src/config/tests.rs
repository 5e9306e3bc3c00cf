//! What the command line takes and what it refuses.

use crate::app::{ConnectionLimits, SessionCookie};
use crate::mail::Sender;
use crate::password::PasswordRule;

use super::*;

fn parse(arguments: &[&str]) -> Result<Config, String> {
    let config = Config::try_parse_from([&["bienvenue"], arguments].concat())
        .map_err(|error| error.to_string())?;
    config.check()?;
    Ok(config)
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
    assert_eq!(config.limits(), Limits::local());
}

#[test]
fn a_public_url_switches_everything_at_once() {
    let config = parse(&[&PUBLIC[..], &["--listen", "0.0.0.0:80"]].concat()).unwrap();
    let public_url = config.settings().public_url.unwrap();
    assert_eq!(public_url.origin(), "https://auth.example.org");
    assert_eq!(config.exposure.session_cookie(), SessionCookie::HostOnly);
    assert_eq!(config.exposure.password_rule(), PasswordRule::new(8));
    assert_eq!(config.limits(), Limits::public());
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
fn a_rate_that_is_set_stands_in_either_exposure() {
    let rate = ["--login-rate-per-account", "7/15m"];
    for (exposure, limits) in [(&[][..], Limits::local()), (&PUBLIC, Limits::public())] {
        let config = parse(&[exposure, &rate].concat()).unwrap();
        let expected = Limits {
            logins_per_account: "7/15m".parse().unwrap(),
            ..limits
        };
        assert_eq!(config.limits(), expected);
    }
}

#[test]
fn the_limits_of_connections_are_the_usual_ones_unless_set() {
    let settings = parse(&[]).unwrap().settings();
    assert_eq!(settings.connection_limits, ConnectionLimits::default());
    let arguments = [
        ["--head-timeout", "1s"],
        ["--body-timeout", "2s"],
        ["--answer-timeout", "3s"],
        ["--keep-alive-timeout", "4s"],
        ["--max-connections", "5"],
    ];
    let set = ConnectionLimits {
        head: Duration::from_secs(1),
        body: Duration::from_secs(2),
        answer: Duration::from_secs(3),
        keep_alive: Duration::from_secs(4),
        connections: 5,
    };
    let settings = parse(arguments.as_flattened()).unwrap().settings();
    assert_eq!(settings.connection_limits, set);
}
