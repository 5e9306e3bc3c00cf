//! Fifty at once, one winner: within a process, and between two on one database.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bienvenue::auth;
use bienvenue::email::Email;
use bienvenue::language::Language;
use bienvenue::token::ResetToken;
use serde_json::json;
use sqlx::Connection;
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::client::{Call, Client, Reply};
use crate::support::server::Server;
use crate::support::{TestApp, home};

const RACERS: usize = 50;
const EMAIL: &str = "bob@example.org";

/// Sends all calls at once and returns the replies in their order.
async fn race(calls: impl Iterator<Item = Call>) -> Vec<Reply> {
    let mut racers = JoinSet::new();
    for (number, call) in calls.enumerate() {
        racers.spawn(async move { (number, call.send().await) });
    }
    let replies: BTreeMap<usize, Reply> = racers.join_all().await.into_iter().collect();
    replies.into_values().collect()
}

/// The number of the one who won; all others must have been refused in this way.
fn only_winner(replies: &[Reply], status: u16, message: &str) -> usize {
    let mut winners = Vec::new();
    for (number, reply) in replies.iter().enumerate() {
        if reply.status == 200 {
            winners.push(number);
        } else {
            reply.assert_refusal(status, message);
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    winners[0]
}

/// Fifty sign-ups of one address in many spellings, spread over these clients.
async fn race_to_register(clients: &[&Client]) {
    let spelling = |number: usize| -> String {
        let letters = EMAIL.char_indices();
        let shout = |(at, letter): (usize, char)| {
            if number >> at & 1 == 1 {
                letter.to_ascii_uppercase()
            } else {
                letter
            }
        };
        letters.map(shout).collect()
    };
    let calls = (0..RACERS).map(|number| {
        clients[number % clients.len()].register(&spelling(number), &format!("password {number}"))
    });
    let replies = race(calls).await;
    let winner = only_winner(&replies, 400, "email already registered");
    for number in 0..RACERS {
        let client = clients[number % clients.len()];
        let password = format!("password {number}");
        assert_eq!(client.can_log_in(EMAIL, &password).await, number == winner);
    }
}

/// Fifty resets with one token, each with a password of its own, spread over these clients.
async fn race_to_reset(clients: &[&Client]) {
    clients[0].registered(EMAIL, "b4l0u").await;
    for round in 0..3 {
        let token = clients[0].reset_token(EMAIL).await;
        let password = |number: usize| format!("password {round} {number}");
        let calls = (0..RACERS)
            .map(|number| clients[number % clients.len()].reset(EMAIL, &token, &password(number)));
        let replies = race(calls).await;
        let winner = only_winner(&replies, 403, "invalid reset token");
        for number in 0..RACERS {
            let client = clients[number % clients.len()];
            let works = client.can_log_in(EMAIL, &password(number)).await;
            assert_eq!(works, number == winner);
        }
    }
}

on_each_engine! {
    async fn one_of_fifty_sign_ups_of_an_address_wins(database: Database) {
        let app = TestApp::new(database).await;
        race_to_register(&[&app]).await;
        assert_eq!(app.inside.count("users").await, 1);
    }

    async fn one_of_fifty_resets_with_a_token_wins(database: Database) {
        let app = TestApp::new(database).await;
        race_to_reset(&[&app]).await;
    }

    async fn one_of_fifty_logouts_of_a_session_wins(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let session = app.logged_in(EMAIL, "b4l0u").await;
        let replies = race((0..RACERS).map(|_| app.log_out(&session))).await;
        let winners = replies.iter().filter(|reply| reply.status == 302).count();
        assert_eq!(winners, 1, "{replies:?}");
    }

    async fn a_user_who_cannot_be_read_is_no_harm_to_those_looked_up_together(database: Database) {
        let app = TestApp::new(database).await;
        let mut sessions = Vec::new();
        for email in [EMAIL, "eve@example.org"] {
            app.registered(email, "b4l0u").await;
            sessions.push(app.logged_in(email, "b4l0u").await);
        }
        app.inside
            .execute("UPDATE users SET email = 'bad' WHERE email = 'eve@example.org'")
            .await;
        let replies = race((0..RACERS).map(|number| app.profile(&sessions[number % 2]))).await;
        for (number, reply) in replies.iter().enumerate() {
            if number % 2 == 0 {
                reply.assert_is(200, &json!({ "email": EMAIL }));
            } else {
                reply.assert_refusal(500, "internal error");
            }
        }
    }

    async fn no_profile_is_shown_after_the_logout_was_answered(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        for _ in 0..20 {
            let session = app.logged_in(EMAIL, "b4l0u").await;
            let is_logged_out = Arc::new(AtomicBool::new(false));
            let mut viewers = JoinSet::new();
            for _ in 0..8 {
                let (app, session) = (Client::clone(&app), session.clone());
                let is_logged_out = Arc::clone(&is_logged_out);
                viewers.spawn(async move {
                    loop {
                        // Asked before the profile is: a yes then came after the logout.
                        let was_logged_out = is_logged_out.load(Ordering::SeqCst);
                        let sees_profile = app.is_logged_in(&session).await;
                        assert!(!(was_logged_out && sees_profile));
                        if was_logged_out {
                            break;
                        }
                    }
                });
            }
            // The viewers leave it no time on a busy machine; what was given up may have been done.
            let mut is_answered = [302].as_slice();
            loop {
                let status = app.log_out(&session).send().await.status.as_u16();
                if status != 503 {
                    assert!(is_answered.contains(&status), "{status}");
                    break;
                }
                is_answered = &[302, 403];
            }
            is_logged_out.store(true, Ordering::SeqCst);
            viewers.join_all().await;
        }
    }

    async fn two_processes_show_no_profile_after_the_logout_was_answered_by_either(database: Database) {
        let [one, two] = [Server::start(&database.url), Server::start(&database.url)];
        one.registered(EMAIL, "b4l0u").await;
        for _ in 0..20 {
            let session = one.logged_in(EMAIL, "b4l0u").await;
            let viewers = race((0..20).map(|_| two.profile(&session)));
            let log_out = one.log_out(&session).send();
            let (viewed, logged_out) = tokio::join!(viewers, log_out);
            assert_eq!(logged_out.status, 302);
            assert!(viewed.iter().all(|reply| [200, 403].contains(&reply.status.as_u16())));
            for reply in race((0..20).map(|_| two.profile(&session))).await {
                reply.assert_refusal(403, "not logged in");
            }
        }
    }

    async fn everybody_who_asks_at_once_is_told_who_they_are_and_not_somebody_else(database: Database) {
        let app = TestApp::new(database).await;
        let mut sessions = Vec::new();
        for number in 0..20 {
            let email = format!("user{number}@example.org");
            app.registered(&email, "b4l0u").await;
            sessions.push((app.logged_in(&email, "b4l0u").await, email));
        }
        let unknown = Uuid::new_v4().to_string();
        let calls = (0..200).map(|number| match number % 21 {
            20 => app.profile(&unknown),
            number => app.profile(&sessions[number].0),
        });
        for (number, reply) in race(calls).await.iter().enumerate() {
            match number % 21 {
                20 => reply.assert_refusal(403, "not logged in"),
                number => reply.assert_is(200, &json!({ "email": sessions[number].1 })),
            }
        }
    }

    async fn a_login_that_cannot_be_is_not_paid_for_by_its_neighbours(database: Database) {
        let app = TestApp::new(database).await;
        let mut users = Vec::new();
        for number in 0..50 {
            let email = format!("user{number}@example.org");
            app.registered(&email, "b4l0u").await;
            let email: Email = email.parse().unwrap();
            users.push(app.auth.valid_login(Some(&email), &"b4l0u".parse().unwrap(), home()).await.unwrap());
        }
        // This one is gone before its session begins.
        let gone = users[7].id;
        app.inside.execute(&format!("DELETE FROM users WHERE id = {}", gone.0)).await;

        let mut logins = JoinSet::new();
        for user in users {
            let auth = app.auth.clone();
            logins.spawn(async move { (user.id, auth.create_session(&user, None, None, home()).await) });
        }
        for (id, session) in logins.join_all().await {
            match session {
                Ok(session) => assert!(id != gone && app.is_logged_in(&session.reveal()).await),
                Err(error) => {
                    assert_eq!(id, gone);
                    assert!(matches!(error, auth::Error::BadCredentials), "{error:?}");
                }
            }
        }
    }

    async fn no_login_with_the_old_password_outlives_its_change(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "old").await;
        let token = app.reset_token(EMAIL).await;
        // Half of them have proved the old password before the change, and have only their session to
        // begin; of the others it may be that all come too late.
        let email: Email = EMAIL.parse().unwrap();
        let user = app.auth.valid_login(Some(&email), &"old".parse().unwrap(), home()).await.unwrap();
        let user = Arc::new(user);
        let mut logins = JoinSet::new();
        for number in 0..RACERS {
            let (auth, user, log_in) = (app.auth.clone(), Arc::clone(&user), app.log_in(EMAIL, "old"));
            logins.spawn(async move {
                if number % 2 == 0 {
                    let session = auth.create_session(&user, None, None, home()).await;
                    Some(session.unwrap().reveal())
                } else {
                    log_in.send().await.session_id()
                }
            });
        }
        let change = app.reset(EMAIL, &token, "new").send();
        let (change, sessions) = tokio::join!(change, logins.join_all());
        assert_eq!(change.status, 200);
        let sessions: Vec<String> = sessions.into_iter().flatten().collect();
        assert!(sessions.len() >= RACERS / 2, "{sessions:?}");
        for session in sessions {
            assert!(!app.is_logged_in(&session).await);
        }
    }

    async fn a_change_that_has_begun_is_made_even_if_its_asker_leaves(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "old").await;
        let token = ResetToken::parse(&app.reset_token(EMAIL).await).unwrap();
        let lock = app.inside.lock_out_writers().await;
        let (email, password) = (EMAIL.parse().unwrap(), "new".parse().unwrap());
        let rounds = app.passwords.rounds_spent();
        {
            let mut change = pin!(app.auth.update_password(&email, &token, &password, Language::English, home()));
            // The hash is made just before the change.
            while app.passwords.rounds_spent() == rounds {
                tokio::select! {
                    biased;
                    done = &mut change => panic!("changed though it is locked: {done:?}"),
                    () = yield_now() => {}
                }
            }
        }
        lock.close().await.unwrap();
        let changed = async {
            while !app.can_log_in(EMAIL, "new").await {
                yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), changed).await.unwrap();
    }

    async fn mixed_writers_are_never_told_that_the_database_is_busy(database: Database) {
        let app = TestApp::new(database).await;
        app.registered(EMAIL, "b4l0u").await;
        let calls = (0..200).map(|number| match number % 3 {
            0 => app.register(&format!("user{number}@example.org"), "b4l0u"),
            1 => app.log_in(EMAIL, "b4l0u"),
            _ => app.ask_reset(EMAIL),
        });
        for reply in race(calls).await {
            assert_eq!(reply.status, 200, "{reply:?}");
        }
    }

    async fn two_processes_on_one_database_agree_on_the_winner_of_a_sign_up(database: Database) {
        let servers = [Server::start(&database.url), Server::start(&database.url)];
        race_to_register(&[&servers[0], &servers[1]]).await;
        assert_eq!(database.look_inside().await.count("users").await, 1);
    }

    async fn two_processes_on_one_database_agree_on_the_winner_of_a_reset(database: Database) {
        let servers = [Server::start(&database.url), Server::start(&database.url)];
        race_to_reset(&[&servers[0], &servers[1]]).await;
    }

    async fn two_processes_on_one_database_serve_each_others_sessions(database: Database) {
        let [one, two] = [Server::start(&database.url), Server::start(&database.url)];
        one.registered(EMAIL, "b4l0u").await;
        let session = two.logged_in(EMAIL, "b4l0u").await;
        for _ in 0..20 {
            assert!(one.is_logged_in(&session).await);
            assert!(two.is_logged_in(&session).await);
        }
        assert_eq!(one.log_out(&session).send().await.status, 302);
        assert!(!two.is_logged_in(&session).await);
    }
}
