//! What the program warns of at its start.

use super::*;

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
async fn notices_of_logins_that_never_go_are_warned_of() {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let limits = [
        "--login-rate-per-account",
        "--login-rate-per-source",
        "--reset-rate-per-address",
        "--reset-rate-per-source",
    ];
    let off: Vec<&str> = limits.iter().flat_map(|limit| [*limit, "off"]).collect();
    let one_is_left = &off[..6];
    let notices_are_off = [&off[..], &["--notify-logins", "off"]].concat();
    for (options, count) in [(&off[..], 1), (one_is_left, 0), (&notices_are_off, 0)] {
        let options = [&["--trusted-proxy", "127.0.0.1"], options].concat();
        let (_, log) = start_public(&database, mails.path(), &options).stop();
        let told = log.matches("--notify-logins on: no mail tells of logins");
        assert_eq!(told.count(), count, "{log}");
    }
    // Without mails nobody waits for any.
    let (_, log) = Server::start_with(&database.url, &off).stop();
    assert!(!log.contains("--notify-logins"), "{log}");
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
async fn origins_that_do_not_share_the_session_are_warned_of() {
    let database = Database::sqlite();
    let mails = tempdir().unwrap();
    let warnings_of = |origins: &str, options: &[&str]| {
        let proxy = ["--trusted-proxy", "127.0.0.1", "--allow-origin", origins];
        let options = [&proxy[..], options].concat();
        let (_, log) = start_public(&database, mails.path(), &options).stop();
        let warnings = log.lines().filter(|line| line.contains("--allow-origin"));
        warnings.map(str::to_owned).collect::<Vec<_>>()
    };
    let of_one_site = "https://app.example.org,https://example.org:8443";
    assert_eq!(warnings_of(of_one_site, &[]), Vec::<String>::new());
    let [other_site] = &warnings_of("https://app.example.com", &[])[..] else {
        panic!("one warning");
    };
    let told = "https://app.example.com is another site than the service: browsers keep a session";
    assert!(other_site.contains(told), "{other_site}");
    let plain = ["--session-cookie", "plain"];
    let [other_site] = &warnings_of("https://app.example.com", &plain)[..] else {
        panic!("one warning");
    };
    assert!(other_site.contains("keep no session"), "{other_site}");
    let [development, other_site] = &warnings_of("http://localhost:5173", &[])[..] else {
        panic!("two warnings");
    };
    assert!(development.contains("for development"), "{development}");
    assert!(other_site.contains("another site"), "{other_site}");

    for (origin, count) in [("http://localhost:5173", 0), ("https://app.example.org", 1)] {
        let server = Server::start_with(&database.url, &["--allow-origin", origin]);
        let (_, log) = server.stop();
        assert_eq!(log.matches("keep no session").count(), count, "{log}");
    }
}

#[test]
fn the_origin_of_the_service_itself_is_refused() {
    let folder = tempdir().unwrap();
    let origin = "https://AUTH.example.org:443";
    let public = ["--public-url", "https://auth.example.org", "--mail-dir"];
    let options = [&public[..], &["mails", "--allow-origin", origin]].concat();
    let output = run_in(folder.path(), &options);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let reason = "--allow-origin https://auth.example.org is the service itself";
    assert!(told.contains(reason), "{told}");
}
