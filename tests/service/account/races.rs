//! A session that is ended while something is done by it: one of the two happens, never both.

use sqlx::{Connection, Executor};

use super::{EMAIL, PASSWORD};
use crate::on_each_engine;
use crate::support::client::Reply;
use crate::support::races::at_once;
use crate::support::{NO_LIMITS, TestApp};

const ROUNDS: usize = 200;

/// How many of these succeeded; the others must have been refused.
#[track_caller]
fn successes(replies: &[Reply], refusals: &[u16]) -> usize {
    let is_success = |reply: &&Reply| [200, 302].contains(&reply.status.as_u16());
    for reply in replies {
        assert!(
            is_success(&reply) || refusals.contains(&reply.status.as_u16()),
            "{reply:?}"
        );
    }
    replies.iter().filter(is_success).count()
}

on_each_engine! {
    async fn a_deletion_by_a_session_that_is_logged_out_is_none(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        let mut deleted = 0;
        for round in 0..ROUNDS {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            let replies = at_once(round, app.delete_user(&session), another.log_out(&session)).await;
            assert_eq!(successes(&replies, &[403]), 1, "{replies:?}");
            let is_deleted = replies[0].status == 200;
            assert_eq!(app.inside.count("users").await, i64::from(!is_deleted));
            if is_deleted {
                deleted += 1;
                app.registered(EMAIL, PASSWORD).await;
            }
        }
        println!("{deleted} of {ROUNDS} deletions came first");
    }

    async fn of_two_sessions_that_end_each_other_one_is_left(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        for round in 0..ROUNDS {
            let one = app.logged_in(EMAIL, PASSWORD).await;
            let two = app.logged_in(EMAIL, PASSWORD).await;
            let call = if round % 2 == 0 {
                app.end_others(&one)
            } else {
                app.end_session(&one, &app.id_of(&two).await)
            };
            let replies = at_once(round, call, another.end_others(&two)).await;
            assert_eq!(successes(&replies, &[403]), 1, "{replies:?}");
            let left = [app.is_logged_in(&one).await, another.is_logged_in(&two).await];
            assert_eq!(left, [replies[0].status == 200, replies[1].status == 200]);
            assert_eq!(app.inside.count("sessions").await, 1);
            app.inside.execute("DELETE FROM sessions").await;
        }
    }

    async fn a_password_is_not_changed_by_a_session_that_is_ended(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        let mut password = PASSWORD.to_owned();
        for round in 0..ROUNDS {
            let thief = app.logged_in(EMAIL, &password).await;
            let owner = app.logged_in(EMAIL, &password).await;
            let new = format!("password {round}");
            let change = app.change_password(&thief, &password, &new);
            let replies = at_once(round, change, another.end_others(&owner)).await;
            assert_eq!(successes(&replies, &[403]), 1, "{replies:?}");
            let is_changed = replies[0].status == 200;
            if is_changed {
                password = new;
            }
            assert!(app.can_log_in(EMAIL, &password).await);
            assert_eq!(app.is_logged_in(&owner).await, !is_changed);
            assert!(!app.is_logged_in(&thief).await);
            app.inside.execute("DELETE FROM sessions").await;
        }
    }

    async fn one_of_two_changes_of_a_password_at_once_wins(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        let mut password = PASSWORD.to_owned();
        for round in 0..50 {
            let one = app.logged_in(EMAIL, &password).await;
            let two = app.logged_in(EMAIL, &password).await;
            let new = [format!("one {round}"), format!("two {round}")];
            let first = app.change_password(&one, &password, &new[0]);
            let second = another.change_password(&two, &password, &new[1]);
            let replies = at_once(round, first, second).await;
            // The slower one may find that the password is another by then, or that its session has ended.
            assert_eq!(successes(&replies, &[401, 403]), 1, "{replies:?}");
            password = new[usize::from(replies[1].status == 200)].clone();
            let winner = replies.iter().find_map(Reply::session_id).unwrap();
            assert!(app.is_logged_in(&winner).await && app.can_log_in(EMAIL, &password).await);
            app.inside.execute("DELETE FROM sessions").await;
        }
    }

    async fn what_waits_for_the_database_while_its_session_is_ended_is_not_done(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        app.registered(EMAIL, PASSWORD).await;
        for number in 0..5 {
            let other = app.logged_in(EMAIL, PASSWORD).await;
            let session = app.logged_in(EMAIL, PASSWORD).await;
            let id = app.id_of(&other).await;
            let call = match number {
                4 => app.change_password(&session, PASSWORD, "new"),
                number => app.calls_of_fresh(&session, &id)[number].0.clone(),
            };
            // Another program holds what the request must have, and ends the session meanwhile.
            let mut holder = if app.database.folder.is_some() {
                app.inside.lock_out_writers().await
            } else {
                let mut holder = app.inside.connection().await;
                holder.execute("BEGIN; UPDATE users SET created_at = created_at").await.unwrap();
                holder
            };
            let request = tokio::spawn(call.send());
            if app.database.folder.is_none() {
                app.inside.wait_for_waiting(1).await;
            }
            let end = "DELETE FROM sessions WHERE digest = $1";
            let digest = bienvenue::token::SessionId::parse(&session).unwrap().digest();
            let ended = sqlx::query(end).bind(digest.as_bytes().to_vec()).execute(&mut holder).await;
            assert_eq!(ended.unwrap().rows_affected(), 1);
            let before = app.inside.hash_of(EMAIL).await;
            holder.execute("COMMIT").await.unwrap();
            holder.close().await.unwrap();
            request.await.unwrap().assert_refusal(403, "not logged in");
            assert!(app.is_logged_in(&other).await);
            assert_eq!(app.inside.hash_of(EMAIL).await, before);
            app.inside.execute("DELETE FROM sessions").await;
        }
    }
}
