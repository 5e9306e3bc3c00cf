//! A browser is handed over to apps on other hosts.

use bienvenue::app::{SessionCookie, Settings};
use scraper::{Html, Selector};

use super::browser::taken_apart;
use super::*;
use crate::on_each_engine;
use crate::support::{PUBLIC_URL, TestApp, guarding_settings};

const APPS: [&str; 2] = [WIKI, "*.example.com"];

/// A page of an app, whose address has what is easily lost on the way.
const PAGE: &str = "https://wiki.example.org/p/a%20b?a=1&b=%2F&c=x+y&d=%25#";

fn without_fragment(url: &str) -> &str {
    url.trim_end_matches('#')
}

on_each_engine! {
    async fn who_is_logged_in_comes_to_the_page_that_was_asked_for_and_sees_no_other(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        for way in WAYS {
            let mut browser = Browser::with_session(&app, way, &session);
            for url in [
                without_fragment(PAGE),
                "https://wiki.example.org/",
                "https://a.example.com/?q=https://evil.example/",
                "https://b.example.com//x",
            ] {
                let (host, path) = taken_apart(url);
                let end = if path.starts_with("//") { format!("https://{host}/") } else { url.to_owned() };
                browser.visit(url).await.assert_app(&end);
                // From then on it is one check.
                assert_passes(&browser.check(url).await, EMAIL, "users");
            }
        }
    }

    async fn who_is_not_logged_in_does_so_first(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        for way in WAYS {
            let mut browser = Browser::new(&app, way);
            let url = without_fragment(PAGE);
            let before = app.inside.all_rows().await;
            let (shown, page) = browser.visit(url).await.service();
            assert!(shown.starts_with("https://auth.example.org/sessions?next="), "{shown}");
            assert_eq!(page.status, 200);
            assert_eq!(app.inside.all_rows().await, before);
            let document = Html::parse_document(str::from_utf8(&page.body).unwrap());
            let next = Selector::parse("input[name=next]").unwrap();
            let next = document.select(&next).next().unwrap().attr("value").unwrap().to_owned();
            let fields = [("email", EMAIL), ("password", PASSWORD), ("next", &*next)];
            let call = app.post("/sessions", &fields);
            let reply = browser.send(call, OWN).await;
            assert_eq!(reply.status, 303, "{reply:?}");
            let next = format!("{PUBLIC_URL}{}", reply.header("location").unwrap());
            browser.visit(&next).await.assert_app(url);
        }
    }

    async fn who_may_not_use_an_app_gets_no_ticket_for_it(database: Database) {
        let app = TestApp::new(database).await.guarding(&["wiki.example.org: eve@example.org"]);
        let session = logged_in(&app).await;
        for way in WAYS {
            let before = app.inside.all_rows().await;
            let mut browser = Browser::with_session(&app, way, &session);
            let (url, page) = browser.visit("https://wiki.example.org/").await.service();
            assert!(url.starts_with("https://auth.example.org/_bienvenue/authorize?"));
            assert_eq!(page.status, 403);
            assert_eq!(app.inside.all_rows().await, before);
        }
    }

    async fn a_rule_that_changes_holds_for_those_who_are_in(database: Database) {
        let app = TestApp::new(database).await.guarding(&["wiki.example.org: group:staff"]);
        let session = logged_in(&app).await;
        let user = bienvenue::user::UserId(app.inside.number("SELECT id FROM users").await);
        let staff = "staff".parse().unwrap();
        for way in WAYS {
            let mut browser = Browser::with_session(&app, way, &session);
            let url = "https://wiki.example.org/";
            for _ in 0..3 {
                assert!(app.db.groups.add(user, &staff).await.unwrap());
                let End::App(..) = browser.visit(url).await else {
                    panic!("not handed over");
                };
                assert_passes(&browser.check(url).await, EMAIL, "users,staff");
                assert!(app.db.groups.remove(user, &staff).await.unwrap());
                assert_blocked(&browser.check(url).await, 403, &way);
            }
            // Another instance that does not have the app.
            assert!(app.db.groups.add(user, &staff).await.unwrap());
            assert_passes(&browser.check(url).await, EMAIL, "users,staff");
            let other = app.another_guarding(&["tube.example.org"]).await;
            let call = way.ask(&other, "GET", WIKI, "/");
            let cookie = format!("bienvenue_app={}", browser.app_session(WIKI));
            assert_blocked(&call.header("cookie", cookie).send().await, 403, &way);
            assert!(app.db.groups.remove(user, &staff).await.unwrap());
        }
    }

    async fn a_session_at_an_app_is_good_for_this_host_and_opens_nothing_else(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN, WIKI, "tube.example.org", "*.example.com"]);
        let session = logged_in(&app).await;
        for way in WAYS {
            let mut browser = Browser::with_session(&app, way, &session);
            browser.enter("https://wiki.example.org/").await;
            browser.enter("https://a.example.com/").await;
            let wiki = browser.app_session(WIKI);
            let a = browser.app_session("a.example.com");
            for (host, token) in [
                ("tube.example.org", &wiki),
                ("a.example.com", &wiki),
                ("b.example.com", &a),
                (WIKI, &a),
                (OWN, &wiki),
                // The account's own session goes nowhere else either.
                (WIKI, &session),
                ("a.example.com", &session),
            ] {
                for name in ["bienvenue_app", "session_id"] {
                    if host == OWN && name == "session_id" && *token == session {
                        continue;
                    }
                    let cookie = format!("{name}={token}");
                    let call = way.ask(&app, "GET", host, "/").header("cookie", cookie);
                    app.assert_refused(call, 401, "not logged in").await;
                }
            }
            for token in [&wiki, &a] {
                for name in ["bienvenue_app", "session_id", "bienvenue_login"] {
                    let cookie = format!("{name}={token}");
                    for (method, path) in [
                        ("GET", "/profile"),
                        ("GET", "/users/me"),
                        ("GET", "/sessions"),
                        ("DELETE", "/sessions"),
                        ("DELETE", "/users"),
                    ] {
                        let call = app.request(method, path).header("cookie", &cookie);
                        app.assert_refused(call, 403, "not logged in").await;
                    }
                }
            }
            // An account's session beside it is no hindrance.
            let cookie = format!("session_id={session}; bienvenue_app={wiki}");
            let reply = way.ask(&app, "GET", WIKI, "/").header("cookie", cookie).send().await;
            assert_passes(&reply, EMAIL, "users");
        }
    }

    async fn no_address_leads_to_a_host_that_is_no_apps(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let state = "0".repeat(64);
        for next in [
            "//evil.example/", "/\\evil.example", "https://evil.example/", "/%09/evil.example", "\\\\evil.example",
            "/%0d%0aLocation:%20https://evil.example", "/.//evil.example", "javascript:alert(1)", "@evil.example", "", "/_bienvenue/login?next=/p",
        ] {
            let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
            let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
            let url = format!("https://wiki.example.org/_bienvenue/login?next={encoded}");
            let login = browser.get(&url).await;
            let location = login.header("location").unwrap();
            assert!(location.starts_with("https://auth.example.org/_bienvenue/authorize?"), "{location}");
            assert!(location.ends_with("&next=%2F"), "{location}");
            browser.visit(&url).await.assert_app("https://wiki.example.org/");
            // As if the middle had been forged.
            let url = format!("{PUBLIC_URL}/_bienvenue/authorize?app={WIKI}&state={state}&next={encoded}");
            let reply = browser.get(&url).await;
            let location = reply.header("location").unwrap();
            assert!(location.starts_with("https://wiki.example.org/_bienvenue/callback?ticket="));
            for way in WAYS {
                let reply = way.navigate(&app, "GET", WIKI, next).send().await;
                let location = reply.header("location").unwrap_or("https://wiki.example.org/");
                let (host, path) = taken_apart(location);
                assert_eq!(host, WIKI, "{next}");
                assert!(!path.contains("evil"), "{next} {path}");
            }
        }
        let long = format!("/{}", "x".repeat(3000));
        let reply = Way::ForwardAuth.navigate(&app, "GET", WIKI, &long).send().await;
        assert_eq!(reply.header("location"), Some("https://wiki.example.org/_bienvenue/login"));
        for host in [
            "evil.example", "WIKI.example.org", "wiki.example.org.", "wiki.example.org:444", "wiki.example.org:443",
            "wiki.example.org/", "wiki.example.org@evil.example", "auth.example.org", "", "*.example.com",
            "a.b.example.com", "a.example.com.evil.example", "a.example.com%0d%0a",
        ] {
            let encoded: String = url::form_urlencoded::byte_serialize(host.as_bytes()).collect();
            for call in [app.get(&format!("/_bienvenue/authorize?app={encoded}&state={state}&next=%2F"))] {
                for call in [call.clone(), call.session(&session)] {
                    app.assert_refused(call.header("host", OWN), 403, "no app at this host").await;
                }
            }
        }
        for query in [
            format!("app={WIKI}"),
            format!("app={WIKI}&state="),
            format!("app={WIKI}&state={}", "0".repeat(63)),
            format!("app={WIKI}&state={}", "A".repeat(64)),
            format!("app={WIKI}&state={state}&state={state}"),
        ] {
            let call = app.get(&format!("/_bienvenue/authorize?{query}")).session(&session);
            app.assert_refused(call.header("host", OWN), 403, "invalid ticket").await;
        }
    }

    async fn each_step_is_on_its_own_host_alone(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN, WIKI, "*.example.com"]);
        let session = logged_in(&app).await;
        for host in [OWN, "evil.example", "localhost", "a.b.example.com", "wiki.example.org:444"] {
            for path in ["/_bienvenue/login?next=%2F", "/_bienvenue/callback?ticket=x"] {
                let call = app.get(path).header("host", host);
                app.assert_refused(call, 404, "not found").await;
            }
        }
        let authorize = format!("/_bienvenue/authorize?app={WIKI}&state={}&next=%2F", "0".repeat(64));
        for host in [WIKI, "WIKI.example.org", "wiki.example.org:443", "a.example.com"] {
            let call = app.get(&authorize).header("host", host).session(&session);
            app.assert_refused(call, 404, "not found").await;
        }
    }

    async fn strangers_can_write_no_row(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        let before = app.inside.all_rows().await;
        let unknown = uuid::Uuid::new_v4();
        let mut browser = Browser::new(&app, Way::ForwardAuth);
        for _ in 0..3 {
            for url in [
                "https://wiki.example.org/_bienvenue/login?next=%2F".to_owned(),
                format!("{PUBLIC_URL}/_bienvenue/authorize?app={WIKI}&state={}", "0".repeat(64)),
                format!("https://wiki.example.org/_bienvenue/callback?ticket={unknown}"),
                "https://wiki.example.org/_bienvenue/callback?ticket=x".to_owned(),
                "https://wiki.example.org/_bienvenue/callback".to_owned(),
            ] {
                browser.get(&url).await;
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn pages_that_are_opened_at_once_do_not_get_in_one_anothers_way(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
        let mut callbacks = Vec::new();
        for _ in 0..5 {
            callbacks.push(browser.ticket(WIKI).await);
        }
        for callback in callbacks {
            browser.visit(&callback).await.assert_app("https://wiki.example.org/p");
        }
    }

    async fn over_tls_the_cookies_are_of_their_host_alone(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let settings = Settings { session_cookie: SessionCookie::HostOnly, ..guarding_settings() };
        let client = app.exposed(settings);
        let mut browser = Browser::new(&client, Way::AuthRequest);
        browser.set(OWN, "__Host-session_id", &session);
        let login = browser.get("https://wiki.example.org/_bienvenue/login?next=%2Fp").await;
        let cookie = login.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-bienvenue_login="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"), "{cookie}");
        let authorize = browser.get(login.header("location").unwrap()).await;
        let callback = browser.get(authorize.header("location").unwrap()).await;
        let cookie = callback.header("set-cookie").unwrap();
        assert!(cookie.starts_with("__Host-bienvenue_app="), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax"), "{cookie}");
        assert_eq!((callback.status.as_u16(), callback.header("location")), (303, Some("/p")));
        assert_passes(&browser.check("https://wiki.example.org/p").await, EMAIL, "users");
        // The plain names are nothing there.
        let token = browser.cookie(WIKI, "__Host-bienvenue_app").unwrap();
        let call = Way::AuthRequest.ask(&client, "GET", WIKI, "/");
        let reply = call.header("cookie", format!("bienvenue_app={token}")).send().await;
        assert_blocked(&reply, 401, &token);
    }

    async fn the_forms_of_pages_may_lead_on_to_apps_and_to_nowhere_else(database: Database) {
        let app = TestApp::new(database).await;
        let form_action = async |client: &Client| {
            let reply = client.get("/sessions").header("accept", BROWSER).send().await;
            let policy = reply.header("content-security-policy").unwrap().to_owned();
            let part = policy.split("; ").find(|part| part.starts_with("form-action"));
            part.unwrap().to_owned()
        };
        assert_eq!(form_action(&app).await, "form-action 'self'");
        let app = app.guarding(&[OWN]);
        assert_eq!(form_action(&app).await, "form-action 'self'");
        let app = app.guarding(&[OWN, WIKI, "*.example.com"]);
        let expected = "form-action 'self' https://wiki.example.org https://*.example.com";
        assert_eq!(form_action(&app).await, expected);
    }

    async fn the_account_page_has_the_apps_that_its_user_may_use(database: Database) {
        let app = TestApp::new(database).await;
        let session = logged_in(&app).await;
        let app = app.guarding(&[OWN, WIKI, "tube.example.org: group:staff", "chat.example.org: eve@example.org", "*.example.com"]);
        let links = async |app: &TestApp| {
            let page = app.get("/profile").session(&session).header("accept", BROWSER).send().await;
            assert_eq!(page.status, 200, "{page:?}");
            let document = Html::parse_document(str::from_utf8(&page.body).unwrap());
            let links = Selector::parse("ul.apps a").unwrap();
            let links = document.select(&links).map(|link| link.attr("href").unwrap().to_owned());
            links.collect::<Vec<_>>()
        };
        assert_eq!(links(&app).await, ["https://auth.example.org", "https://wiki.example.org"]);
        let user = bienvenue::user::UserId(app.inside.number("SELECT id FROM users").await);
        app.db.groups.add(user, &"staff".parse().unwrap()).await.unwrap();
        assert_eq!(links(&app).await.len(), 3);
        let none = app.guarding(&["*.example.com"]);
        assert_eq!(links(&none).await, [""; 0]);
    }
}
