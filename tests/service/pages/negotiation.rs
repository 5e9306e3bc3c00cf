//! Who gets pages, and who the JSON of the contract.

use serde_json::json;

use super::{BROWSER, EMAIL, PASSWORD};
use crate::on_each_engine;
use crate::support::TestApp;
use crate::support::client::FORM;

on_each_engine! {
    async fn a_client_that_does_not_prefer_html_reads_json(database: Database) {
        let app = TestApp::new(database).await;
        for accept in ["*/*", "application/json", "application/json, text/plain, */*", "text/html, */*"] {
            let reply = app.get("/").header("accept", accept).send().await;
            reply.assert_is(200, &json!({ "message": "Bienvenue" }));
            assert_eq!(reply.header("vary"), Some("accept"));
            let call = app.get("/nowhere").header("accept", accept);
            app.assert_refused(call, 404, "not found").await;
            for (path, allowed) in [("/users", "POST,PUT,DELETE"), ("/reset_password", "POST,PUT"), ("/profile/password", "PUT"), ("/profile/email", "POST,PUT,DELETE"), ("/undo_email_change", "PUT")] {
                let call = app.get(path).header("accept", accept);
                let reply = call.clone().send().await;
                assert_eq!(reply.header("allow"), Some(allowed));
                assert_eq!(reply.header("vary"), Some("accept"));
                app.assert_refused(call, 405, "method not allowed").await;
            }
        }
    }

    async fn a_browser_gets_pages_on_the_same_paths(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        for path in ["/", "/users", "/users/", "/sessions", "/sessions/", "/profile", "/profile/", "/reset_password", "/reset_password/"] {
            let is_for_strangers = path.starts_with("/users") || path.starts_with("/sessions");
            let call = app.get(path).by_browser();
            let call = if is_for_strangers { call } else { call.session(&session) };
            let reply = call.send().await;
            reply.assert_page(200);
            assert_eq!(reply.header("vary"), Some("accept, accept-language"), "{path}");
            assert_eq!(reply.header("allow"), None, "{path}");
            // Who is not logged in is told so, or finds a page too.
            for session in [Some(&session), None] {
                let ask = |method| {
                    let call = app.request(method, path).by_browser();
                    session.into_iter().fold(call, |call, session| call.session(session)).send()
                };
                let (reply, head) = (ask("GET").await, ask("HEAD").await);
                assert_eq!((head.status, head.body.len()), (reply.status, 0), "{path}");
                assert_eq!(head.header("content-length").unwrap(), reply.body.len().to_string());
            }
        }
    }

    async fn a_form_field_stands_for_no_method_but_in_a_form_of_a_browser(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let log_in = [("email", EMAIL), ("password", PASSWORD), ("_method", "DELETE")];
        let reply = app.post("/sessions", &log_in).send().await;
        reply.assert_is(200, &json!({ "email": EMAIL, "message": "logged in" }));

        let fields = json!({ "email": EMAIL, "password": PASSWORD, "_method": "DELETE" });
        for call in [
            app.request("POST", "/sessions").json(&fields),
            app.request("POST", "/sessions").multipart(&log_in),
            app.post("/sessions?_method=DELETE", &log_in[..2]),
        ] {
            let reply = call.by_browser().send().await;
            reply.assert_leads_to("/");
            assert!(reply.session_id().is_some(), "{reply:?}");
        }
    }

    async fn a_form_field_stands_for_put_and_delete_and_nothing_else(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let before = app.inside.all_rows().await;
        for method in ["put", "Delete", "PATCH", "GET", "POST", "HEAD", "DELETE ", "PUT DELETE"] {
            let form = [("_method", method), ("email", EMAIL), ("password", PASSWORD)];
            app.post("/sessions", &form).by_browser().send().await.assert_page(400);
        }
        for (path, method) in [("/users/me", "DELETE"), ("/sessions", "PUT"), ("/reset_password", "DELETE"), ("/profile", "DELETE")] {
            let form = [("_method", method), ("email", EMAIL), ("password", PASSWORD)];
            let reply = app.post(path, &form).by_browser().send().await;
            reply.assert_page(405);
            assert!(reply.header("allow").is_some());
        }
        for body in ["_method=PUT&_method=DELETE", "_method=DELETE&_method=DELETE", "_method="] {
            let call = app.request("POST", "/sessions").body(FORM, body);
            call.by_browser().send().await.assert_page(400);
        }
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn what_is_the_same_for_everybody_is_not_negotiated(database: Database) {
        let app = TestApp::new(database).await;
        let home = app.get("/").by_browser().send().await.assert_page(200);
        let style = home.attribute("link[rel=stylesheet]", "href").unwrap();
        for accept in ["text/css,*/*;q=0.1", BROWSER, "*/*"] {
            let reply = app.get(&style).header("accept", accept).send().await;
            assert_eq!(reply.status, 200);
            assert_eq!(reply.header("vary"), None);
        }
        let call = app.request("POST", &style);
        app.assert_refused(call, 405, "method not allowed").await;
    }
}
