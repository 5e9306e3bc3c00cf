//! The style sheet, the brand, and how much all of it weighs.

use std::fs;

use bienvenue::app::{Brand, Logo, Settings};
use tempfile::tempdir;

use super::every_page;
use crate::on_each_engine;
use crate::support::{Database, TestApp};

/// The most that a page and its style sheet may weigh, uncompressed.
const MOST_BYTES: usize = 15_000;

async fn app_with_brand(database: Database, brand: Brand) -> TestApp {
    let settings = Settings {
        brand,
        ..Settings::default()
    };
    TestApp::new(database).await.with_settings(settings)
}

async fn style_path(app: &TestApp) -> String {
    let home = app.get("/").by_browser().send().await.assert_page(200);
    home.attribute("link[rel=stylesheet]", "href").unwrap()
}

#[tokio::test]
async fn a_page_with_its_style_sheet_is_small() {
    let app = TestApp::new(Database::sqlite()).await;
    let style = app.get(&style_path(&app).await).send().await;
    let mut largest = (0, "");
    for seen in every_page(Database::sqlite(), Settings::default(), "fr").await {
        largest = largest.max((seen.reply.body.len(), seen.name));
    }
    let weight = style.body.len() + largest.0;
    println!(
        "style sheet: {} bytes, largest page: {largest:?}",
        style.body.len()
    );
    assert!(weight < MOST_BYTES, "{weight}");
}

on_each_engine! {
    async fn the_style_sheet_is_fetched_once_and_never_again(database: Database) {
        let app = TestApp::new(database).await;
        let path = style_path(&app).await;
        let reply = app.get(&path).header("accept", "text/css,*/*;q=0.1").send().await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("set-cookie"), None);
        assert!(!reply.text().contains("url(") && !reply.text().contains("@import"));
        let head = app.request("HEAD", &path).send().await;
        assert_eq!((head.status, head.body.len()), (reply.status, 0));
    }

    async fn without_a_logo_the_icon_is_the_first_letter_of_the_name(database: Database) {
        let brand = Brand {
            site_name: "<Site>".parse().unwrap(),
            color: "#ffe600".parse().unwrap(),
            logo: None,
        };
        let app = app_with_brand(database, brand).await;
        let home = app.get("/").by_browser().send().await.assert_page(200);
        let icon = app.get(&home.attribute("link[rel=icon]", "href").unwrap()).send().await;
        assert_eq!(icon.header("content-type"), Some("image/svg+xml"));
        assert_eq!(icon.header("cache-control"), Some("public, max-age=31536000, immutable"));
        let svg = icon.text();
        assert!(svg.contains("fill=\"#ffe600\"") && svg.ends_with(">&lt;</text></svg>"), "{svg}");
    }

    async fn another_brand_color_is_another_style_sheet(database: Database) {
        let brand = Brand { color: "#bada55".parse().unwrap(), ..Brand::default() };
        let plain = TestApp::new(Database::sqlite()).await;
        let app = app_with_brand(database, brand).await;
        let path = style_path(&app).await;
        assert_ne!(path, style_path(&plain).await);
        let style = app.get(&path).send().await;
        assert!(style.text().contains("--brand:#bada55;--on-brand:#000000"), "{}", style.text());
    }

    async fn the_operators_name_is_on_every_page(database: Database) {
        let brand = Brand { site_name: "Holberton".parse().unwrap(), ..Brand::default() };
        let app = app_with_brand(database, brand).await;
        for path in ["/", "/users", "/nowhere"] {
            let reply = app.get(path).by_browser().send().await;
            let page = reply.assert_page(reply.status.as_u16());
            assert!(page.text("title").ends_with(" · Holberton"));
            assert_eq!(page.text("header a"), "Holberton");
        }
    }

    async fn the_operators_logo_stands_for_the_name_and_runs_nothing(database: Database) {
        let folder = tempdir().unwrap();
        for (content, extension, content_type) in [
            (&b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"[..], "svg", "image/svg+xml"),
            (b"\x89PNG\r\n\x1a\n...", "png", "image/png"),
        ] {
            let file = folder.path().join("logo");
            fs::write(&file, content).unwrap();
            let brand = Brand { logo: Some(Logo::read(&file).unwrap()), ..Brand::default() };
            let another = Database { url: database.url.clone(), folder: None };
            let app = app_with_brand(another, brand).await;
            let home = app.get("/").by_browser().send().await.assert_page(200);
            let path = home.attribute("header img", "src").unwrap();
            assert_eq!(home.attribute("header img", "alt").unwrap(), "Bienvenue");
            assert_eq!(home.attribute("link[rel=icon]", "href").unwrap(), path);
            assert!(path.starts_with("/_bienvenue/logo-") && path.ends_with(extension), "{path}");

            let reply = app.get(&path).by_browser().send().await;
            assert_eq!((reply.status.as_u16(), &*reply.body), (200, content));
            assert_eq!(reply.header("content-type"), Some(content_type));
            assert_eq!(reply.header("cache-control"), Some("public, max-age=31536000, immutable"));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            let policy = reply.header("content-security-policy").unwrap();
            assert!(policy.contains("default-src 'none'") && policy.contains("sandbox"), "{policy}");
            assert!(!policy.contains("script"), "{policy}");
        }
    }
}
