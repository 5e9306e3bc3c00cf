//! A person changes their address by the mails of a real mail server, and takes their account back.

use fantoccini::key::Key;

use super::{Browser, PERSON, open_link};
use crate::support::Database;
use crate::support::server::Server;
use crate::support::smtp_server::{Mail, SENDER, SmtpServer};

const EMAIL: &str = "bob@example.org";
const NEW: &str = "robert@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";
const NEW_PASSWORD: &str = "abondance de savoie";

/// The one mail that comes.
fn mail(smtp: &SmtpServer) -> Mail {
    let mut mails = smtp.wait();
    assert_eq!(mails.len(), 1, "{mails:?}");
    mails.remove(0)
}

/// Presses the tab key until this has the focus, which is framed.
async fn tab_to(browser: &Browser, name: &str) {
    let tab = char::from(Key::Tab).to_string();
    for _ in 0..12 {
        browser.press(&tab).await;
        if browser.focus().await == name {
            assert_eq!(browser.focus_frame().await, "3px", "{name}");
            return;
        }
    }
    panic!("the focus does not come to {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_changes_their_address_and_takes_the_account_back_by_the_keyboard_alone() {
    let Some(smtp) = SmtpServer::start() else {
        return;
    };
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let smtp_url = format!("smtp://{}", smtp.address());
    let options = [
        "--public-url",
        "http://localhost:5000",
        "--bcrypt-cost",
        "4",
        "--sign-up",
        "unverified",
        "--smtp-url",
        &smtp_url,
        "--mail-from",
        SENDER,
    ];
    let server = Server::start_with(&database.url, &options);
    server.registered(EMAIL, PASSWORD).await;
    browser.open(&format!("{}/profile", server.url)).await;
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", PASSWORD).await;
    browser.press_enter().await;
    browser.follow("Change your email address").await;
    assert_eq!(browser.text_of("h1").await, "Change your email address");
    tab_to(&browser, "email").await;
    browser.press("robert@").await;
    browser.press_enter().await;
    let problem = browser.text_of("#email-problem").await;
    assert!(problem.contains("not an email address"), "{problem}");
    assert_eq!(browser.focus().await, "email");
    browser.fill("#email", NEW).await;
    browser.press_enter().await;
    let status = browser.text_of("[role=status]").await;
    assert!(
        status.contains(NEW) && status.contains("for 1 hour"),
        "{status}"
    );
    assert!(browser.text().await.contains("Call the change off"));

    let confirm = mail(&smtp);
    assert_eq!(confirm.to, [NEW]);
    open_link(&browser, &server, &confirm.link()).await;
    assert_eq!(browser.text_of("h1").await, "Confirm your new address");
    tab_to(&browser, "Change my address").await;
    browser.press_enter().await;
    assert_eq!(browser.path().await, "/profile?address=changed");
    let status = browser.text_of("[role=status]").await;
    assert!(
        status.starts_with("Your email address has been changed"),
        "{status}"
    );
    assert_eq!(browser.text_of("dd").await, NEW);
    assert!(server.can_log_in(NEW, PASSWORD).await);

    let undo = mail(&smtp);
    assert_eq!(undo.to, [EMAIL]);
    assert!(!format!("{undo:?}").contains(NEW), "{undo:?}");
    open_link(&browser, &server, &undo.link()).await;
    assert_eq!(browser.text_of("h1").await, "Take your account back");
    assert_eq!(browser.value_of("#email").await, EMAIL);
    tab_to(&browser, "new_password").await;
    browser.press("short").await;
    browser.press_enter().await;
    let problem = browser.text_of("#new_password-problem").await;
    assert!(problem.contains("too short"), "{problem}");
    assert_eq!(browser.focus().await, "new_password");
    browser.press(NEW_PASSWORD).await;
    browser.press_enter().await;
    let status = browser.text_of("[role=status]").await;
    assert!(status.contains("has this address again"), "{status}");
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", NEW_PASSWORD).await;
    browser.press_enter().await;
    assert_eq!(browser.text_of("strong").await, EMAIL);
    assert!(!server.can_log_in(NEW, PASSWORD).await);
    // Each link has done its work.
    for (mail, words) in [
        (&undo, "no longer works"),
        (&confirm, "does not work for this account"),
    ] {
        open_link(&browser, &server, &mail.link()).await;
        let alert = browser.text_of("[role=alert]").await;
        assert!(alert.contains(words), "{alert}");
    }
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}
