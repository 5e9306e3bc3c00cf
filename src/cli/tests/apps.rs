//! Which apps are taken and which are refused.

use super::*;
use crate::protected_app::AppHost;

const PROXY: [&str; 2] = ["--trusted-proxy", "127.0.0.1"];

/// The hosts of the apps that these arguments give, besides all that apps need.
fn hosts(arguments: &[&str]) -> Result<Vec<String>, String> {
    let options = parse(&[&PUBLIC[..], &PROXY, arguments].concat())?;
    let apps = options.apps().unwrap();
    let hosts = apps.with_hosts().map(|(host, _)| host.to_string());
    Ok(hosts.collect())
}

#[test]
fn apps_are_given_one_by_one_or_as_a_list() {
    let hosts_of = |arguments: &[&str]| hosts(arguments).unwrap();
    assert_eq!(hosts_of(&[]), [""; 0]);
    let both = ["wiki.example.org", "tube.example.org:8443"];
    for arguments in [
        &[
            "--app",
            "Wiki.example.org",
            "--app",
            "tube.example.org:8443: group:a,b@example.org",
        ][..],
        &[
            "--app",
            "wiki.example.org:443; tube.example.org:8443: group:a, b@example.org",
        ],
        &["--app=wiki.example.org;*.example.com: @example.org;tube.example.org:8443"],
        &["--app=wiki.example.org; tube.example.org:8443; "],
        &["--app=wiki.example.org;", "--app", "tube.example.org:8443"],
    ] {
        assert_eq!(hosts_of(arguments), both, "{arguments:?}");
    }
}

#[test]
fn an_app_that_cannot_be_understood_is_refused_with_what_would_be_right() {
    for (app, hint) in [
        ("https://wiki.example.org", "without https://"),
        ("wiki.example.org.", "leave out the dot"),
        ("*.org", "*.example.org"),
        ("wiki.example.org:", "leave out the colon"),
        ("wiki.example.org: ", "leave out the colon"),
        ("wiki.example.org: staff", "group:name"),
        // With all that was given, although it looks like a URL with a password.
        (
            "wiki.example.org: bob@example.org x@y.z",
            "wiki.example.org: bob@",
        ),
        ("wiki.example.org:99999", "a number from 1 to 65535"),
        ("https://[::1]:8080", "an IPv6 address cannot be"),
        ("wiki.example.org;;", "app 2 of 2: begin with a host"),
        (
            "a.example.org;b c;d.example.org",
            "app 2 of 3: behind a host put a colon",
        ),
        (
            "wiki.example.org bob@example.org",
            "put a colon and who may",
        ),
        (
            "a.example.org,b.example.org",
            "or a semicolon and the next app",
        ),
        (
            "a.example.org: @example.org, b.example.org",
            "a semicolon comes before the next app",
        ),
        (
            "wiki.example.org: *@example.com",
            "@example.com stands for every address there",
        ),
        (";", "begin with a host"),
        ("", "begin with a host"),
        (
            "wiki.example.org;WIKI.example.org: group:a",
            "given more than once",
        ),
    ] {
        let message = hosts(&["--app", app]).unwrap_err();
        assert!(message.contains(hint), "{app}: {message}");
        assert!(message.contains("--app"), "{message}");
    }
}

#[test]
fn an_app_takes_a_public_url_and_a_trusted_proxy() {
    let app = ["--app", "wiki.example.org"];
    let message = parse(&app).unwrap_err();
    assert!(message.contains("--public-url"), "{message}");
    let message = parse(&[&app[..], &PROXY].concat()).unwrap_err();
    assert!(message.contains("--public-url"), "{message}");
    let message = parse(&[&PUBLIC[..], &app].concat()).unwrap_err();
    assert!(message.contains("--trusted-proxy"), "{message}");
    let unix = ["--listen", "unix:/run/bienvenue/http.sock"];
    assert!(parse(&[&PUBLIC[..], &app, &unix].concat()).is_ok());

    let here = [
        "--public-url",
        "http://localhost:5000",
        "--mail-dir",
        "mails",
    ];
    let message = parse(&[&here[..], &PROXY, &app].concat()).unwrap_err();
    assert!(message.contains("is not this machine"), "{message}");
    let local = ["--app", "wiki.localhost:8080"];
    let options = parse(&[&here[..], &PROXY, &local].concat()).unwrap();
    let host = AppHost::of_request("wiki.localhost:8080", false).unwrap();
    assert!(options.apps().unwrap().find(&host).is_some());
}

#[test]
fn no_address_lets_in_that_anyone_can_sign_up_with() {
    for (sign_up, app, is_refused) in [
        (
            &["--sign-up", "unverified"][..],
            "wiki.example.org: bob@example.org",
            true,
        ),
        (
            &["--sign-up", "unverified"],
            "wiki.example.org: group:a, @example.org",
            true,
        ),
        (
            &["--sign-up", "unverified"],
            "wiki.example.org: group:a",
            false,
        ),
        (&["--sign-up", "unverified"], "wiki.example.org", false),
        (
            &["--sign-up", "closed"],
            "wiki.example.org: @example.org",
            false,
        ),
        (
            &["--sign-up", "verified"],
            "wiki.example.org: @example.org",
            false,
        ),
        (&[], "wiki.example.org: @example.org", false),
    ] {
        let refused = hosts(&[sign_up, &["--app", app]].concat());
        assert_eq!(refused.is_err(), is_refused, "{sign_up:?} {app}");
        assert!(
            refused
                .err()
                .is_none_or(|message| message.contains("--sign-up"))
        );
    }
    // Without mails the token that confirms an address is in the answer.
    let given = [
        "--public-url",
        "https://auth.example.org",
        "--give-reset-tokens-to-anyone",
    ];
    let rule = [
        "--sign-up",
        "verified",
        "--app",
        "wiki.example.org: @example.org",
    ];
    assert!(parse(&[&given[..], &PROXY, &rule].concat()).is_err());
}

#[test]
fn an_app_without_the_port_that_the_service_has_is_warned_of() {
    for (url, app, told) in [
        (
            "http://localhost:8080",
            "wiki.localhost",
            Some("give wiki.localhost:8080 if"),
        ),
        (
            "http://localhost:8080",
            "localhost: group:a",
            Some("give localhost:8080 if"),
        ),
        (
            "http://[::1]:8080",
            "*.localhost",
            Some("give *.localhost:8080 if"),
        ),
        ("http://localhost:8080", "wiki.localhost:8080", None),
        ("http://localhost:8080", "wiki.localhost:9090", None),
        ("http://localhost", "wiki.localhost", None),
        (
            "https://auth.example.org:8443",
            "wiki.example.org",
            Some("is at port 443, and"),
        ),
        ("https://auth.example.org", "wiki.example.org", None),
        ("https://auth.example.org", "wiki.example.org:8443", None),
    ] {
        let here = ["--public-url", url, "--mail-dir", "mails", "--app", app];
        let options = parse(&[&here[..], &PROXY].concat()).unwrap();
        let warnings = warnings::of(&options);
        let mut warnings = warnings
            .iter()
            .filter(|warning| warning.starts_with("--app"));
        let warning = warnings.next().map(String::as_str);
        assert_eq!(
            warning.is_some(),
            told.is_some(),
            "{url} {app}: {warning:?}"
        );
        assert!(
            warning.is_none_or(|warning| warning.contains(told.unwrap())),
            "{warning:?}"
        );
        assert_eq!(warnings.next(), None);
    }
}
