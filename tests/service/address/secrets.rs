//! The tokens of a change of an address are in no log and in no file of the database.

use std::fs;

use super::{EMAIL, NEW, PASSWORD};
use crate::support::Database;
use crate::support::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_of_an_address_is_logged_or_stored() {
    let database = Database::sqlite();
    let server = Server::start_with(&database.url, &["--bcrypt-cost", "4", "--log", "trace"]);
    server.registered(EMAIL, PASSWORD).await;
    let session = server.logged_in(EMAIL, PASSWORD).await;
    let token = server.email_token(&session, NEW).await;
    let link = format!("/profile/email?email_token={token}");
    let page = server.get(&link).session(&session).by_browser();
    page.send().await.assert_page(200);
    let reply = server.change_address(&session, &token).send().await;
    let undo = reply.json()["undo_token"].as_str().unwrap().to_owned();
    let link = format!("/undo_email_change?email={EMAIL}&undo_token={undo}");
    server.get(&link).by_browser().send().await.assert_page(200);
    let stored = ["bienvenue.db", "bienvenue.db-wal"].map(|name| {
        let folder = database.file().parent().unwrap().to_owned();
        fs::read(folder.join(name)).unwrap_or_default()
    });
    let undone = server.undo_address(EMAIL, &undo, PASSWORD).send().await;
    assert_eq!(undone.status, 200, "{undone:?}");
    let (_, log) = server.stop();
    for event in [
        "address_change_asked",
        "address_changed",
        "address_change_undone",
    ] {
        assert!(log.contains(event), "{event}: {log}");
    }
    let contains = |bytes: &[u8], text: &str| {
        let mut parts = bytes.windows(text.len());
        parts.any(|part| part == text.as_bytes())
    };
    assert!(stored.iter().any(|bytes| contains(bytes, NEW)));
    for secret in [&token, &undo] {
        assert!(!log.contains(secret.as_str()), "{secret}");
        assert!(
            stored.iter().all(|bytes| !contains(bytes, secret)),
            "{secret}"
        );
    }
}
