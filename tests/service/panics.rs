//! A handler that panics harms nobody but who asked.

use std::sync::Arc;

use bienvenue::password::Cost;
use bienvenue::token::TokenSource;
use serde_json::json;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::TestApp;

const EMAIL: &str = "bob@example.org";

/// A source of tokens that is broken.
struct BrokenTokens;

impl TokenSource for BrokenTokens {
    fn uuid(&self) -> Uuid {
        panic!("no tokens")
    }
}

on_each_engine! {
    async fn a_panic_is_an_internal_error_for_that_request_alone(database: Database) {
        let app = TestApp::with(database, Cost::MIN, Arc::new(BrokenTokens)).await;
        app.registered(EMAIL, "b4l0u").await;
        for round in 0..3 {
            for call in [app.log_in(EMAIL, "b4l0u"), app.ask_reset(EMAIL)] {
                call.send().await.assert_refusal(500, "internal error");
            }
            let page = app.log_in(EMAIL, "b4l0u").by_browser().send().await;
            assert!(page.assert_page(500).text("h1").contains("went wrong"), "{page:?}");
            assert_eq!(page.assert_page(500).text("main code"), page.header("x-request-id").unwrap());

            // Whoever needs no token notices nothing.
            app.get("/").send().await.assert_is(200, &json!({ "message": "Bienvenue" }));
            let wrong = app.log_in(EMAIL, "wrong").send().await;
            wrong.assert_refusal(401, "wrong email or password");
            app.registered(&format!("user{round}@example.org"), "b4l0u").await;
        }
    }
}
