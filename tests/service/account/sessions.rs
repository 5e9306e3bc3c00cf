//! `GET /sessions`, `DELETE /sessions/{id}`, `DELETE /sessions/others`.

use std::time::Duration;

use serde_json::json;

use super::{EMAIL, OTHER, PASSWORD};
use crate::on_each_engine;
use crate::support::client::Client;
use crate::support::{LIFETIMES, TestApp};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0";

/// Logs in from here by this.
async fn logged_in_from(client: &Client, source: &str, user_agent: &str) -> String {
    let call = client.log_in(EMAIL, PASSWORD).from(source);
    let reply = call.header("user-agent", user_agent).send().await;
    reply.session_id().unwrap()
}

on_each_engine! {
    async fn a_user_sees_their_sessions_and_nobody_elses(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        app.logged_in(OTHER, PASSWORD).await;
        let first = logged_in_from(&app, "192.0.2.7", FIREFOX).await;
        app.clock.turn(Duration::from_mins(10));
        let second = logged_in_from(&app, "2001:db8:1:2::9", "curl/8.14.1").await;
        app.clock.turn(Duration::from_mins(10));
        let third = app.logged_in(EMAIL, PASSWORD).await;
        app.clock.turn(Duration::from_mins(10));
        assert!(app.is_logged_in(&first).await);

        let [first_id, second_id, third_id] =
            [app.id_of(&first).await, app.id_of(&second).await, app.id_of(&third).await];
        // The one that asks is the first, the others follow as they were used last.
        let reply = app.list_sessions(&second).send().await;
        let seen = "2027-01-15T08:30:00Z";
        reply.assert_is(200, &json!({ "sessions": [
            {
                "id": second_id, "current": true, "client": "curl", "source": "2001:db8:1:2::/64",
                "begun": "2027-01-15T08:10:00Z", "seen": seen,
            },
            {
                "id": first_id, "current": false, "client": "Firefox on Linux", "source": "192.0.2.7",
                "begun": "2027-01-15T08:00:00Z", "seen": seen,
            },
            {
                "id": third_id, "current": false, "client": null, "source": "127.0.0.1",
                "begun": "2027-01-15T08:20:00Z", "seen": seen,
            },
        ]}));
    }

    async fn sessions_that_are_over_are_not_listed(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let expired = app.logged_in(EMAIL, PASSWORD).await;
        let ended = app.logged_in(EMAIL, PASSWORD).await;
        app.log_out(&ended).send().await;
        app.clock.turn(LIFETIMES.session_idle);
        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(app.inside.count("sessions").await, 2);
        assert_eq!(app.sessions(&session).await.len(), 1);
        app.list_sessions(&expired).send().await.assert_refusal(403, "not logged in");

        let token = app.reset_token(EMAIL).await;
        app.reset(EMAIL, &token, "new").send().await;
        let call = app.list_sessions(&session);
        app.assert_refused(call, 403, "not logged in").await;
        let session = app.logged_in(EMAIL, "new").await;
        assert_eq!(app.sessions(&session).await.len(), 1);
    }

    async fn of_sessions_from_before_neither_client_nor_source_is_known(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        app.inside.execute("UPDATE sessions SET client = NULL, source = NULL").await;
        let sessions = app.sessions(&session).await;
        assert_eq!(sessions[0]["client"], json!(null));
        assert_eq!(sessions[0]["source"], json!(null));
        let page = app.list_sessions(&session).by_browser().send().await.assert_page(200);
        assert_eq!(page.text("h2"), "Unknown program");
    }

    async fn signing_up_on_a_page_begins_a_session_that_is_recognised(database: Database) {
        let app = TestApp::new(database).await;
        let call = app.register(EMAIL, PASSWORD).by_browser().header("user-agent", FIREFOX);
        let session = call.send().await.session_id().unwrap();
        assert_eq!(app.sessions(&session).await[0]["client"], "Firefox on Linux");
    }

    async fn ending_a_session_leaves_the_others_alive(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let another = app.another().await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            // So that both have it in mind.
            assert!(app.is_logged_in(&session).await && another.is_logged_in(&session).await);
            sessions.push(session);
        }
        let id = app.id_of(&sessions[1]).await;
        let reply = app.end_session(&sessions[0], &id).send().await;
        reply.assert_is(200, &json!({ "message": "session ended" }));
        assert_eq!(reply.header("set-cookie"), None);
        for client in [&another, &*app] {
            client.profile(&sessions[1]).send().await.assert_refusal(403, "not logged in");
            assert!(client.is_logged_in(&sessions[0]).await);
            assert!(client.is_logged_in(&sessions[2]).await);
        }
        let again = app.end_session(&sessions[0], &id);
        app.assert_refused(again, 404, "not found").await;
        app.assert_refused(app.log_out(&sessions[1]), 403, "not logged in").await;
    }

    async fn ending_the_others_leaves_one(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let another = app.another().await;
        let mut sessions = Vec::new();
        for _ in 0..3 {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            assert!(app.is_logged_in(&session).await && another.is_logged_in(&session).await);
            sessions.push(session);
        }
        let reply = another.end_others(&sessions[1]).send().await;
        reply.assert_is(200, &json!({ "message": "other sessions ended", "ended": 2 }));
        for client in [&*app, &another] {
            for (number, session) in sessions.iter().enumerate() {
                assert_eq!(client.is_logged_in(session).await, number == 1);
            }
            assert!(client.is_logged_in(&of_other).await);
        }
        assert_eq!(app.sessions(&sessions[1]).await.len(), 1);
        // Who has no others causes no write.
        let before = app.inside.all_rows().await;
        let reply = app.end_others(&sessions[1]).send().await;
        reply.assert_is(200, &json!({ "message": "other sessions ended", "ended": 0 }));
        assert_eq!(app.inside.all_rows().await, before);
    }

    async fn a_session_that_a_clock_ahead_has_left_ends_with_the_others(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.clock.turn(Duration::from_hours(24));
        let ahead = app.logged_in(EMAIL, PASSWORD).await;
        app.clock.turn_back(Duration::from_hours(24));
        let session = app.logged_in(EMAIL, PASSWORD).await;
        assert_eq!(app.sessions(&session).await.len(), 1);
        assert_eq!(app.end_others(&session).send().await.status, 200);
        app.clock.turn(Duration::from_hours(24));
        assert!(!app.is_logged_in(&ahead).await);
        assert!(app.is_logged_in(&session).await);
    }

    async fn the_session_of_another_user_cannot_be_ended(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let of_other = app.logged_in(OTHER, PASSWORD).await;
        let id = app.id_of(&of_other).await;
        let shouted = app.id_of(&session).await.to_uppercase();
        for id in [&*id, &shouted, "0000000000000000", "x", "%20", &session, &of_other] {
            app.assert_refused(app.end_session(&session, id), 404, "not found").await;
            let call = app.end_session(&session, id).by_browser();
            call.send().await.assert_page(404);
        }
        assert!(app.is_logged_in(&session).await && app.is_logged_in(&of_other).await);
    }

    async fn ending_the_session_that_asks_is_a_logout(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let id = app.id_of(&session).await;
        let reply = app.end_session(&session, &id).send().await;
        reply.assert_is(200, &json!({ "message": "session ended" }));
        let cleared = "session_id=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0";
        assert_eq!(reply.header("set-cookie"), Some(cleared));
        assert!(!app.is_logged_in(&session).await);
    }

    async fn what_is_listed_is_of_no_use_as_a_cookie(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let id = app.id_of(&session).await;
        assert!(!session.replace('-', "").contains(&id));
        let padded = format!("{id}{id}");
        let as_uuid = uuid::Uuid::parse_str(&padded).unwrap().to_string();
        for cookie in [&id, &padded, &as_uuid] {
            app.assert_refused(app.profile(cookie), 403, "not logged in").await;
        }
    }

    async fn strangers_see_and_end_nothing(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, PASSWORD).await;
        let session = app.logged_in(EMAIL, PASSWORD).await;
        let id = app.id_of(&session).await;
        let nobody = "8eabf6e7-e0de-4e90-9627-1dcb41989bae";
        for call in [
            app.list_sessions(nobody),
            app.end_session(nobody, &id),
            app.end_others(nobody),
            app.delete_user(nobody),
            app.change_password(nobody, PASSWORD, "new"),
            app.change_password(nobody, "", ""),
            app.get("/users/me").session(nobody),
            app.get("/sessions"),
            app.request("DELETE", "/sessions/others"),
            app.request("DELETE", &format!("/sessions/{id}")),
            app.request("DELETE", "/users"),
            app.put("/profile/password", &[("password", PASSWORD), ("new_password", "new")]),
            app.get("/users/me"),
        ] {
            app.assert_refused(call, 403, "not logged in").await;
        }
    }
}
