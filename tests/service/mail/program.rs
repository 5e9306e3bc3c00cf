//! The program with a public URL.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::Database;
use crate::support::server::Server;
use crate::support::smtp_server::{SENDER, SmtpServer, token_in};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";
const COST: [&str; 2] = ["--bcrypt-cost", "4"];

/// Starts the program in public exposure with these options more. People sign up at once, as in `sign_up` they
/// do not.
fn start(database: &Database, options: &[&str]) -> Server {
    let url = "https://auth.example.org";
    let public = ["--public-url", url, "--sign-up", "unverified"];
    Server::start_with(&database.url, &[&COST[..], &public, options].concat())
}

/// The link in a mail in its raw form.
fn link_in(mail: &str) -> String {
    // Undoes the one encoding that such lines get.
    let mail = mail.replace("=\r\n", "").replace("=3D", "=");
    let link = mail.lines().find(|line| line.starts_with("https://"));
    link.unwrap_or_else(|| panic!("{mail}")).to_owned()
}

/// The mails in a folder, the oldest first.
fn mails_in(folder: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in &files {
        assert_eq!(file.extension().unwrap(), "eml", "{files:?}");
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}

on_each_engine! {
    async fn mails_can_go_into_a_folder(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let mails = folder.path().join("new/mails");
        let options = ["--mail-dir", mails.to_str().unwrap()];
        let server = start(&database, &options);
        server.registered(EMAIL, PASSWORD).await;
        let reply = server.ask_reset(EMAIL).send().await;
        let words = "if the address is registered, a reset link is on its way";
        reply.assert_is(200, &json!({ "email": EMAIL, "message": words }));
        server.ask_reset("nobody@example.org").send().await;
        let (_, log) = server.stop();
        assert!(log.contains("WARN") && log.contains("--mail-dir is for development"), "{log}");

        // If the first one was stopped before it came to that, the second does it first of all.
        let server = start(&database, &options);
        let (_, log) = server.stop();
        assert!(!log.contains("tried again"), "{log}");
        let server = start(&database, &options);
        let sent = mails_in(&mails);
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert!(sent[0].contains("Subject: Reset your Bienvenue password\r\n"), "{sent:?}");
        let token = token_in(&link_in(&sent[0]));
        let reply = server.reset(EMAIL, &token, "abondance de savoie").send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(server.can_log_in(EMAIL, "abondance de savoie").await);
    }

    async fn no_token_is_in_the_log_or_in_the_database_and_no_address_in_the_log(database: Database) {
        let Some(smtp) = SmtpServer::start() else { return };
        let url = format!("smtp://{}", smtp.address());
        let options = ["--smtp-url", &url, "--mail-from", SENDER, "--log", "trace"];
        let server = start(&database, &options);
        server.registered(EMAIL, PASSWORD).await;
        smtp.refuse(550);
        server.registered("refused@example.org", PASSWORD).await;
        server.ask_reset("refused@example.org").send().await;
        smtp.accept();
        server.ask_reset(EMAIL).send().await;
        server.ask_reset("nobody@example.org").send().await;
        let mut mails = smtp.wait();
        // The refused one may have been taken by the time it was sent.
        while !mails.iter().any(|mail| mail.to == [EMAIL]) {
            mails.extend(smtp.wait());
        }
        let tokens: Vec<String> = mails.iter().map(crate::support::smtp_server::Mail::token).collect();

        let stored = database.look_inside().await.all_rows().await.join("\n");
        let mut places = vec![("the tables".to_owned(), stored.into_bytes())];
        for entry in database.folder.iter().flat_map(|folder| fs::read_dir(folder.path()).unwrap()) {
            let file = entry.unwrap().path();
            places.push((file.display().to_string(), fs::read(file).unwrap()));
        }
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
        assert!(log.contains("mail sent") && log.contains("b***@example.org"), "{log}");
        for line in log.lines() {
            assert!(!line.contains(EMAIL) && !line.contains("nobody@") && !line.contains("refused@"), "{line}");
        }
        places.push(("the log".to_owned(), log.into_bytes()));
        for token in tokens {
            let uuid: Uuid = token.parse().unwrap();
            let digest = Sha256::digest(token.as_bytes());
            let is_stored = places[1..].iter().any(|(_, bytes)| {
                bytes.windows(32).any(|window| window == &digest[..])
            });
            assert!(is_stored || database.folder.is_none(), "the search finds what is there");
            for form in [token.as_bytes(), uuid.simple().to_string().as_bytes(), uuid.as_bytes()] {
                for (place, bytes) in &places {
                    let found = bytes.windows(form.len()).any(|window| window == form);
                    assert!(!found, "a token is in {place}");
                }
            }
        }
    }

    async fn a_silent_mail_server_does_not_hold_up_the_end(database: Database) {
        let Some(smtp) = SmtpServer::start() else { return };
        let url = format!("smtp://{}", smtp.address());
        let server = start(&database, &["--smtp-url", &url, "--mail-from", SENDER]);
        server.registered(EMAIL, PASSWORD).await;
        smtp.tarpit();
        server.ask_reset(EMAIL).send().await;
        let started = std::time::Instant::now();
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
        assert!(started.elapsed() < std::time::Duration::from_secs(10), "{log}");
    }

    async fn what_was_sent_before_the_end_is_not_sent_again(database: Database) {
        let Some(smtp) = SmtpServer::start() else { return };
        let url = format!("smtp://{}", smtp.address());
        let server = start(&database, &["--smtp-url", &url, "--mail-from", SENDER]);
        server.registered(EMAIL, PASSWORD).await;
        server.registered("slow@example.org", PASSWORD).await;
        smtp.be_slow_for("slow");
        server.ask_reset("slow@example.org").send().await;
        server.ask_reset(EMAIL).send().await;
        assert_eq!(smtp.wait()[0].to, [EMAIL]);
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
        let inside = database.look_inside().await;
        let settled = "outbox WHERE due_at IS NULL AND email = 'bob@example.org'";
        assert_eq!(inside.count(settled).await, 1, "{log}");
        assert_eq!(inside.count("outbox WHERE due_at IS NOT NULL").await, 1, "{log}");
    }

    async fn in_public_sessions_are_kept_by_the_cookie_of_this_host(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let server = start(&database, &["--mail-dir", folder.path().to_str().unwrap()]);
        server.registered(EMAIL, PASSWORD).await;
        let reply = server.log_in(EMAIL, PASSWORD).send().await;
        let cookie = reply.header("set-cookie").unwrap();
        let (pair, attributes) = cookie.split_once("; ").unwrap();
        assert_eq!(attributes, "Path=/; Secure; HttpOnly; SameSite=Lax");
        let session = pair.strip_prefix("__Host-session_id=").unwrap();
        assert_eq!(server.get("/profile").header("cookie", pair).send().await.status, 200);
        let bare = server.profile(session).send().await;
        bare.assert_refusal(403, "not logged in");
    }

    async fn in_public_weak_passwords_are_refused(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let options = ["--mail-dir", folder.path().to_str().unwrap()];
        let server = start(&database, &options);
        let reply = server.register(EMAIL, "b4l0u").send().await;
        reply.assert_refusal(400, "password is shorter than 8 characters");
        server.stop();
        let server = start(&database, &[&options[..], &["--password-min", "none"]].concat());
        server.registered(EMAIL, "b4l0u").await;
    }

    async fn tokens_go_to_anyone_only_when_asked_for_and_with_a_warning(database: Database) {
        let server = start(&database, &["--give-reset-tokens-to-anyone"]);
        server.registered(EMAIL, PASSWORD).await;
        let token = server.reset_token(EMAIL).await;
        let unknown = server.ask_reset("nobody@example.org").send().await;
        unknown.assert_refusal(403, "email not registered");
        assert_eq!(server.reset(EMAIL, &token, "abondance de savoie").send().await.status, 200);
        let (_, log) = server.stop();
        let warning = log.lines().find(|line| line.contains("--give-reset-tokens-to-anyone"));
        assert!(warning.is_some_and(|line| line.contains("WARN")), "{log}");
    }

    async fn in_public_it_may_listen_anywhere(database: Database) {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Server::command();
        command
            .env("BIENVENUE_PUBLIC_URL", "https://auth.example.org")
            .env("BIENVENUE_MAIL_DIR", folder.path())
            .env("DATABASE_URL", &database.url)
            .args(["--listen", "0.0.0.0:0"]);
        let server = Server::spawn(command);
        assert_eq!(server.get("/").send().await.status, 200);
    }
}

#[test]
fn a_folder_for_mails_that_cannot_be_had_is_refused_and_leaves_no_database() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let output = Server::command()
        .current_dir(folder.path())
        .args([
            "--listen",
            "127.0.0.1:0",
            "--public-url",
            "https://auth.example.org",
        ])
        .args(["--mail-dir", "file/mails"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("file/mails") && said.contains("--mail-dir"),
        "{said}"
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
