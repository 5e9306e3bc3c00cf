//! Fifty at once with one token, and at once with those who sign up in another way.

use bienvenue::auth::{MAIL_PAUSE, SignUpMode};
use tokio::task::JoinSet;

use super::{NEW, PASSWORD, app_with_mail, app_without_mail, mailed_token, only};
use crate::on_each_engine;
use crate::support::client::{Call, Reply};
use crate::support::races::successes;
use crate::support::smtp_server::SmtpServer;

const RACERS: usize = 50;

async fn race(calls: impl Iterator<Item = Call>) -> Vec<Reply> {
    let racers: JoinSet<Reply> = calls.map(Call::send).collect();
    racers.join_all().await
}

on_each_engine! {
    async fn one_token_adds_one_user(database: Database) {
        let app = app_without_mail(database).await;
        for round in 0..10 {
            let email = format!("user{round}@example.org");
            let token = app.sign_up_token(&email).await;
            let password = |racer: usize| format!("password of {racer}");
            let calls = (0..RACERS).map(|racer| app.finish_sign_up(&email, &token, &password(racer)));
            let replies = race(calls).await;
            // Who comes when there is a user is told that the address is taken.
            let refusals = [(403, "invalid sign-up token"), (400, "email already registered")];
            assert_eq!(successes(&replies, &refusals), 1);
            assert_eq!(app.inside.count("users").await, 2 + round);
            assert_eq!(app.inside.count("sign_ups").await, 0);
        }
    }

    async fn who_signs_up_at_once_and_by_a_token_is_one_user(database: Database) {
        let app = app_without_mail(database).await;
        let at_once = app.signing_up(SignUpMode::Unverified);
        for round in 0..20 {
            let email = format!("user{round}@example.org");
            let token = app.sign_up_token(&email).await;
            let calls = (0..10).map(|racer| match racer % 2 {
                0 => app.finish_sign_up(&email, &token, PASSWORD),
                _ => at_once.register(&email, PASSWORD),
            });
            let replies = race(calls).await;
            let refusals = [(403, "invalid sign-up token"), (400, "email already registered")];
            assert_eq!(successes(&replies, &refusals), 1);
            assert_eq!(app.inside.count("users").await, 2 + round);
        }
    }

    async fn of_those_who_ask_at_once_one_has_the_token_that_works(database: Database) {
        let app = app_without_mail(database).await;
        let replies = race((0..RACERS).map(|_| app.ask_sign_up(NEW))).await;
        assert_eq!(successes(&replies, &[]), RACERS);
        let tokens = replies.iter().map(|reply| reply.json()["sign_up_token"].as_str().unwrap().to_owned());
        let mut added = 0;
        for token in tokens {
            let reply = app.finish_sign_up(NEW, &token, PASSWORD).send().await;
            added += u32::from(reply.status == 200);
        }
        assert_eq!(added, 1);
        assert_eq!(app.inside.count("users").await, 2);
    }

    async fn a_mail_that_is_sent_while_a_sign_up_is_finished_adds_no_second_user(database: Database) {
        let Some(server) = SmtpServer::start() else { return };
        let app = app_with_mail(database, &server).await;
        for round in 0..5 {
            let email = format!("user{round}@example.org");
            let first = mailed_token(&app, &server, &email).await;
            app.clock.turn(MAIL_PAUSE);
            app.ask_sign_up(&email).send().await;
            let finish = app.finish_sign_up(&email, &first, PASSWORD).send();
            let (finished, _) = tokio::join!(finish, app.deliver());
            let second = only(server.take());
            // Unless the first token was used in time, the one in the second mail took its place.
            if finished.status != 200 {
                finished.assert_refusal(403, "invalid sign-up token");
                let reply = app.finish_sign_up(&email, &second.token(), PASSWORD).send().await;
                assert_eq!(reply.status, 200, "{reply:?}");
            }
            assert_eq!(app.inside.count("users").await, 2 + round);
        }
    }
}
