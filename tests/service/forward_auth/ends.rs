//! Sessions at apps end with the session that they are of, at once and everywhere.

use super::*;
use crate::on_each_engine;
use crate::support::{LIFETIMES, TestApp};

const APPS: [&str; 2] = [WIKI, "*.example.com"];
const URLS: [&str; 2] = ["https://wiki.example.org/", "https://a.example.com/"];

/// A browser that is logged in and at two apps, which both instances have in mind.
async fn entered(app: &TestApp, other: &Client, password: &str) -> (Browser, String) {
    let session = app.logged_in(EMAIL, password).await;
    let mut browser = Browser::with_session(app, Way::ForwardAuth, &session);
    for url in URLS {
        browser.enter(url).await;
    }
    for _ in 0..2 {
        assert_eq!(statuses(app, other, &browser).await, [200; 4]);
    }
    (browser, session)
}

/// What both instances say of both apps.
async fn statuses(app: &TestApp, other: &Client, browser: &Browser) -> Vec<u16> {
    let mut statuses = Vec::new();
    for client in [other, app] {
        for url in URLS {
            let host = url.trim_start_matches("https://").trim_end_matches('/');
            let cookie = format!("bienvenue_app={}", browser.app_session(host));
            let call = Way::ForwardAuth.ask(client, "GET", host, "/");
            let reply = call.header("cookie", cookie).send().await;
            if reply.status != 200 {
                assert_blocked(&reply, 401, &url);
            }
            statuses.push(reply.status.as_u16());
        }
    }
    statuses
}

on_each_engine! {
    async fn what_ends_a_session_ends_those_at_apps_at_once_and_everywhere(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        let other = app.another_guarding(&APPS).await;
        let mut password = PASSWORD.to_owned();
        for what in ["logout", "ended from the list", "all others ended", "replaced by a login"] {
            let (browser, session) = entered(&app, &other, PASSWORD).await;
            let ended = match what {
                "logout" => app.log_out(&session).send().await,
                "replaced by a login" => app.log_in(EMAIL, PASSWORD).session(&session).send().await,
                "all others ended" => {
                    let fresh = app.logged_in(EMAIL, PASSWORD).await;
                    app.end_others(&fresh).send().await
                }
                _ => {
                    let fresh = app.logged_in(EMAIL, PASSWORD).await;
                    let id = app.id_of(&session).await;
                    app.end_session(&fresh, &id).send().await
                }
            };
            assert!(ended.status.as_u16() < 400, "{what}: {ended:?}");
            assert_eq!(statuses(&app, &other, &browser).await, [401; 4], "{what}");
        }
        for what in ["changed", "reset", "locked", "revoked", "deleted"] {
            let (browser, session) = entered(&app, &other, &password).await;
            match what {
                "changed" => {
                    let reply = app.change_password(&session, &password, "n3w").send().await;
                    assert_eq!(reply.status, 200, "{reply:?}");
                    "n3w".clone_into(&mut password);
                }
                "reset" => {
                    let token = app.reset_token(EMAIL).await;
                    let reply = app.reset(EMAIL, &token, "t4rt1fl3tt3").send().await;
                    assert_eq!(reply.status, 200, "{reply:?}");
                    "t4rt1fl3tt3".clone_into(&mut password);
                }
                "locked" => {
                    let user = bienvenue::user::UserId(app.inside.number("SELECT id FROM users").await);
                    assert!(app.db.users.lock(user, bienvenue::clock::UnixTime(1)).await.unwrap());
                    assert_eq!(statuses(&app, &other, &browser).await, [401; 4], "{what}");
                    assert!(app.db.users.unlock(user).await.unwrap());
                }
                "revoked" => {
                    while app.db.sessions.delete_some().await.unwrap() > 0 {}
                    assert_eq!(app.inside.count("app_sessions").await, 0);
                }
                _ => {
                    let reply = app.delete_user(&session).send().await;
                    assert_eq!(reply.status, 200, "{reply:?}");
                    assert_eq!(app.inside.count("app_sessions").await, 0);
                }
            }
            assert_eq!(statuses(&app, &other, &browser).await, [401; 4], "{what}");
        }
    }

    async fn the_oldest_session_that_makes_place_for_another_ends_at_apps_too(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        let other = app.another_guarding(&APPS).await;
        let (browser, _) = entered(&app, &other, PASSWORD).await;
        for _ in 0..50 {
            app.clock.turn(std::time::Duration::from_secs(1));
            app.logged_in(EMAIL, PASSWORD).await;
        }
        assert_eq!(statuses(&app, &other, &browser).await, [401; 4]);
    }

    async fn what_expires_ends_at_apps_too_and_use_of_an_app_keeps_it_alive(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        let other = app.another_guarding(&APPS).await;
        let (browser, session) = entered(&app, &other, PASSWORD).await;
        let day = std::time::Duration::from_hours(24);
        let almost = LIFETIMES.session_idle.checked_sub(day).unwrap();
        for _ in 0..2 {
            app.clock.turn(almost);
            assert_eq!(statuses(&app, &other, &browser).await, [200; 4]);
        }
        assert!(app.is_logged_in(&session).await);
        app.clock.turn(4 * day);
        assert_eq!(statuses(&app, &other, &browser).await, [401; 4], "at the end of its lifetime");

        let (browser, _) = entered(&app, &other, PASSWORD).await;
        app.clock.turn(LIFETIMES.session_idle);
        assert_eq!(statuses(&app, &other, &browser).await, [401; 4]);
        app.clock.turn_back(LIFETIMES.session_idle);
        assert_eq!(statuses(&app, &other, &browser).await, [401; 4], "it was deleted");
    }

    async fn a_session_at_an_app_that_is_at_its_end_is_deleted_with_it(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        let other = app.another_guarding(&APPS).await;
        entered(&app, &other, PASSWORD).await;
        assert_eq!(app.inside.count("app_sessions").await, 2);
        app.clock.turn(LIFETIMES.session_idle);
        app.auth.purge_expired().await.unwrap();
        for table in ["sessions", "app_sessions", "tickets"] {
            assert_eq!(app.inside.count(table).await, 0, "{table}");
        }
    }
}
