//! Mail servers and folders.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};

use tempfile::tempdir;

use super::*;
use crate::support::Database;
use crate::support::smtp_server::{SENDER, SmtpServer, Tls};

/// What is found of a mail server, by a URL of this scheme and this login.
fn found(server: &SmtpServer, scheme: &str, login: &str, further: &[&str]) -> Found {
    let database = Database::sqlite();
    let url = format!("{scheme}://{login}{}", server.address());
    let public = ["--public-url", "http://127.0.0.1:1", "--mail-from", SENDER];
    let mut command = command(&database.url, &[&public[..], further].concat());
    let found = Found::from(command.env("BIENVENUE_SMTP_URL", url).output().unwrap());
    assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    found
}

#[tokio::test]
async fn a_mail_server_that_takes_mails_gets_none() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    found(&server, "smtp", "", &[]).has("ok", "mail", "takes mails from us");
    assert_eq!(server.take().len(), 0);
}

#[tokio::test]
async fn a_login_is_tried() {
    let login = ["--login", "me:s3cret"];
    let Some(server) = SmtpServer::start_with("127.0.0.1", Tls::None, &login) else {
        return;
    };
    found(&server, "smtp", "me:s3cret@", &[]).has("ok", "mail", "takes mails from us");
    found(&server, "smtp", "me:s3cret2@", &[]).has("fail", "mail", "check user and password");
    assert_eq!(server.take().len(), 0);
}

#[tokio::test]
async fn encryption_is_tried() {
    let Some(server) = SmtpServer::start_with("127.0.0.1", Tls::Wrapped, &[]) else {
        return;
    };
    let folder = tempdir().unwrap();
    let authority = folder.path().join("authority.pem");
    fs::write(&authority, server.certificate().unwrap()).unwrap();
    let trusted = ["--smtp-ca-file", authority.to_str().unwrap()];
    found(&server, "smtps", "", &trusted).has("ok", "mail", "takes mails from us");
    found(&server, "smtps", "", &[]).has("fail", "mail", "--smtp-ca-file");

    let plain = SmtpServer::start().unwrap();
    found(&plain, "smtps", "", &[]).has("fail", "mail", "give smtps:// for a port that");
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_told() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    server.tarpit();
    found(&server, "smtp", "", &[]).has("fail", "mail", "does not answer within 10 s");
    server.go_down();
    found(&server, "smtp", "", &[]).has("fail", "mail", "cannot be reached");
}

#[tokio::test]
async fn a_server_that_does_not_stop_talking_is_told() {
    let Some(server) = SmtpServer::start() else {
        return;
    };
    for point in ["GREETING", "EHLO", "NOOP"] {
        server.flood(point);
        found(&server, "smtp", "", &[]).has("fail", "mail", "says more than 64 KiB");
        let length = server.length_of_flood();
        assert!(length < 16 * 1024 * 1024, "{point}: {length}");
    }
    server.flood("QUIT");
    found(&server, "smtp", "", &[]).has("ok", "mail", "takes mails from us");
}

#[test]
fn a_folder_for_mails_is_told_to_be_there_or_not_and_is_not_made() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let mails = folder.path().join("deep/mails");
    let public = ["--public-url", "http://127.0.0.1:1", "--mail-dir"];
    let found = || {
        let before = files(folder.path());
        let found = doctor(
            &database.url,
            &[&public[..], &[mails.to_str().unwrap()]].concat(),
        );
        assert_eq!(files(folder.path()), before);
        found
    };
    found().has(
        "ok",
        "mail",
        "made at the start, so restart a service that runs",
    );
    fs::write(folder.path().join("deep"), "").unwrap();
    found().has("fail", "mail", "another --mail-dir");
    fs::remove_file(folder.path().join("deep")).unwrap();
    fs::create_dir_all(&mails).unwrap();
    fs::set_permissions(&mails, Permissions::from_mode(0o755)).unwrap();
    found().has("warn", "mail", "chmod 700");
    fs::set_permissions(&mails, Permissions::from_mode(0o700)).unwrap();
    found().has("ok", "mail", "mails can be put into");
    fs::remove_dir(&mails).unwrap();
    symlink("nowhere", &mails).unwrap();
    found().has("fail", "mail", "is a link to nothing");
}

#[tokio::test]
async fn a_folder_for_mails_that_is_taken_away_from_a_service_that_runs_is_told() {
    let database = Database::sqlite();
    let folder = tempdir().unwrap();
    let mails = folder.path().join("mails");
    let public = ["--public-url", "http://127.0.0.1:1", "--mail-dir"];
    let options = [&public[..], &[mails.to_str().unwrap()]].concat();
    let operations = ["--operations", "127.0.0.1:0"];
    let server = Server::start_with(&database.url, &[&options[..], &operations].concat());
    let operations = ["--operations", server.operations_address()];
    let options = [&options[..], &operations].concat();
    doctor(&database.url, &options).has("ok", "mail", "mails can be put into");
    fs::rename(&mails, folder.path().join("moved")).unwrap();
    let found = doctor(&database.url, &options);
    found.has("fail", "mail", "put the folder back, or");
    found.has("ok", "service", "ready");
    assert!(!mails.exists());
}
