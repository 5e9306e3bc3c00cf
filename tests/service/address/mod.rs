//! Changing the address of an account, and taking the account back to the address that it had.

use crate::support::client::Reply;
use crate::support::smtp_server::{Mail, SmtpServer};
use crate::support::{Database, TestApp};

mod asking;
mod changing;
mod kept;
mod mails;
mod pages;
mod races;
mod returning;
mod secrets;
mod undoing;

/// The address of a user, whose password is [`PASSWORD`].
const EMAIL: &str = "bob@example.org";
/// The address of another one, with the same password.
const OTHER: &str = "eve@example.org";
/// An address without an account.
const NEW: &str = "new@example.org";
const PASSWORD: &str = "b4l0u";
const UNKNOWN_TOKEN: &str = "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44";
const ON_ITS_WAY: &str = "a link is on its way";
const BAD_EMAIL_TOKEN: &str = "invalid email token";
const BAD_UNDO_TOKEN: &str = "invalid undo token";
const TAKEN: &str = "email already registered";

/// An app with two users, where tokens are in the answers; and a session of the first one.
async fn app_without_mail(database: Database) -> (TestApp, String) {
    let app = TestApp::new(database).await;
    app.registered(EMAIL, PASSWORD).await;
    app.registered(OTHER, PASSWORD).await;
    let session = app.logged_in(EMAIL, PASSWORD).await;
    (app, session)
}

/// The same where links go by mail.
async fn app_with_mail(database: Database, server: &SmtpServer) -> (TestApp, String) {
    let (app, session) = app_without_mail(database).await;
    (app.with_mail(server.mailer()), session)
}

#[track_caller]
fn only(mut mails: Vec<Mail>) -> Mail {
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

/// Asks for an address, and returns the token in the mail that comes.
async fn mailed_token(app: &TestApp, server: &SmtpServer, session: &str, email: &str) -> String {
    let reply = app.ask_address(session, email).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    app.deliver().await;
    let mail = only(server.take());
    assert_eq!(mail.to, [email]);
    mail.token()
}

/// Gives a user another address. Returns the new session and the token in the mail to the old one.
async fn moved_by_mail(
    app: &TestApp,
    server: &SmtpServer,
    session: &str,
    from: &str,
    to: &str,
) -> (String, String) {
    let token = mailed_token(app, server, session, to).await;
    let reply = app.change_address(session, &token).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    app.deliver().await;
    let mail = only(server.take());
    assert_eq!(mail.to, [from]);
    (reply.session_id().unwrap(), mail.token())
}

/// Everything in a reply that a client could tell two apart by.
fn visible(reply: &Reply) -> String {
    let headers = reply.headers.iter();
    let headers = headers.filter(|(name, _)| *name != "x-request-id");
    let body = String::from_utf8_lossy(&reply.body);
    format!("{} {:?} {body}", reply.status, headers.collect::<Vec<_>>())
}
