//! Which passwords can be chosen in the public exposure.

use bienvenue::password::PasswordRule;

use crate::on_each_engine;
use crate::support::{Database, TestApp};

const EMAIL: &str = "tartiflette@example.org";
const GOOD: &str = "r3bl0ch0n de savoie";

/// Passwords that are refused, with what is said after the name of the field.
const WEAK: [(&str, &str); 6] = [
    ("t4rt1fl", "is shorter than 8 characters"),
    (
        "\u{1F600}\u{1F600}\u{1F600}\u{1F600}",
        "is shorter than 8 characters",
    ),
    (
        "Iloveyou",
        "is too close to one of the most used passwords, which are tried first",
    ),
    (
        "1234567890",
        "is too close to one of the most used passwords, which are tried first",
    ),
    ("Tartiflette", "is too close to the email address"),
    (
        "TARTIFLETTE@example.org",
        "is too close to the email address",
    ),
];

async fn app_with_rule(database: Database) -> TestApp {
    let app = TestApp::new(database).await;
    app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()))
}

on_each_engine! {
    async fn a_weak_password_is_refused_at_sign_up_and_costs_no_hash(database: Database) {
        let app = app_with_rule(database).await;
        for (password, problem) in WEAK {
            let call = app.register(EMAIL, password);
            app.assert_refused(call, 400, &format!("password {problem}")).await;
        }
        assert_eq!(app.passwords.rounds_spent(), 0);
        app.registered(EMAIL, GOOD).await;
        assert!(app.can_log_in(EMAIL, GOOD).await);
    }

    async fn a_weak_new_password_is_refused_and_does_not_use_up_the_token(database: Database) {
        let app = app_with_rule(database).await;
        app.registered(EMAIL, GOOD).await;
        let token = app.reset_token(EMAIL).await;
        for (password, problem) in WEAK {
            let call = app.reset(&EMAIL.to_uppercase(), &token, password);
            app.assert_refused(call, 400, &format!("new_password {problem}")).await;
        }
        assert_eq!(app.reset(EMAIL, &token, "abondance de savoie").send().await.status, 200);
    }

    async fn a_weak_password_says_nothing_about_who_is_registered(database: Database) {
        let app = app_with_rule(database).await;
        app.registered(EMAIL, GOOD).await;
        for email in [EMAIL, "nobody@example.org"] {
            let call = app.register(email, "password");
            app.assert_refused(call, 400, "password is too close to one of the most used passwords, which are tried first").await;
        }
    }

    async fn who_has_a_weak_password_can_still_log_in(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let app = app.with_rules(|auth| auth.with_password_rule(PasswordRule::default()));
        assert!(app.can_log_in(EMAIL, "b4l0u").await);
    }

    async fn without_the_rule_any_password_can_be_chosen(database: Database) {
        let app = TestApp::new(database).await;
        for (number, (password, _)) in WEAK.into_iter().enumerate() {
            app.registered(&format!("user{number}@example.org"), password).await;
        }
    }

    async fn passwords_have_1024_bytes_at_most_with_the_rule_too(database: Database) {
        let app = app_with_rule(database).await;
        let call = app.register(EMAIL, &"x".repeat(1025));
        app.assert_refused(call, 400, "password is longer than 1024 bytes").await;
        app.registered(EMAIL, &"abondance de savoie, ".repeat(60)[..1024]).await;
    }

    async fn long_passwords_work_in_every_script_and_whole(database: Database) {
        let app = TestApp::new(database).await;
        for (number, password) in ["\u{5BC6}".repeat(64), "\u{1F600}".repeat(256)].into_iter().enumerate() {
            let email = format!("user{number}@example.org");
            app.registered(&email, &password).await;
            assert!(app.can_log_in(&email, &password).await);
            let shorter: String = password.chars().skip(1).collect();
            assert!(!app.can_log_in(&email, &shorter).await);
        }
    }
}
