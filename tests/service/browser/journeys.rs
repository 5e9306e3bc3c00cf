//! What a person does, from the first visit to a new password.

use super::{Browser, PERSON, Setup, open_link};
use crate::support::Database;
use crate::support::server::Server;
use crate::support::smtp_server::{SENDER, SmtpServer};

const EMAIL: &str = "bob@example.org";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_without_scripts_finds_their_way() {
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    browser
        .open("data:text/html,<title>off</title><script>document.title='on'</script>")
        .await;
    assert_eq!(browser.title().await, "off");

    sign_up(&browser, &server).await;
    log_out_and_in(&browser, &server).await;
    choose_another_password(&browser, &server).await;
    browser.open(&format!("{}/nowhere", server.url)).await;
    assert_eq!(browser.text_of("h1").await, "Page not found");
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

/// Signs up, with a mistake on the way.
async fn sign_up(browser: &Browser, server: &Server) {
    browser.open(&server.url).await;
    assert_eq!(browser.title().await, "Welcome · Bienvenue");
    browser.follow("No account yet? Sign up").await;
    browser.fill("#email", "bob@").await;
    browser.fill("#password", "b4l0u").await;
    browser.click("button").await;
    assert!(browser.title().await.starts_with("Error – "));
    let problem = browser.text_of("#email-problem").await;
    assert!(problem.contains("not an email address"), "{problem}");
    assert_eq!(browser.focus().await, "email");
    assert_eq!(browser.value_of("#email").await, "bob@");
    assert_eq!(browser.value_of("#password").await, "");
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", "b4l0u").await;
    browser.click("button").await;
    assert_eq!(browser.path().await, "/");
    assert_eq!(browser.text_of("strong").await, EMAIL);
}

/// Sees who they are, logs out, and logs in at the second attempt, to where they wanted to go.
async fn log_out_and_in(browser: &Browser, server: &Server) {
    browser.follow("Your account").await;
    assert_eq!(browser.text_of("dd").await, EMAIL);
    browser.click("button").await;
    assert_eq!(browser.path().await, "/");
    assert!(browser.has("#password").await);
    browser.open(&format!("{}/profile", server.url)).await;
    let notice = browser.text_of("[role=status]").await;
    assert_eq!(notice, "Log in to continue.");
    assert_eq!(browser.focus().await, "email");

    browser.fill("#email", EMAIL).await;
    browser.fill("#password", "forgotten").await;
    browser.click("button").await;
    let alert = browser.text_of("[role=alert]").await;
    assert_eq!(alert, "Wrong email address or password.");
    assert_eq!(browser.value_of("#email").await, EMAIL);
    assert_eq!(browser.focus().await, "password");
    browser.fill("#password", "b4l0u").await;
    browser.click("button").await;
    assert_eq!(browser.path().await, "/profile");
}

/// Has forgotten the password, and chooses another, once.
async fn choose_another_password(browser: &Browser, server: &Server) {
    browser.click("button").await;
    browser.follow("Forgot your password?").await;
    browser.fill("#email", "nobody@example.org").await;
    browser.click("button").await;
    let problem = browser.text_of("#email-problem").await;
    assert!(
        problem.contains("no account with this address"),
        "{problem}"
    );
    browser.fill("#email", EMAIL).await;
    browser.click("button").await;
    let link = browser.path().await;
    assert!(link.contains("reset_token="), "{link}");
    // As a mail program opens it.
    browser.open(&format!("{}{link}", server.url)).await;
    assert_eq!(browser.value_of("#email").await, EMAIL);
    browser.click("button").await;
    let problem = browser.text_of("#new_password-problem").await;
    assert_eq!(problem, "Enter a password.");
    browser.fill("#new_password", "t4rt1fl3tt3").await;
    browser.click("button").await;
    let status = browser.text_of("[role=status]").await;
    assert!(status.contains("has been changed"), "{status}");
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", "t4rt1fl3tt3").await;
    browser.click("button").await;
    assert_eq!(browser.text_of("strong").await, EMAIL);

    browser.open(&format!("{}{link}", server.url)).await;
    let alert = browser.text_of("[role=alert]").await;
    assert!(alert.contains("no longer works"), "{alert}");
    assert!(!server.can_log_in(EMAIL, "b4l0u").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_looks_after_their_account() {
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    server.registered(EMAIL, "b4l0u").await;
    let elsewhere = server.logged_in(EMAIL, "b4l0u").await;
    browser.open(&format!("{}/profile", server.url)).await;
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", "b4l0u").await;
    browser.click("button").await;
    browser.follow("Where you are logged in").await;
    let sessions = browser.text().await;
    assert!(sessions.contains("Chrome on Linux") && sessions.contains("This session"));
    browser.click("li button").await;
    let status = browser.text_of("[role=status]").await;
    assert_eq!(status, "The session has ended.");
    assert!(!server.is_logged_in(&elsewhere).await);

    let elsewhere = server.logged_in(EMAIL, "b4l0u").await;
    browser.follow("Change your password").await;
    assert_eq!(browser.value_of("#email").await, EMAIL);
    browser.fill("#password", "forgotten").await;
    browser.fill("#new_password", "t4rt1fl3tt3").await;
    browser.click("button").await;
    let problem = browser.text_of("#password-problem").await;
    assert_eq!(problem, "This is not your current password.");
    browser.fill("#password", "b4l0u").await;
    browser.fill("#new_password", "t4rt1fl3tt3").await;
    browser.click("button").await;
    assert_eq!(browser.path().await, "/profile?password=updated");
    assert!(!server.is_logged_in(&elsewhere).await);

    // The login was too long ago.
    let inside = database.look_inside().await;
    let earlier = "UPDATE sessions SET created_at = created_at - 600";
    inside.execute(earlier).await;
    browser.follow("Delete your account").await;
    assert_eq!(browser.path().await, "/sessions?next=%2Fusers%2Fme");
    assert_eq!(browser.focus().await, "password");
    browser.fill("#password", "t4rt1fl3tt3").await;
    browser.click("button").await;
    assert_eq!(browser.path().await, "/users/me");
    browser.click("button").await;
    let status = browser.text_of("[role=status]").await;
    assert_eq!(status, "Your account has been deleted.");
    assert_eq!(inside.count("users").await, 0);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_in_public_signs_up_and_chooses_a_new_password_by_mail() {
    let Some(smtp) = SmtpServer::start() else {
        return;
    };
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let smtp_url = format!("smtp://{}", smtp.address());
    let public = [
        "--public-url",
        "http://localhost:5000",
        "--bcrypt-cost",
        "4",
    ];
    let mail = ["--smtp-url", &smtp_url, "--mail-from", SENDER];
    let server = Server::start_with(&database.url, &[&public[..], &mail].concat());

    sign_up_by_mail(&browser, &server, &smtp, &database).await;

    // Is told the same whether or not the address is known.
    for email in ["nobody@example.org", EMAIL] {
        browser
            .open(&format!("{}/reset_password", server.url))
            .await;
        browser.fill("#email", email).await;
        browser.click("button").await;
        assert!(
            browser
                .path()
                .await
                .starts_with("/reset_password?link=sent&")
        );
        assert_eq!(browser.text_of("h1").await, "Check your email");
        let text = browser.text_of("main p").await;
        for told in [email, "for 30 minutes", "in 5 minutes"] {
            assert!(text.contains(told), "{text}");
        }
    }

    let mails = smtp.wait();
    assert_eq!(mails[0].to, [EMAIL]);
    open_link(&browser, &server, &mails[0].link()).await;
    browser.fill("#new_password", "b4l0u").await;
    browser.click("button").await;
    let said = browser.text_of("#new_password-problem").await;
    assert!(said.contains("too short"), "{said}");
    browser.fill("#new_password", "abondance de savoie").await;
    browser.click("button").await;
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", "abondance de savoie").await;
    browser.click("button").await;
    assert_eq!(browser.text_of("strong").await, EMAIL);
    assert_eq!(browser.complaints().await, [""; 0]);
    browser.close().await;
}

/// Signs up by the link in a mail, and learns on the way what is asked of a password; tries it once more, and
/// learns that there is an account. Ends logged out.
async fn sign_up_by_mail(
    browser: &Browser,
    server: &Server,
    smtp: &SmtpServer,
    database: &Database,
) {
    let ask = async || {
        browser.open(&server.url).await;
        browser.follow("No account yet? Sign up").await;
        browser.fill("#email", EMAIL).await;
        browser.click("button").await;
        let path = browser.path().await;
        assert!(path.starts_with("/users?link=sent&"), "{path}");
        let told = browser.text().await;
        assert!(told.contains(EMAIL), "{told}");
        let mut mails = smtp.wait();
        assert_eq!(mails.len(), 1, "{mails:?}");
        (mails.remove(0), told)
    };
    let (mail, told) = ask().await;
    open_link(browser, server, &mail.link()).await;
    assert_eq!(browser.text_of("h1").await, "Choose a password");
    assert_eq!(browser.value_of("#email").await, EMAIL);
    for (password, problem) in [
        ("b4l0u", "at least 8 characters"),
        ("password1", "one of the most common"),
        (EMAIL, "your email address"),
    ] {
        browser.fill("#password", password).await;
        browser.click("button").await;
        let said = browser.text_of("#password-problem").await;
        assert!(said.contains(problem), "{said}");
        assert_eq!(browser.focus().await, "password");
    }
    browser.fill("#password", "r3bl0ch0n de savoie").await;
    browser.press_enter().await;
    assert_eq!(browser.path().await, "/");
    assert_eq!(browser.text_of("strong").await, EMAIL);
    browser.click("button").await;

    // As mails wait for five minutes after another, the mail is forgotten first.
    let inside = database.look_inside().await;
    inside.execute("DELETE FROM outbox").await;
    let (notice, told_again) = ask().await;
    assert_eq!(told_again, told, "the same as without an account");
    assert_eq!(
        notice.header("Subject"),
        "You already have a Bienvenue account"
    );
    open_link(browser, server, &notice.link()).await;
    assert_eq!(browser.path().await, "/sessions?email=bob%40example.org");
    assert_eq!(browser.value_of("#email").await, EMAIL);
    // The link to sign up has done its work.
    open_link(browser, server, &mail.link()).await;
    let alert = browser.text_of("[role=alert]").await;
    assert!(alert.contains("no longer works"), "{alert}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_reads_their_own_language() {
    let french = Setup {
        language: "fr-CH,de,en",
        ..PERSON
    };
    let Some(browser) = Browser::start(french).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    browser.open(&server.url).await;
    assert_eq!(browser.text_of("h1").await, "Bonjour");
    browser.fill("#email", EMAIL).await;
    browser.fill("#password", "b4l0u").await;
    browser.click("button").await;
    assert!(browser.title().await.starts_with("Erreur – "));
    let alert = browser.text_of("[role=alert]").await;
    assert_eq!(alert, "Adresse e‑mail ou mot de passe incorrect.");
    browser.close().await;
}
