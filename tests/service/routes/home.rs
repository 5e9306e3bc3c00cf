//! `GET /`.

use serde_json::json;

use crate::on_each_engine;
use crate::support::TestApp;

on_each_engine! {
    async fn home_says_bienvenue(database: Database) {
        let app = TestApp::new(database).await;
        let reply = app.get("/").send().await;
        reply.assert_is(200, &json!({ "message": "Bienvenue" }));
        assert_eq!(reply.header("set-cookie"), None);
        assert_eq!(reply.text(), "{\"message\":\"Bienvenue\"}\n", "a line of its own in a shell");
    }
}
