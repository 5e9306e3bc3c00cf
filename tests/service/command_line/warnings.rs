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
async fn without_a_public_url_no_proxy_is_warned_of() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &[]);
    let call = server.log_in("bob@example.org", "wrong");
    let reply = call.header("x-forwarded-for", "192.0.2.1").send().await;
    assert_eq!(reply.status, 401);
    let (_, log) = server.stop();
    assert!(!log.contains("WARN"), "{log}");
}
