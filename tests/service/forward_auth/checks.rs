//! What decides whether a request may pass, and how the proxy is told.

use std::time::Duration;

use super::*;
use crate::on_each_engine;
use crate::support::postgres::Cluster;
use crate::support::{LIFETIMES, TestApp, guarding_settings};

const NOT_LOGGED_IN: &str = "not logged in";

on_each_engine! {
    async fn who_has_a_session_and_may_use_the_app_passes(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        for way in WAYS {
            let reply = way.ask(&app, "GET", OWN, "/").session(&session).send().await;
            assert_passes(&reply, EMAIL, "users");
            let head = with(app.request("HEAD", way.path()), &way.fields("GET", OWN, "/"))
                .session(&session)
                .send()
                .await;
            assert_passes(&head, EMAIL, "users");
        }
    }

    async fn who_has_no_session_is_sent_to_log_in_if_it_is_a_browser_that_goes_to_a_page(
        database: Database
    ) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let before = app.inside.all_rows().await;
        let login = "https://auth.example.org/sessions?next=%2Fp%3Fa%3D1%26b%3D%252F";
        let home = "https://auth.example.org/sessions";
        for (method, fields, location) in [
            ("GET", vec![("accept", BROWSER)], Some(login)),
            ("HEAD", vec![("accept", BROWSER)], Some(login)),
            ("POST", vec![("accept", BROWSER)], Some(home)),
            ("GET", vec![("accept", "*/*"), ("sec-fetch-mode", "navigate")], Some(login)),
            ("PUT", vec![("sec-fetch-mode", "navigate")], Some(home)),
            // A script, a WebSocket, a program.
            ("GET", vec![("accept", BROWSER), ("sec-fetch-mode", "cors")], None),
            ("GET", vec![("accept", BROWSER), ("sec-fetch-mode", "websocket")], None),
            ("GET", vec![("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "navigate")], None),
            ("GET", vec![("accept", BROWSER), ("x-requested-with", "XMLHttpRequest")], None),
            ("GET", vec![("upgrade", "websocket"), ("connection", "upgrade")], None),
            ("GET", vec![("accept", "*/*")], None),
            ("GET", vec![("accept", "application/json")], None),
            ("GET", vec![("accept", "text/html;q=0, */*")], None),
            ("GET", vec![], None),
        ] {
            for way in WAYS {
                let call = way.ask(&app, method, OWN, "/p?a=1&b=%2F");
                let call = fields.iter().fold(call, |call, (name, value)| call.header(name, value));
                let reply = call.send().await;
                let status = match (way, location) {
                    (Way::ForwardAuth, Some(_)) if ["GET", "HEAD"].contains(&method) => 302,
                    (Way::ForwardAuth, Some(_)) => 303,
                    _ => 401,
                };
                assert_blocked(&reply, status, &(way, method, &fields));
                assert_eq!(reply.header("location"), location, "{way:?} {method} {fields:?}");
                let is_challenged = reply.header("www-authenticate").is_some();
                assert_eq!(is_challenged, status == 401);
                assert_eq!(reply.header("cache-control"), Some("no-store"));
            }
        }
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn a_rule_lets_addresses_domains_and_groups_in_and_nobody_else(database: Database) {
        let app = TestApp::new(database).await;
        let session = logged_in(&app).await;
        let user = app.inside.number("SELECT id FROM users").await;
        for group in ["staff", "admins"] {
            app.inside
                .execute(&format!("INSERT INTO user_groups (user_id, name) VALUES ({user}, '{group}')"))
                .await;
        }
        let mut app = app;
        for (who, may_pass) in [
            ("bob@example.org", true),
            ("BOB@Example.ORG", true),
            ("eve@example.org, bob@example.org", true),
            ("@example.org", true),
            ("@EXAMPLE.org", true),
            ("group:staff", true),
            ("group:users", true),
            ("@example.com,group:admins", true),
            ("eve@example.org", false),
            ("ob@example.org", false),
            ("@example.com", false),
            ("@xample.org", false),
            ("@org", false),
            ("@mail.example.org", false),
            ("group:staf", false),
            ("group:admin", false),
            ("eve@example.org,@example.com,group:others", false),
        ] {
            app = app.guarding(&[&format!("{OWN}: {who}")]);
            for way in WAYS {
                let reply = way.navigate(&app, "GET", OWN, "/").session(&session).send().await;
                if may_pass {
                    assert_passes(&reply, EMAIL, "users,admins,staff");
                } else {
                    assert_blocked(&reply, 403, &(way, who));
                    assert_eq!(reply.header("location"), None);
                }
                // Without a session it makes no difference.
                let reply = way.ask(&app, "GET", OWN, "/").send().await;
                reply.assert_refusal(401, NOT_LOGGED_IN);
            }
        }
    }

    async fn a_group_holds_from_the_next_check_on(database: Database) {
        let app = TestApp::new(database).await.guarding(&["auth.example.org: group:staff"]);
        let session = logged_in(&app).await;
        let other = app.another_guarding(&["auth.example.org: group:staff"]).await;
        let bob = bienvenue::user::UserId(app.inside.number("SELECT id FROM users").await);
        let staff = "staff".parse().unwrap();
        for _ in 0..5 {
            assert!(app.db.groups.add(bob, &staff).await.unwrap());
            for client in [&*app, &other] {
                for way in WAYS {
                    let reply = way.ask(client, "GET", OWN, "/").session(&session).send().await;
                    assert_passes(&reply, EMAIL, "users,staff");
                }
            }
            assert!(app.db.groups.remove(bob, &staff).await.unwrap());
            for client in [&*app, &other] {
                for way in WAYS {
                    let reply = way.ask(client, "GET", OWN, "/").session(&session).send().await;
                    assert_blocked(&reply, 403, &way);
                }
            }
        }
        // What another program has written into the table and is no name of a group.
        let insert = format!("INSERT INTO user_groups (user_id, name) VALUES ({}, 'x,staff')", bob.0);
        app.inside.execute(&insert).await;
        let reply = Way::ForwardAuth.ask(&app, "GET", OWN, "/").session(&session).send().await;
        assert_blocked(&reply, 403, &insert);
    }

    async fn a_session_that_has_ended_lets_nothing_pass(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        app.registered(EMAIL, PASSWORD).await;
        let other = app.another_guarding(&[OWN]).await;
        let passes = async |session: &str, client: &Client| {
            let mut statuses = Vec::new();
            for way in WAYS {
                let reply = way.ask(client, "GET", OWN, "/").session(session).send().await;
                statuses.push(reply.status.as_u16());
            }
            statuses
        };
        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(passes(&session, &app).await, [200, 200]);
        assert_eq!(passes(&session, &other).await, [200, 200]);
        assert_eq!(app.log_out(&session).send().await.status, 302);
        assert_eq!(passes(&session, &other).await, [401, 401]);
        assert_eq!(passes(&session, &app).await, [401, 401]);

        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(passes(&session, &app).await, [200, 200]);
        app.inside
            .execute("UPDATE users SET locked_at = 1, password_version = password_version + 1")
            .await;
        assert_eq!(passes(&session, &app).await, [401, 401]);
        app.inside.execute("UPDATE users SET locked_at = NULL").await;

        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(passes(&session, &app).await, [200, 200]);
        app.clock.turn(LIFETIMES.session_idle);
        assert_eq!(passes(&session, &app).await, [401, 401]);
        app.clock.turn_back(LIFETIMES.session_idle);
        assert_eq!(passes(&session, &app).await, [401, 401], "it was deleted");
    }

    async fn a_check_keeps_the_session_alive(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        let day = Duration::from_hours(24);
        let almost = LIFETIMES.session_idle.checked_sub(day).unwrap();
        for way in WAYS {
            app.clock.turn(almost);
            let reply = way.ask(&app, "GET", OWN, "/").session(&session).send().await;
            assert_passes(&reply, EMAIL, "users");
        }
        app.clock.turn(day);
        assert!(app.is_logged_in(&session).await);
    }

    async fn neither_path_nor_method_nor_query_nor_authorization_decide(database: Database) {
        let app = TestApp::new(database).await.guarding(&[&format!("{OWN}: {EMAIL}")]);
        let session = logged_in(&app).await;
        app.registered("eve@example.org", PASSWORD).await;
        let eve = app.logged_in("eve@example.org", PASSWORD).await;
        for way in WAYS {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "BREW"] {
                for path in ["/", "/login", "/_bienvenue/forward_auth", "/health", "/a/..;/b", "/robots.txt", ""] {
                    for query in ["", "?allowed_emails=eve@example.org", "?skip=1&danger_cookie_insecure"] {
                        let path = if path.is_empty() && way == Way::ForwardAuth { "/" } else { path };
                        let fields = way.fields(method, OWN, path);
                        let call = with(app.get(&format!("{}{query}", way.path())), &fields);
                        let call = call.header("authorization", "Basic Ym9iOmI0bDB1");
                        let call = call.header("user-agent", "kube-probe/1.0");
                        let reply = call.clone().session(&session).send().await;
                        assert_passes(&reply, EMAIL, "users");
                        let reply = call.clone().session(&eve).send().await;
                        assert_blocked(&reply, 403, &(way, method, path));
                        let reply = call.send().await;
                        assert_blocked(&reply, 401, &(way, method, path));
                    }
                }
            }
        }
    }

    async fn what_is_not_told_once_and_readably_is_refused(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        for way in WAYS {
            let fields = way.fields("GET", OWN, "/");
            for (place, (name, good)) in fields.iter().enumerate() {
                let others = fields.iter().enumerate().filter(|(other, _)| *other != place);
                let others: Vec<_> = others.map(|(_, field)| field.clone()).collect();
                let asked = with(app.get(way.path()), &others).session(&session);
                let message = format!("{name} is missing, malformed or given more than once");
                let mut bad: Vec<Vec<&[u8]>> = vec![vec![], vec![b""], vec![good.as_bytes(), good.as_bytes()]];
                if *name != "x-forwarded-uri" {
                    bad.push(vec![b" "]);
                    bad.push(vec![b"\xFF"]);
                    bad.push(vec![b"a, b"]);
                }
                bad.push(vec![b"/\xFF"]);
                for values in bad {
                    let call = values
                        .iter()
                        .fold(asked.clone(), |call, value| call.header(name, value));
                    app.assert_refused(call, 403, &message).await;
                }
            }
        }
    }

    async fn the_header_fields_of_the_other_way_count_for_nothing(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        for (way, other) in [WAYS, [WAYS[1], WAYS[0]]].map(|[way, other]| (way, other)) {
            let forged = other.fields("DELETE", "evil.example", "/evil");
            let reply = with(way.navigate(&app, "GET", OWN, "/p"), &forged).send().await;
            let location = "https://auth.example.org/sessions?next=%2Fp";
            assert_eq!(reply.header("location"), Some(location), "{reply:?}");
            let call = with(way.ask(&app, "GET", OWN, "/"), &forged);
            assert_passes(&call.session(&session).send().await, EMAIL, "users");
            // And alone they are no answer.
            let alone = with(app.get(way.path()), &other.fields("GET", OWN, "/")).session(&session);
            assert_blocked(&alone.send().await, 403, &way);
            for name in ["x_forwarded_host", "x_original_url", "x.auth.user", "remote-user", "remote_user"] {
                let call = with(app.get(way.path()), &[(name, format!("https://{OWN}/"))]);
                assert_blocked(&call.session(&session).send().await, 403, &name);
            }
        }
    }

    async fn only_a_trusted_proxy_is_answered(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        for way in WAYS {
            for peer in ["192.0.2.1", "::1", "127.0.0.2"] {
                let call = way.ask(&app, "GET", OWN, "/").session(&session).from(peer);
                app.assert_refused(call.clone(), 403, "only a trusted proxy may ask this").await;
                let call = call.header("x-forwarded-for", "127.0.0.1");
                app.assert_refused(call, 403, "only a trusted proxy may ask this").await;
            }
            let call = way.ask(&app, "GET", OWN, "/").session(&session).of_nobody();
            app.assert_refused(call, 500, "internal error").await;
        }
    }

    async fn a_host_that_is_no_apps_lets_nothing_pass(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        for host in [
            "evil.example",
            "example.org",
            "xauth.example.org",
            "auth.example.org.evil.example",
            "a.auth.example.org",
            "auth.example.org:444",
            "auth.example.org:80",
        ] {
            for way in WAYS {
                let call = way.ask(&app, "GET", host, "/").session(&session);
                app.assert_refused(call, 403, "no app at this host").await;
                let reply = way.navigate(&app, "GET", host, "/").send().await;
                assert_blocked(&reply, 403, &host);
                assert_eq!(reply.header("location"), None);
            }
        }
        // The same host in other spellings.
        for host in ["AUTH.Example.org", "auth.example.org:443"] {
            for way in WAYS {
                let reply = way.ask(&app, "GET", host, "/").session(&session).send().await;
                assert_passes(&reply, EMAIL, "users");
            }
        }
        for host in ["auth.example.org.", "auth.example.org:", "a@auth.example.org", "\"<>", "auth.example.org%0d%0a"] {
            for way in WAYS {
                let reply = way.navigate(&app, "GET", host, "/").session(&session).send().await;
                assert_blocked(&reply, 403, &host);
                assert_eq!(reply.header("location"), None);
            }
        }
    }

    async fn nothing_but_one_good_cookie_of_the_name_is_a_session(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        let settings = bienvenue::app::Settings {
            session_cookie: bienvenue::app::SessionCookie::HostOnly,
            ..guarding_settings()
        };
        let over_tls = app.exposed(settings);
        for way in WAYS {
            for cookies in [
                vec![],
                vec!["session_id=".to_owned()],
                vec!["session_id".to_owned()],
                vec![format!("session_id={session}; session_id={session}")],
                vec![format!("session_id={session}"), format!("session_id={session}")],
                vec![format!("session_id={session}x")],
                vec![format!("session_id = {session}")],
                vec![format!("__Host-session_id={session}")],
                vec![format!("bienvenue_app={session}")],
                vec![format!("session_id={}", uuid::Uuid::new_v4())],
            ] {
                let call = way.ask(&app, "GET", OWN, "/");
                let call = cookies.iter().fold(call, |call, cookie| call.header("cookie", cookie));
                app.assert_refused(call, 401, NOT_LOGGED_IN).await;
            }
            let plain = way.ask(&over_tls, "GET", OWN, "/").session(&session);
            app.assert_refused(plain, 401, NOT_LOGGED_IN).await;
            let cookie = format!("theme=dark; __Host-session_id={session}; x");
            let reply = way.ask(&over_tls, "GET", OWN, "/").header("cookie", cookie).send().await;
            assert_passes(&reply, EMAIL, "users");
        }
    }

    async fn without_apps_the_paths_are_like_any_other_that_there_is_not(database: Database) {
        let app = TestApp::new(database).await;
        let session = logged_in(&app).await;
        let app = app.with_settings(guarding_settings());
        for way in WAYS {
            let call = way.ask(&app, "GET", OWN, "/").session(&session);
            app.assert_refused(call, 404, "not found").await;
            let call = app.request("POST", way.path());
            app.assert_refused(call, 404, "not found").await;
        }
    }

    async fn what_another_site_sends_and_other_methods_are_refused(database: Database) {
        let app = TestApp::new(database).await.guarding(&[OWN]);
        let session = logged_in(&app).await;
        for way in WAYS {
            for method in ["PUT", "POST", "DELETE", "PATCH", "OPTIONS"] {
                let call = with(app.request(method, way.path()), &way.fields("GET", OWN, "/"));
                app.assert_refused(call.session(&session), 405, "method not allowed").await;
            }
            let call = way.ask(&app, "GET", OWN, "/").header("origin", "https://evil.example");
            let call = call.header("sec-fetch-site", "cross-site");
            assert_passes(&call.session(&session).send().await, EMAIL, "users");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_nothing_passes() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let database = crate::support::Database {
        url: cluster.create_database().await,
        folder: None,
    };
    let app = TestApp::new(database).await.guarding(&[OWN]);
    let session = logged_in(&app).await;
    for way in WAYS {
        let reply = way
            .ask(&app, "GET", OWN, "/")
            .session(&session)
            .send()
            .await;
        assert_passes(&reply, EMAIL, "users");
    }
    cluster.down();
    for way in [WAYS, WAYS].concat() {
        let reply = way
            .navigate(&app, "GET", OWN, "/")
            .session(&session)
            .send()
            .await;
        assert_blocked(&reply, 503, &way);
        assert_eq!(reply.header("location"), None);
        assert_eq!(reply.header("retry-after"), Some("1"));
        // Who has no session is no question for the database.
        let reply = way.ask(&app, "GET", OWN, "/").send().await;
        assert_blocked(&reply, 401, &way);
    }
}
