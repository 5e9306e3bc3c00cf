//! Signing up by a link that goes to the address, and not at all.

use bienvenue::auth::SignUpMode;

use crate::support::smtp_server::{Mail, SmtpServer};
use crate::support::{Database, TestApp};

mod asking;
mod closed;
mod confirmation;
mod finishing;
mod pages;
mod program;
mod races;

/// The address of a user, whose password is [`PASSWORD`].
const EMAIL: &str = "bob@example.org";
/// An address without an account.
const NEW: &str = "new@example.org";
const PASSWORD: &str = "b4l0u";
const UNKNOWN_TOKEN: &str = "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44";
const INVALID: &str = "invalid sign-up token";

/// An app with a user, where tokens are in the answers.
async fn app_without_mail(database: Database) -> TestApp {
    let app = TestApp::new(database).await;
    app.registered(EMAIL, PASSWORD).await;
    app.with_rules(|auth| auth.with_sign_up(SignUpMode::Verified))
}

/// An app with a user, where links go by mail.
async fn app_with_mail(database: Database, server: &SmtpServer) -> TestApp {
    let app = TestApp::mailing(database, server.mailer()).await;
    app.registered(EMAIL, PASSWORD).await;
    app.with_rules(|auth| auth.with_sign_up(SignUpMode::Verified))
}

fn only(mut mails: Vec<Mail>) -> Mail {
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

/// Asks to sign up with an address, and returns the token in the mail that comes.
async fn mailed_token(app: &TestApp, server: &SmtpServer, email: &str) -> String {
    let reply = app.ask_sign_up(email).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    app.deliver().await;
    only(server.take()).token()
}
