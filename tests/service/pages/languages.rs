//! English and French.

use std::collections::HashSet;

use bienvenue::app::{Brand, Settings};
use bienvenue::email::Email;

use super::{EMAIL, every_page};
use crate::on_each_engine;
use crate::support::{Database, TestApp};

/// Settings whose name is a word of no language.
fn settings() -> Settings {
    let brand = Brand {
        site_name: "Xyzzy".parse().unwrap(),
        ..Brand::default()
    };
    Settings {
        brand,
        ..Settings::default()
    }
}

#[tokio::test]
async fn no_page_has_a_text_that_is_not_translated() {
    let english = every_page(Database::sqlite(), settings(), "en").await;
    let french = every_page(Database::sqlite(), settings(), "fr").await;
    assert_eq!(english.len(), french.len());
    for (english, french) in english.into_iter().zip(french) {
        let name = english.name;
        let english = english.reply.assert_page(english.status);
        let french = french.reply.assert_page(french.status);
        let english: HashSet<String> = english.texts().into_iter().collect();
        assert!(!english.is_empty());
        for text in french.texts() {
            let is_of_no_language = text == "Xyzzy" || text.parse::<Email>().is_ok();
            assert!(
                is_of_no_language || !english.contains(&text),
                "{name}: {text:?} is the same in both languages"
            );
        }
    }
}

on_each_engine! {
    async fn the_language_is_the_one_that_the_browser_prefers(database: Database) {
        let app = TestApp::new(database).await;
        for (accept_language, language, heading) in [
            ("fr", "fr", "Bonjour"),
            ("fr-CA,fr;q=0.9,en;q=0.8", "fr", "Bonjour"),
            ("en-US,en;q=0.9,fr;q=0.8", "en", "Welcome"),
            ("de-DE,de;q=0.9", "en", "Welcome"),
            ("de,fr;q=0.2,en;q=0.1", "fr", "Bonjour"),
            ("", "en", "Welcome"),
        ] {
            let reply = app.get("/").in_language(accept_language).send().await;
            let page = reply.assert_page(200);
            assert_eq!(page.text("h1"), heading, "{accept_language}");
            assert_eq!(page.attribute("html", "lang").unwrap(), language);
            assert_eq!(reply.header("content-language"), Some(language));
            assert_eq!(reply.header("vary"), Some("accept, accept-language"));
        }
    }

    async fn json_is_english_whatever_the_browser_prefers(database: Database) {
        let app = TestApp::new(database).await;
        let call = app.log_in(EMAIL, "x").header("accept-language", "fr");
        app.assert_refused(call, 401, "wrong email or password").await;
        let call = app.register("bob", "x").header("accept-language", "fr");
        app.assert_refused(call, 400, "email is not an email address").await;
    }
}
