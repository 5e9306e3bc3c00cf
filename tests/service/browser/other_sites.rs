//! What another site can make a person's browser do here.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use tokio::net::TcpListener;

use super::{Browser, PERSON};
use crate::support::Database;
use crate::support::server::Server;

/// Serves one page at another site than the service, and says where.
async fn other_site(page: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new().route("/", get(async move || Html(page)));
    tokio::spawn(async move { axum::serve(listener, router).await });
    // The service is at 127.0.0.1.
    format!("http://localhost:{port}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_site_cannot_put_a_frame_around_a_page() {
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let trap = format!("<title>trap</title><iframe src='{}/'></iframe>", server.url);
    browser.open(&other_site(trap).await).await;
    assert_eq!(browser.title().await, "trap");
    let complaints = browser.complaints().await.join("\n");
    assert!(
        complaints.contains("frame-ancestors 'none'"),
        "{complaints}"
    );
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_another_site_is_refused_whatever_it_asks_for() {
    let Some(browser) = Browser::start(PERSON).await else {
        return;
    };
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let inside = database.look_inside().await;
    let email = "bob@example.org";
    browser.open(&format!("{}/users", server.url)).await;
    browser.fill("#email", email).await;
    browser.fill("#password", "b4l0u").await;
    browser.click("button").await;
    let before = inside.all_rows().await;

    for (path, fields) in [
        (
            "/users",
            &[("email", "new@example.org"), ("password", "x")][..],
        ),
        ("/sessions", &[("email", email), ("password", "b4l0u")]),
        ("/sessions", &[("_method", "DELETE")]),
        ("/reset_password", &[("email", email)]),
    ] {
        let inputs: Vec<String> = fields
            .iter()
            .map(|(name, text)| format!("<input name={name} value={text}>"))
            .collect();
        let inputs = inputs.concat();
        let url = &server.url;
        let trap =
            format!("<form method=post action={url}{path}>{inputs}<button>Win</button></form>");
        browser.open(&other_site(trap).await).await;
        browser.click("button").await;
        assert_eq!(
            browser.text_of("h1").await,
            "Not allowed",
            "{path} {fields:?}"
        );
        assert!(browser.text().await.contains("from another site"));
    }
    assert_eq!(inside.all_rows().await, before);
    browser.open(&server.url).await;
    assert_eq!(browser.text_of("strong").await, email, "is still logged in");
    browser.close().await;
}
