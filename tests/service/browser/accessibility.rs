//! Every page, light and dark, wide and narrow, as axe-core and a ruler see it.

use std::fs;
use std::path::Path;

use axum::Router;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::response::{Html, IntoResponse};
use bienvenue::app::{Brand, Settings};
use serde_json::json;
use tokio::net::TcpListener;

use super::{Browser, PERSON, Setup};
use crate::pages::every_page;
use crate::support::report::skipped;
use crate::support::{Database, TestApp};

/// The narrowest screen that pages must fit on without scrolling sideways, in CSS pixels (WCAG 2.2,
/// 1.4.10).
const NARROWEST: u32 = 320;

/// What axe-core checks: all that the guidelines demand, and what its makers know to be good.
const CHECK: &str = "
    const done = arguments[arguments.length - 1];
    axe.run().then(results => done(results.violations.map(violation =>
        violation.id + ': ' + violation.nodes.map(node => node.html + ' ' + node.failureSummary).join('; '))));
";

/// The same of colours alone.
const CHECK_COLORS: &str = "
    const done = arguments[arguments.length - 1];
    axe.run({ runOnly: ['color-contrast', 'link-in-text-block'] }).then(results => done(results.violations.map(violation =>
        violation.id + ': ' + violation.nodes.map(node => node.html + ' ' + node.failureSummary).join('; '))));
";

/// The text of axe-core; `None` if it is not installed.
fn axe() -> Option<String> {
    let installed = "node_modules/axe-core/axe.min.js";
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(installed);
    let text = fs::read_to_string(file).ok();
    if text.is_none() {
        let folder = env!("CARGO_TARGET_TMPDIR");
        skipped(
            "axe-core on the pages",
            &format!("npm install --no-save --prefix {folder} axe-core"),
        );
    }
    text
}

/// Serves pages that have been seen, `/0` and so on, and the style sheet that they share.
async fn serve_again(pages: Vec<Vec<u8>>, style: Vec<u8>) -> String {
    let router =
        Router::new().fallback(
            async move |uri: Uri| match uri.path()[1..].parse::<usize>() {
                Ok(number) => Html(pages[number].clone()).into_response(),
                Err(_) => ([(CONTENT_TYPE, "text/css")], style.clone()).into_response(),
            },
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_accessible_and_fits_a_narrow_screen() {
    let Some(axe) = axe() else {
        return;
    };
    let setup = Setup {
        javascript: true,
        ..PERSON
    };
    let Some(browser) = Browser::start(setup).await else {
        return;
    };
    let on_each_page = json!({ "source": axe });
    browser
        .devtools("Page.addScriptToEvaluateOnNewDocument", on_each_page)
        .await;
    // A colour that is hard to read in the dark, and one in the light. Of the others, the tests of the palette
    // see that they are no harder.
    for (color, language) in [("#101040", "en"), ("#ffe600", "fr")] {
        let brand = Brand {
            site_name: "Donaudampfschifffahrtsgesellschaftskassa".parse().unwrap(),
            color: color.parse().unwrap(),
            logo: None,
        };
        let settings = Settings {
            brand,
            ..Settings::default()
        };
        let app = TestApp::new(Database::sqlite())
            .await
            .with_settings(settings.clone());
        let home = app.get("/").by_browser().send().await.assert_page(200);
        let style = home.attribute("link[rel=stylesheet]", "href").unwrap();
        let style = app.get(&style).send().await.body;
        let seen = every_page(Database::sqlite(), settings, language).await;
        let pages = seen.iter().map(|seen| seen.reply.body.clone()).collect();
        let url = serve_again(pages, style).await;
        for (number, page) in seen.iter().enumerate() {
            browser.open(&format!("{url}/{number}")).await;
            // In the dark, all but the colours is as in the light.
            for (theme, check) in [("light", CHECK), ("dark", CHECK_COLORS)] {
                let name = format!("{}, {theme}, {color}", page.name);
                let feature = json!({ "name": "prefers-color-scheme", "value": theme });
                let media = json!({ "features": [feature] });
                browser.devtools("Emulation.setEmulatedMedia", media).await;
                let violations = browser.script_that_calls_back(check).await;
                assert_eq!(violations, json!([]), "{name}");
            }
            let narrow = json!({
                "width": NARROWEST, "height": 640, "deviceScaleFactor": 1, "mobile": false
            });
            browser
                .devtools("Emulation.setDeviceMetricsOverride", narrow)
                .await;
            let width = browser
                .script("return document.documentElement.scrollWidth")
                .await;
            assert!(
                width.as_u64().unwrap() <= NARROWEST.into(),
                "{}: {width}",
                page.name
            );
            browser
                .devtools("Emulation.clearDeviceMetricsOverride", json!({}))
                .await;
        }
    }
    browser.close().await;
}
