//! Pages run nothing, load nothing from elsewhere, and show what they are given as text.

use bienvenue::app::{Brand, Settings};
use url::form_urlencoded;

use super::{EMAIL, PASSWORD, every_page};
use crate::on_each_engine;
use crate::support::client::{Call, Reply};
use crate::support::{Database, TestApp};

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// Breaks out of texts, of attributes in either quotes, and of a title.
const MARKUP: &str =
    "</title>'\"><b id=injected onclick=alert(1)>&lt;x</b><script>alert(1)</script>";

/// That nothing of [`MARKUP`] became markup.
#[track_caller]
fn assert_inert(reply: &Reply) {
    let page = reply.assert_page(reply.status.as_u16());
    assert_eq!(
        page.all("script, style, #injected, b, iframe, object, embed")
            .len(),
        0
    );
    for element in page.all("*") {
        for (name, value) in element.value().attrs() {
            assert!(!name.starts_with("on") && name != "style", "{name}={value}");
            if ["href", "src", "action"].contains(&name) {
                assert!(
                    value.starts_with('/') && !value.starts_with("//"),
                    "{name}={value}"
                );
            }
        }
    }
}

#[tokio::test]
async fn every_page_forbids_everything_that_it_does_not_need() {
    let brand = Brand {
        site_name: "<b id=injected>&amp;\"'".parse().unwrap(),
        ..Brand::default()
    };
    let settings = Settings {
        brand,
        ..Settings::default()
    };
    for seen in every_page(Database::sqlite(), settings, "en").await {
        let (name, reply) = (seen.name, seen.reply);
        assert_eq!(reply.status, seen.status, "{name}");
        assert_inert(&reply);
        let page = reply.assert_page(seen.status);
        assert_eq!(page.text("header a"), "<b id=injected>&amp;\"'");
        let holds_token = page
            .all(
                "input[name=reset_token], input[name=sign_up_token], input[name=email_token],
                 input[name=undo_token], input[name=next][value*=_token]",
            )
            .len()
            == 1
            // Its address does.
            || name == "confirm the address, of another";
        let referrers = if holds_token {
            "strict-origin"
        } else {
            "same-origin"
        };
        for (header, value) in [
            ("content-security-policy", POLICY),
            ("cache-control", "no-store"),
            ("vary", "accept, accept-language"),
            ("content-language", "en"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", referrers),
        ] {
            let values: Vec<_> = reply.headers.get_all(header).iter().collect();
            assert_eq!(values, [value], "{name}: {header}");
        }
    }
}

on_each_engine! {
    async fn the_page_of_a_mailed_link_tells_no_other_site_of_it(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let token = app.reset_token(EMAIL).await;
        for query in [
            format!("email={EMAIL}&reset_token={token}"),
            format!("reset_token={token}&email=bob%40example.org"),
        ] {
            let reply = app.get(&format!("/reset_password?{query}")).by_browser().send().await;
            let page = reply.assert_page(200);
            assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
            assert_eq!(page.attribute("input[name=reset_token]", "value").unwrap(), token);
        }
        let query = format!("email=x&reset_token={token}");
        let reply = app.get(&format!("/reset_password?{query}")).by_browser().send().await;
        reply.assert_page(403);
        assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
    }

    async fn markup_is_a_text_like_any_other(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let markup: String = form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
        let mut calls: Vec<Call> = Vec::new();
        for path in ["/", "/users", "/sessions", "/profile", "/reset_password", "/nowhere"] {
            for name in ["next", "email", "reset_token", "password", "link", MARKUP] {
                let name: String = form_urlencoded::byte_serialize(name.as_bytes()).collect();
                calls.push(app.get(&format!("{path}?{name}={markup}")));
            }
            calls.push(app.get(&format!("{path}?email={markup}&reset_token={markup}")));
            calls.push(app.get(&format!("{path}?next=/{markup}")));
            calls.push(app.get(&format!("{path}/{markup}")));
            calls.push(app.request("POST", path).body(MARKUP, MARKUP));
            calls.push(app.get(path).header("accept-language", MARKUP));
            calls.push(app.get(path).header("cookie", format!("session_id={MARKUP}")));
        }
        calls.push(app.get(&format!("/profile?a={markup}")).session(&session));
        let fields = ["email", "password", "new_password", "reset_token", "next", "_method", MARKUP];
        for path in ["/users", "/sessions", "/reset_password"] {
            for method in ["POST", "PUT"] {
                for marked in fields {
                    let form = [
                        ("email", EMAIL),
                        ("password", "wrong"),
                        ("new_password", ""),
                        ("reset_token", "x"),
                        ("next", "/profile"),
                        ("_method", method),
                    ];
                    let form = form.into_iter().filter(|(name, text)| *name != marked && *text != "POST");
                    let form: Vec<_> = form.chain([(marked, MARKUP)]).collect();
                    calls.push(app.post(path, &form));
                }
            }
        }
        let mut shown = 0;
        for call in calls {
            let reply = call.by_browser().send().await;
            if reply.status == 303 {
                let location = reply.header("location").unwrap();
                assert!(location.starts_with('/') && !location.contains('<'), "{location}");
                continue;
            }
            assert_inert(&reply);
            shown += usize::from(reply.text().contains("&lt;b id=injected"));
        }
        assert!(shown > 3, "some pages show what they were given: {shown}");
    }
}
