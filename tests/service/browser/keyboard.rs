//! What a person does by the keyboard alone.

use fantoccini::key::Key;

use super::{Browser, PERSON};
use crate::support::Database;
use crate::support::server::Server;

const EMAIL: &str = "bob@example.org";

impl Browser {
    /// Goes through the page key by key, and sees where they are at each step.
    async fn walk(&self, stops: &[&str]) {
        let tab = char::from(Key::Tab).to_string();
        for stop in stops {
            self.press(&tab).await;
            assert_eq!(self.focus().await, *stop);
            assert_eq!(self.focus_frame().await, "3px", "{stop}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_needs_nothing_but_the_keyboard() {
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);

    browser.open(&server.url).await;
    browser
        .walk(&[
            "Bienvenue",
            "email",
            "password",
            "remember",
            "Log in",
            "Forgot your password?",
            "No account yet? Sign up",
        ])
        .await;
    browser.press_enter().await;
    assert_eq!(browser.path().await, "/users");
    browser.walk(&["Bienvenue", "email"]).await;
    browser.press(EMAIL).await;
    browser.walk(&["password"]).await;
    browser.press("b4l0u").await;
    browser.press_enter().await;
    assert!(browser.text().await.contains("You are logged in as"));
    browser
        .walk(&["Bienvenue", "Log out", "Your account"])
        .await;
    browser.press_enter().await;
    browser
        .walk(&[
            "Bienvenue",
            "Change your email address",
            "Change your password",
            "Where you are logged in",
            "Delete your account",
            "Log out",
        ])
        .await;
    browser.press_enter().await;

    assert_eq!(browser.path().await, "/");
    browser
        .walk(&[
            "Bienvenue",
            "email",
            "password",
            "remember",
            "Log in",
            "Forgot your password?",
        ])
        .await;
    browser.press_enter().await;
    browser.walk(&["Bienvenue", "email"]).await;
    browser.press(EMAIL).await;
    browser.walk(&["Continue"]).await;
    browser.press_enter().await;
    browser.walk(&["Bienvenue", "email", "new_password"]).await;
    browser.press("t4rt1fl3tt3").await;
    browser.walk(&["Save password"]).await;
    browser.press_enter().await;
    assert!(
        browser
            .text_of("[role=status]")
            .await
            .contains("has been changed")
    );
    // The address is filled in.
    assert_eq!(browser.focus().await, "password");
    browser.press("wrong").await;
    browser.press_enter().await;
    // At the place to go on from.
    assert_eq!(browser.focus().await, "password");
    browser.press("t4rt1fl3tt3").await;
    browser.press_enter().await;
    assert!(browser.text().await.contains("You are logged in as"));
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_looks_after_their_account_with_nothing_but_the_keyboard() {
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    let elsewhere = server.logged_in(EMAIL, "b4l0u").await;
    browser
        .open(&format!("{}/profile/password", server.url))
        .await;
    assert_eq!(browser.focus().await, "email");
    browser.press(EMAIL).await;
    browser.walk(&["password"]).await;
    browser.press("b4l0u").await;
    browser.press_enter().await;

    assert_eq!(browser.path().await, "/profile/password");
    browser.walk(&["Bienvenue", "email", "password"]).await;
    browser.press("b4l0u").await;
    browser.walk(&["new_password"]).await;
    browser.press("t4rt1fl3tt3").await;
    browser.walk(&["remember", "Save password"]).await;
    browser.press_enter().await;
    assert_eq!(browser.path().await, "/profile?password=updated");
    assert!(!server.is_logged_in(&elsewhere).await);

    let elsewhere = [
        server.logged_in(EMAIL, "t4rt1fl3tt3").await,
        server.logged_in(EMAIL, "t4rt1fl3tt3").await,
    ];
    browser.open(&format!("{}/sessions", server.url)).await;
    browser.walk(&["Bienvenue", "End session"]).await;
    browser.press_enter().await;
    assert_eq!(browser.path().await, "/sessions?ended=session");
    browser
        .walk(&["Bienvenue", "End session", "End all other sessions"])
        .await;
    browser.press_enter().await;
    assert_eq!(browser.path().await, "/sessions?ended=others");
    for session in elsewhere {
        assert!(!server.is_logged_in(&session).await);
    }

    browser.open(&format!("{}/users/me", server.url)).await;
    browser.walk(&["Bienvenue", "Delete my account"]).await;
    browser.press_enter().await;
    let status = browser.text_of("[role=status]").await;
    assert_eq!(status, "Your account has been deleted.");
    browser.close().await;
}
