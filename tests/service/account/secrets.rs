//! What is secret of a session or a password is in no log and in no file of the database.

use std::fs;

use super::{EMAIL, PASSWORD};
use crate::support::Database;
use crate::support::server::Server;

const NEW: &str = "t4rt1fl3tt3-of-savoie";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

fn contains(bytes: &[u8], text: &str) -> bool {
    let mut parts = bytes.windows(text.len());
    parts.any(|part| part == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_password_session_id_or_user_agent_is_logged_or_stored() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &["--bcrypt-cost", "4", "--log", "trace"]);
    server.registered(EMAIL, PASSWORD).await;
    let log_in = server.log_in(EMAIL, PASSWORD).header("user-agent", AGENT);
    let first = log_in.clone().send().await.session_id().unwrap();
    let second = log_in.send().await.session_id().unwrap();
    server.sessions(&first).await;
    server.end_others(&first).send().await;
    server
        .change_password(&first, "wr0ng-passw0rd", NEW)
        .send()
        .await;
    let changed = server.change_password(&first, PASSWORD, NEW).send().await;
    let third = changed.session_id().unwrap();
    server.get("/users/me").session(&third).send().await;
    let files = ["bienvenue.db", "bienvenue.db-wal"];
    let folder = database.file().parent().unwrap().to_owned();
    let stored = files.map(|name| fs::read(folder.join(name)).unwrap_or_default());
    server.delete_user(&third).send().await;
    let (_, log) = server.stop();
    assert!(
        log.contains("password_changed") && log.contains("user_deleted"),
        "{log}"
    );
    assert!(
        stored
            .iter()
            .any(|bytes| contains(bytes, "Firefox on Linux"))
    );
    for secret in [NEW, "wr0ng-passw0rd", "rv:130.0", &first, &second, &third] {
        assert!(!log.contains(secret), "{secret}");
        assert!(
            stored.iter().all(|bytes| !contains(bytes, secret)),
            "{secret}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_deleted_user_is_left_in_the_file() {
    let database = Database::sqlite();
    let options = ["--bcrypt-cost", "4"];
    let server = Server::start_with(&database.url, &options);
    let emails: Vec<String> = (0..60)
        .map(|number| format!("person-{number:02}@example.org"))
        .collect();
    for email in &emails {
        server.registered(email, PASSWORD).await;
    }
    let (deleted, kept) = emails.split_at(50);
    for email in deleted {
        let session = server.logged_in(email, PASSWORD).await;
        server.reset_token(email).await;
        assert_eq!(server.delete_user(&session).send().await.status, 200);
    }
    // At the end of the service its log goes into the file.
    server.stop();
    let file = fs::read(database.file()).unwrap();
    for email in deleted {
        assert!(!contains(&file, email), "{email}");
    }
    for email in kept {
        assert!(contains(&file, email), "{email}");
    }
}
