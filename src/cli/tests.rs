//! What the command line takes and what it refuses.

use std::time::Duration;

use crate::app::{SessionCookie, Settings};
use crate::auth::rate_limit::RateLimits;
use crate::mail::Sender;
use crate::password::PasswordRule;
use crate::server::{ConnectionLimits, ListenAddress};

use super::options::MailTransport;

use super::*;

mod apps;
mod config_file;
mod secrets;

fn parse(arguments: &[&str]) -> Result<ServeOptions, String> {
    let arguments = [&["bienvenue"], arguments].concat();
    let arguments: Vec<OsString> = arguments.into_iter().map(OsString::from).collect();
    let request = read(&arguments, Path::new("no/such/file"));
    match request
        .map_err(|refusal| refusal.error.to_string())?
        .command
    {
        Command::Serve(options) => Ok(*options),
        command => panic!("{command:?}"),
    }
}

#[test]
fn the_command_line_is_sound() {
    command().debug_assert();
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
        let options = parse(&["--listen", text]).unwrap();
        let address = ListenAddress::Tcp(address.parse().unwrap());
        assert_eq!(options.listen, address, "{text}");
    }
}

#[test]
fn a_unix_socket_is_taken_with_and_without_a_public_url() {
    let unix = ["--listen", "unix:/run/bienvenue/http.sock"];
    for arguments in [&unix[..], &[&PUBLIC[..], &unix].concat()] {
        let options = parse(arguments).unwrap();
        let path = "/run/bienvenue/http.sock".into();
        assert_eq!(options.listen, ListenAddress::Unix(path));
        assert_eq!(options.forgotten_proxy(), None);
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
fn each_wrong_form_of_an_origin_is_refused_with_what_would_be_right() {
    for (value, hint) in [
        ("", "https://app.example.org"),
        ("app.example.org", "https://app.example.org"),
        ("https://app.example.org,", "https://app.example.org"),
        ("*", "name each origin"),
        ("https://*.example.org", "name each origin"),
        ("null", "sandboxed"),
        ("http://app.example.org", "give an https origin"),
        ("https://app.example.org/", "without a slash"),
        ("https://app.example.org/app", "a host and a port alone"),
    ] {
        let message = parse(&["--allow-origin", value]).unwrap_err();
        assert!(message.contains(hint), "{value}: {message}");
    }
    let options = parse(&["--allow-origin=https://a.example.org,http://localhost:1"]).unwrap();
    assert_eq!(options.settings().allowed_origins.len(), 2);
}

#[test]
fn bad_values_are_refused_with_what_would_be_right() {
    for (option, value, hint) in [
        ("--listen", "5000", "127.0.0.1:5000"),
        ("--listen", "localhost:x", "127.0.0.1:5000"),
        ("--listen", "unix:", "unix:/run/bienvenue/http.sock"),
        ("--listen", "unix:/run/", "unix:/run/bienvenue/http.sock"),
        (
            "--listen",
            "/run/http.sock",
            "unix:/run/bienvenue/http.sock",
        ),
        ("--operations", "9000", "127.0.0.1:5000"),
        ("--operations", "unix:", "unix:/run/bienvenue/http.sock"),
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

#[test]
fn a_value_that_the_shell_has_split_is_refused_with_a_hint_of_quotes() {
    let split = ["--app", "wiki.example.org:", "group:staff"];
    for (arguments, hint) in [
        (&split[..], "value of --app ends"),
        (&[&["serve"], &split[..]].concat(), "value of --app ends"),
        (&[&["doctor"], &split[..]].concat(), "value of --app ends"),
        (
            &[&["print", "nginx", "--log", "info"], &split[..]].concat(),
            "value of --app ends",
        ),
        (
            &["--site-name=My", "app", "--log=info"],
            "value of --site-name ends",
        ),
    ] {
        let message = parse(arguments).unwrap_err();
        assert!(message.contains(hint), "{message}");
        assert!(message.contains("into quotes"), "{message}");
    }
    for arguments in [
        &["--log", "info", "serve"][..],
        &["--no-migrate", "now"],
        &["srve"],
        &["users", "list", "bob"],
        &["serve", "--log", "info", "--lisen"],
    ] {
        let message = parse(arguments).unwrap_err();
        assert!(!message.contains("quotes"), "{message}");
    }
    let message = parse(&["--smtp-url", "smtps://me:s3cret", "t@host"]).unwrap_err();
    assert!(message.contains("value of --smtp-url ends"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
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

fn min_characters(options: &ServeOptions) -> Option<usize> {
    let rule = options.accounts.password_rule();
    rule.as_ref().map(PasswordRule::min_characters)
}

#[test]
fn without_a_public_url_everything_is_local() {
    let options = parse(&[]).unwrap();
    assert_eq!(options.settings().public_url, None);
    assert_eq!(options.settings().session_cookie, SessionCookie::Plain);
    assert_eq!(options.accounts.password_rule(), None);
    assert!(options.mail.transport().is_none());
    assert_eq!(options.limits(), RateLimits::local());
}

#[test]
fn a_public_url_switches_everything_at_once() {
    let options = parse(&[&PUBLIC[..], &["--listen", "0.0.0.0:80"]].concat()).unwrap();
    let public_url = options.settings().public_url.unwrap();
    assert_eq!(public_url.origin(), "https://auth.example.org");
    assert_eq!(options.session_cookie(), SessionCookie::HostOnly);
    assert_eq!(min_characters(&options), Some(8));
    assert_eq!(options.limits(), RateLimits::public());
    let (transport, sender) = options.mail.transport().unwrap();
    assert!(matches!(
        transport,
        MailTransport::Smtp {
            authority: None,
            ..
        }
    ));
    assert_eq!(sender.to_string(), "Example <noreply@example.org>");
}

#[test]
fn each_row_can_be_set_on_its_own() {
    let options = ["--session-cookie", "plain", "--password-min", "15"];
    let options = parse(&[&PUBLIC[..], &options].concat()).unwrap();
    assert_eq!(options.session_cookie(), SessionCookie::Plain);
    assert_eq!(min_characters(&options), Some(15));

    let options = parse(&[&PUBLIC[..], &["--password-min", "none"]].concat()).unwrap();
    assert_eq!(options.accounts.password_rule(), None);

    let options = parse(&["--session-cookie", "host", "--password-min", "8"]).unwrap();
    assert_eq!(options.session_cookie(), SessionCookie::HostOnly);
    assert_eq!(min_characters(&options), Some(8));

    let options = parse(&[&PUBLIC[..2], &["--give-reset-tokens-to-anyone"]].concat()).unwrap();
    assert!(options.mail.transport().is_none());
}

#[test]
fn at_localhost_the_cookie_is_one_that_every_browser_keeps() {
    let options = parse(&[
        "--public-url",
        "http://localhost:5000",
        "--mail-dir",
        "mails",
    ])
    .unwrap();
    assert_eq!(options.session_cookie(), SessionCookie::Plain);
    assert_eq!(min_characters(&options), Some(8));
    let (transport, sender) = options.mail.transport().unwrap();
    assert!(matches!(transport, MailTransport::Folder(_)));
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
fn a_rate_that_is_set_stands_in_either_exposure() {
    let rate = ["--login-rate-per-account", "7/15m"];
    for (exposure, limits) in [
        (&[][..], RateLimits::local()),
        (&PUBLIC, RateLimits::public()),
    ] {
        let options = parse(&[exposure, &rate].concat()).unwrap();
        let expected = RateLimits {
            logins_per_account: "7/15m".parse().unwrap(),
            ..limits
        };
        assert_eq!(options.limits(), expected);
    }
}

#[test]
fn the_limits_of_connections_are_the_usual_ones_unless_set() {
    let options = parse(&[]).unwrap();
    assert_eq!(options.connection_limits(), ConnectionLimits::default());
    let body_timeout = options.settings().body_timeout;
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
        ..ConnectionLimits::default()
    };
    let options = parse(arguments.as_flattened()).unwrap();
    assert_eq!(options.connection_limits(), set);
    assert_eq!(options.settings().body_timeout, Duration::from_secs(2));
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
        let log = parse(&["--log", text]).unwrap().log.filter;
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

#[cfg(unix)]
#[test]
fn a_proxy_is_missed_where_nothing_else_can_end_tls() {
    let forgotten = |arguments: &[&str]| {
        let options = parse(&[&PUBLIC[..], arguments].concat()).unwrap();
        options.forgotten_proxy().map(|address| address.to_string())
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
