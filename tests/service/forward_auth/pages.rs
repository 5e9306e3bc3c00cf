//! What people see on the way to an app.

use super::*;
use crate::on_each_engine;
use crate::support::TestApp;

on_each_engine! {
    async fn each_page_speaks_both_languages_runs_nothing_and_has_its_style(database: Database) {
        let app = TestApp::new(database).await;
        let app = app.guarding(&[WIKI, "closed.example.org: eve@example.org"]);
        let session = logged_in(&app).await;
        let state = "0".repeat(64);
        let authorize = |host: &str| format!("/_bienvenue/authorize?app={host}&state={state}");
        for _ in 0..30 {
            app.get(&authorize(WIKI)).session(&session).send().await;
        }
        let check = |host: &str| Way::ForwardAuth.ask(&app, "GET", host, "/");
        let at_wiki = format!("bienvenue_app={}", {
            let other = app.logged_in(EMAIL, PASSWORD).await;
            let mut browser = Browser::with_session(&app, Way::ForwardAuth, &other);
            browser.enter("https://wiki.example.org/").await;
            browser.app_session(WIKI)
        });
        for (call, status, english, french) in [
            (
                app.get("/_bienvenue/callback?ticket=x").header("host", WIKI),
                403,
                "You could not be logged in to this app",
                "Vous n’avez pas pu être connecté",
            ),
            (
                app.get(&authorize("closed.example.org")).session(&session),
                403,
                "your account may not use this app",
                "votre compte n’a pas accès",
            ),
            (
                app.get(&authorize("evil.example")).session(&session),
                403,
                "This app is not set up",
                "Cette application n’est pas configurée",
            ),
            (
                check("evil.example").header("cookie", at_wiki),
                403,
                "This app is not set up",
                "Cette application n’est pas configurée",
            ),
            (
                app.get(&authorize(WIKI)).session(&session),
                429,
                "<h1>Too many requests</h1>",
                "<h1>Trop de demandes</h1>",
            ),
            (
                app.get("/profile").session(&session),
                200,
                "Your apps",
                "Vos applications",
            ),
        ] {
            for (language, words) in [("en", english), ("fr", french)] {
                let reply = call.clone().in_language(language).send().await;
                let page = reply.assert_page(status);
                assert!(reply.text().contains(words), "{words}: {}", reply.text());
                assert_eq!(page.attribute("html", "lang").unwrap(), language);
                assert!(page.all("script").is_empty());
                // On the host of an app the proxy passes these paths to the service.
                let style = page.attribute("link[rel=stylesheet]", "href").unwrap();
                assert!(style.starts_with("/_bienvenue/"), "{style}");
                let style = app.get(&style).header("host", WIKI).send().await;
                assert_eq!(style.status, 200);
                let policy = reply.header("content-security-policy").unwrap();
                assert!(policy.starts_with("default-src 'none'; style-src 'self'; "), "{policy}");
            }
        }
    }
}
