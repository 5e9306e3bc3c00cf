//! What a ticket is good for.

use std::time::Duration;

use tokio::task::JoinSet;

use super::*;
use crate::on_each_engine;
use crate::support::TestApp;

const APPS: [&str; 2] = [WIKI, "*.example.com"];

/// That a ticket is refused with a page that leads nowhere by itself, and nothing is begun.
#[track_caller]
fn assert_not_taken(reply: &Reply, about: &dyn Debug) {
    assert_blocked(reply, 403, about);
    assert_eq!(reply.header("location"), None, "{about:?}");
    let page = str::from_utf8(&reply.body).unwrap();
    assert!(page.contains("href=\"/_bienvenue/login\""), "{page}");
    assert_eq!(reply.header("referrer-policy"), Some("strict-origin"));
}

on_each_engine! {
    async fn a_ticket_is_good_once_however_many_try_at_once(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
        for round in 1..=3 {
            let ticket = browser.ticket(WIKI).await;
            let path = ticket.strip_prefix("https://wiki.example.org").unwrap();
            let login = browser.cookie(WIKI, "bienvenue_login").unwrap();
            let mut racers = JoinSet::new();
            for _ in 0..50 {
                let call = app.get(path).header("host", WIKI);
                racers.spawn(call.header("cookie", format!("bienvenue_login={login}")).send());
            }
            let replies = racers.join_all().await;
            let taken = replies.iter().filter(|reply| reply.status == 303).count();
            assert_eq!(taken, 1);
            for reply in replies.iter().filter(|reply| reply.status != 303) {
                reply.assert_refusal(403, "invalid ticket");
            }
            assert_eq!(app.inside.count("app_sessions").await, round);
            assert_not_taken(&browser.get(&ticket).await, &round);
            assert_eq!(app.inside.count("app_sessions").await, round);
        }
    }

    async fn a_ticket_is_good_for_a_minute(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
        let (late, in_time) = (browser.ticket(WIKI).await, browser.ticket(WIKI).await);
        app.clock.turn(Duration::from_secs(59));
        assert_eq!(browser.get(&in_time).await.status, 303);
        app.clock.turn(Duration::from_secs(1));
        assert_not_taken(&browser.get(&late).await, &late);
        let ticket = browser.ticket(WIKI).await;
        app.clock.turn(Duration::from_secs(61));
        assert_not_taken(&browser.get(&ticket).await, &ticket);
        // Nor if a clock was wrong by more than clocks are.
        let ticket = browser.ticket(WIKI).await;
        app.clock.turn_back(Duration::from_hours(1));
        assert_not_taken(&browser.get(&ticket).await, &ticket);
        app.clock.turn(Duration::from_hours(2));
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("tickets").await, 0);
        assert_eq!(app.inside.count("app_sessions").await, 1);
    }

    async fn a_ticket_that_is_not_of_this_browser_or_app_is_good_for_nobody(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
        let mut other = Browser::new(&app, Way::ForwardAuth);
        other.get("https://wiki.example.org/_bienvenue/login").await;
        let mut without = Browser::new(&app, Way::ForwardAuth);
        for stranger in [&mut other, &mut without] {
            let ticket = browser.ticket(WIKI).await;
            assert_not_taken(&stranger.get(&ticket).await, &"another browser");
            assert_not_taken(&browser.get(&ticket).await, &"burned");
        }
        // What another host's server has got, in the name of the browser.
        for host in ["a.example.com", "b.example.com"] {
            let ticket = browser.ticket(WIKI).await;
            let login = browser.cookie(WIKI, "bienvenue_login").unwrap();
            browser.set(host, "bienvenue_login", &login);
            let elsewhere = ticket.replace(WIKI, host);
            assert_not_taken(&browser.get(&elsewhere).await, &host);
            assert_not_taken(&browser.get(&ticket).await, &"burned");
        }
        // Two cookies of the name are none.
        let ticket = browser.ticket(WIKI).await;
        let login = browser.cookie(WIKI, "bienvenue_login").unwrap();
        let path = ticket.strip_prefix("https://wiki.example.org").unwrap();
        let call = app.get(path).header("host", WIKI);
        let two = format!("bienvenue_login={login}; bienvenue_login={login}");
        call.header("cookie", two).send().await.assert_refusal(403, "invalid ticket");
        assert_eq!(app.inside.count("app_sessions").await, 0);
        // The browser itself goes on.
        browser.enter("https://wiki.example.org/").await;
    }

    async fn a_page_gets_no_ticket_for_its_pictures_frames_and_scripts(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let query = format!("app={WIKI}&state={}", "0".repeat(64));
        let authorize = app.get(&format!("/_bienvenue/authorize?{query}")).session(&session);
        let before = app.inside.all_rows().await;
        for (mode, site) in [("no-cors", "same-site"), ("cors", "same-origin"), ("websocket", "same-site")] {
            let call = authorize.clone().header("sec-fetch-mode", mode).header("sec-fetch-site", site);
            call.send().await.assert_refusal(403, "cross-site requests are refused");
        }
        let navigate = authorize.clone().header("sec-fetch-mode", "navigate");
        for destination in ["iframe", "frame", "object", "embed", "image"] {
            let call = navigate.clone().header("sec-fetch-dest", destination);
            call.send().await.assert_refusal(403, "cross-site requests are refused");
        }
        assert_eq!(app.inside.all_rows().await, before);
        for call in [navigate.clone().header("sec-fetch-dest", "document"), navigate, authorize] {
            assert_eq!(call.send().await.status, 303);
        }
    }

    async fn a_page_changes_what_a_browser_is_known_by_with_no_picture_frame_or_script(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let login = app.get("/_bienvenue/login?next=%2Fp").header("host", WIKI);
        for (mode, destination) in [
            ("no-cors", "image"),
            ("no-cors", "empty"),
            ("cors", "empty"),
            ("websocket", "websocket"),
            ("navigate", "iframe"),
            ("navigate", "object"),
        ] {
            let call = login.clone().header("sec-fetch-mode", mode).header("sec-fetch-dest", destination);
            let reply = call.header("sec-fetch-site", "same-site").send().await;
            reply.assert_refusal(403, "cross-site requests are refused");
            assert_eq!(reply.header("set-cookie"), None, "{mode} {destination}");
        }
        let navigate = login.clone().header("sec-fetch-mode", "navigate");
        // Browsers that do not say what they do too.
        for call in [navigate.clone().header("sec-fetch-dest", "document"), navigate, login] {
            let reply = call.header("sec-fetch-site", "same-site").send().await;
            assert_eq!(reply.status, 303, "{reply:?}");
            assert!(reply.header("set-cookie").unwrap().starts_with("bienvenue_login="), "{reply:?}");
        }
    }

    async fn a_ticket_ends_with_its_session(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        app.registered(EMAIL, PASSWORD).await;
        for change in [
            "DELETE FROM sessions",
            "UPDATE users SET password_version = password_version + 1",
            "UPDATE sessions SET last_seen_at = 1",
            "UPDATE sessions SET created_at = 1",
        ] {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
            let ticket = browser.ticket(WIKI).await;
            app.inside.execute(change).await;
            assert_not_taken(&browser.get(&ticket).await, &change);
            assert_eq!(app.inside.count("app_sessions").await, 0, "{change}");
        }
    }

    async fn a_session_gets_so_many_tickets_in_a_minute_and_has_so_many_sessions_at_apps(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let mut browser = Browser::with_session(&app, Way::ForwardAuth, &session);
        for round in 0..4 {
            for number in 0..30 {
                browser.enter(&format!("https://a{round}-{number}.example.com/")).await;
            }
            let url = "https://auth.example.org/_bienvenue/authorize?app=one.example.com&state=";
            let url = format!("{url}{}", "0".repeat(64));
            let before = app.inside.all_rows().await;
            let reply = browser.get(&url).await;
            assert_eq!(reply.status, 429, "{reply:?}");
            assert_eq!(reply.header("retry-after"), Some("60"));
            assert_eq!(app.inside.all_rows().await, before);
            // Others are not held up by it.
            let other = app.logged_in(EMAIL, PASSWORD).await;
            let mut other = Browser::with_session(&app, Way::ForwardAuth, &other);
            other.enter("https://wiki.example.org/").await;
            app.clock.turn(Duration::from_mins(1));
            app.auth.purge_expired().await.unwrap();
            assert_eq!(app.inside.count("tickets").await, 0);
        }
        // 50 and the one that has just begun, and one of each other session.
        let sessions = app.inside.count("app_sessions").await;
        assert!((50..=51 + 4).contains(&sessions), "{sessions}");
        // The newest are alive, the oldest make place and come back unseen.
        assert_passes(&browser.check("https://a3-29.example.com/").await, EMAIL, "users");
        let oldest = browser.check("https://a0-0.example.com/").await;
        assert_blocked(&oldest, 302, &"the oldest");
        browser.enter("https://a0-0.example.com/").await;
    }

    async fn tickets_that_are_asked_for_at_once_are_no_more_than_allowed(database: Database) {
        let app = TestApp::new(database).await.guarding(&APPS);
        let session = logged_in(&app).await;
        let mut asked = JoinSet::new();
        for _ in 0..60 {
            let path = format!("/_bienvenue/authorize?app={WIKI}&state={}", "0".repeat(64));
            asked.spawn(app.get(&path).header("host", OWN).session(&session).send());
        }
        let replies = asked.join_all().await;
        let issued = replies.iter().filter(|reply| reply.status == 303).count();
        assert_eq!(issued, 30);
        assert_eq!(app.inside.count("tickets").await, 30);
    }
}
