//! Several at once: one of them happens, and never two that exclude each other.

use super::{
    BAD_EMAIL_TOKEN, BAD_UNDO_TOKEN, EMAIL, NEW, OTHER, PASSWORD, TAKEN, app_without_mail,
};
use crate::on_each_engine;
use crate::support::client::Reply;
use crate::support::races::{at_once, successes};
use crate::support::{NO_LIMITS, TestApp};

const ROUNDS: usize = 200;

on_each_engine! {
    async fn of_two_accounts_that_confirm_one_address_at_once_one_gets_it(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        let mut firsts = 0;
        for round in 0..ROUNDS {
            let one = app.logged_in(EMAIL, PASSWORD).await;
            let two = app.logged_in(OTHER, PASSWORD).await;
            let token_of_one = app.email_token(&one, NEW).await;
            let token_of_two = app.email_token(&two, NEW).await;
            let first = app.change_address(&one, &token_of_one);
            let second = another.change_address(&two, &token_of_two);
            let replies = at_once(round, first, second).await;
            assert_eq!(successes(&replies, &[(400, TAKEN)]), 1, "{replies:?}");
            firsts += usize::from(replies[0].status == 200);
            let new = "users WHERE email = 'new@example.org'";
            assert_eq!((app.inside.count("users").await, app.inside.count(new).await), (2, 1));
            // The other one is as it was.
            let left = if replies[0].status == 200 { &two } else { &one };
            assert!(app.is_logged_in(left).await);
            for (number, email) in [(1, EMAIL), (2, OTHER)] {
                app.inside.execute(&format!("UPDATE users SET email = '{email}' WHERE id = {number}")).await;
            }
            for table in ["past_addresses", "pending_addresses", "sessions"] {
                app.inside.execute(&format!("DELETE FROM {table}")).await;
            }
        }
        println!("{firsts} of {ROUNDS} confirmations of the first came first");
    }

    async fn a_change_that_is_undone_while_another_signs_up_is_undone_alone(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        for round in 0..ROUNDS {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            let (_, undo) = app.moved(&session, NEW).await;
            let undone = app.undo_address(EMAIL, &undo, PASSWORD);
            let replies = at_once(round, undone, another.register(EMAIL, "stranger")).await;
            assert_eq!(successes(&replies, &[(400, TAKEN)]), 1, "{replies:?}");
            assert_eq!(replies[0].status, 200, "{replies:?}");
            assert_eq!(app.inside.count("users").await, 1);
            app.inside.execute("DELETE FROM sessions").await;
        }
        assert!(app.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn a_change_while_others_take_the_old_address_leaves_it_to_nobody(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        app.registered(OTHER, PASSWORD).await;
        for round in 0..ROUNDS {
            let mover = app.logged_in(EMAIL, PASSWORD).await;
            let taker = app.logged_in(OTHER, PASSWORD).await;
            let token = app.email_token(&mover, NEW).await;
            // Asked for while it was free.
            app.inside.execute("UPDATE users SET email = 'aside@example.org' WHERE id = 1").await;
            let of_taker = app.email_token(&taker, EMAIL).await;
            app.inside.execute("UPDATE users SET email = 'bob@example.org' WHERE id = 1").await;
            let take = if round % 2 == 0 {
                another.change_address(&taker, &of_taker)
            } else {
                another.register(EMAIL, "stranger")
            };
            let replies = at_once(round, app.change_address(&mover, &token), take).await;
            assert_eq!(successes(&replies, &[(400, TAKEN)]), 1, "{replies:?}");
            let undo = replies[0].json()["undo_token"].as_str().unwrap().to_owned();
            assert_eq!(app.inside.count("users WHERE email = 'bob@example.org'").await, 0);
            let reply = app.undo_address(EMAIL, &undo, PASSWORD).send().await;
            assert_eq!(reply.status, 200, "{reply:?}");
            app.inside.execute("DELETE FROM sessions").await;
            app.inside.execute("DELETE FROM pending_addresses").await;
        }
    }

    async fn two_undos_at_once_leave_the_account_at_one_address_with_its_password(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        for round in 0..ROUNDS {
            let session = app.logged_in(EMAIL, PASSWORD).await;
            let (session, undo_first) = app.moved(&session, NEW).await;
            let (_, undo_second) = app.moved(&session, "third@example.org").await;
            let (first, second) = if round % 2 == 0 {
                // One token twice.
                (
                    app.undo_address(EMAIL, &undo_first, "one"),
                    another.undo_address(EMAIL, &undo_first, "two"),
                )
            } else {
                (
                    app.undo_address(EMAIL, &undo_first, "one"),
                    another.undo_address(NEW, &undo_second, "two"),
                )
            };
            let replies = at_once(round, first, second).await;
            let successes = successes(&replies, &[(403, BAD_UNDO_TOKEN)]);
            if round % 2 == 0 {
                assert_eq!(successes, 1, "{replies:?}");
            } else {
                // The later change may be undone before the earlier one, not after it.
                assert_eq!(replies[0].status, 200, "{replies:?}");
            }
            let password = if replies[0].status == 200 { "one" } else { "two" };
            assert!(app.can_log_in(EMAIL, password).await);
            assert_eq!(app.inside.count("past_addresses").await, 0);
            let reset = app.reset_token(EMAIL).await;
            app.reset(EMAIL, &reset, PASSWORD).send().await;
            app.inside.execute("DELETE FROM sessions").await;
        }
    }

    async fn a_change_by_a_session_that_is_ended_is_none(database: Database) {
        let app = TestApp::with_limits(database, NO_LIMITS, &[]).await;
        let another = app.another().await;
        app.registered(EMAIL, PASSWORD).await;
        let (mut email, mut next) = (EMAIL, NEW);
        for round in 0..ROUNDS {
            let thief = app.logged_in(email, PASSWORD).await;
            let owner = app.logged_in(email, PASSWORD).await;
            let token = app.email_token(&thief, next).await;
            let change = app.change_address(&thief, &token);
            let replies = at_once(round, change, another.end_others(&owner)).await;
            assert_eq!(successes(&replies, &[(403, "not logged in")]), 1, "{replies:?}");
            if replies[0].status == 200 {
                std::mem::swap(&mut email, &mut next);
            }
            assert!(app.can_log_in(email, PASSWORD).await);
            app.inside.execute("DELETE FROM sessions").await;
        }
    }

    async fn one_token_used_by_many_at_once_changes_the_address_once(database: Database) {
        let (app, mut session) = app_without_mail(database).await;
        let mut email = EMAIL.to_owned();
        for round in 0..20 {
            let next = format!("user{round}@example.org");
            let token = app.email_token(&session, &next).await;
            let calls = (0..20).map(|_| tokio::spawn(app.change_address(&session, &token).send()));
            let calls: Vec<_> = calls.collect();
            let mut replies = Vec::new();
            for call in calls {
                replies.push(call.await.unwrap());
            }
            let refusals = [(403, BAD_EMAIL_TOKEN), (403, "not logged in")];
            assert_eq!(successes(&replies, &refusals), 1, "{replies:?}");
            session = replies.iter().find_map(Reply::session_id).unwrap();
            assert!(app.is_logged_in(&session).await);
            assert_eq!(app.inside.count(&format!("past_addresses WHERE email = '{email}'")).await, 1);
            email = next;
        }
    }
}
