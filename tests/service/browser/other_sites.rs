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
