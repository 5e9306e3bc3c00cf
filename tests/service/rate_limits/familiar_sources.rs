//! From where owners get in while strangers flood their account.

use bienvenue::clock::Clock;
use bienvenue::db::Proof;
use bienvenue::email::Email;

use super::*;

/// Uses up what all strangers together have for an account.
async fn flood(app: &TestApp, email: &str) {
    while app.log_in(email, "wrong").from(FLOODER).send().await.status != 429 {}
}

/// Whether the owner of an account gets in from here while strangers flood it.
async fn gets_in(app: &TestApp, email: &str, password: &str, source: &str) -> bool {
    flood(app, email).await;
    let reply = app.log_in(email, password).from(source).send().await;
    assert!([200, 429].contains(&reply.status.as_u16()), "{reply:?}");
    reply.status == 200
}

on_each_engine! {
    async fn owners_get_in_under_a_flood_from_where_they_have_logged_in_before(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        let at_home = |password| app.log_in(EMAIL, password).from(HOME);
        assert_eq!(at_home("b4l0u").send().await.status, 200);
        for number in 0..50 {
            let stranger = format!("203.0.113.{number}");
            app.log_in(EMAIL, "wrong").from(&stranger).send().await;
        }
        throttled(&app.log_in(EMAIL, "b4l0u").from(STRANGER).send().await);
        assert_eq!(at_home("b4l0u").send().await.status, 200);
        // They too may guess only so often.
        assert_eq!(guess(|| at_home("wrong")).await, 5);
        throttled(&at_home("b4l0u").send().await);
        // A source that is familiar to one account is a stranger to others.
        assert_eq!(guess(|| app.log_in(OTHER, "wrong").from(STRANGER)).await, 5);
        throttled(&app.log_in(OTHER, "b4l0u").from(HOME).send().await);
    }

    async fn a_source_is_forgotten_a_month_after_its_last_login(database: Database) {
        const MONTH: Duration = Duration::from_hours(30 * 24);
        const ALMOST: Duration = Duration::from_secs(30 * 24 * 3600 - 1);
        let app = app_with(per_account("5/h"), database).await;
        let at_home = || app.log_in(EMAIL, "b4l0u").from(HOME).send();
        assert_eq!(at_home().await.status, 200);
        app.clock.turn(ALMOST);
        app.auth.purge_expired().await.unwrap();
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        assert_eq!(at_home().await.status, 200);
        // Remembered anew.
        app.clock.turn(ALMOST);
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        assert_eq!(at_home().await.status, 200);
        app.clock.turn(MONTH);
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        throttled(&at_home().await);
        assert_ne!(app.inside.count("familiar_sources").await, 0);
        app.auth.purge_expired().await.unwrap();
        assert_eq!(app.inside.count("familiar_sources").await, 0);
    }

    async fn owners_get_in_under_a_flood_from_anywhere_by_a_reset(database: Database) {
        let limits = RateLimits { resets_per_address: rate("5/h"), ..per_account("5/h") };
        let app = app_with(limits, database).await;
        guess(|| app.log_in(EMAIL, "wrong").from(STRANGER)).await;
        throttled(&app.log_in(EMAIL, "b4l0u").from(HOME).send().await);
        let asked = app.ask_reset(EMAIL).from(HOME).send().await;
        let token = asked.json()["reset_token"].as_str().unwrap().to_owned();
        assert_eq!(app.reset(EMAIL, &token, "t4rt1fl3tt3").from(HOME).send().await.status, 200);
        let login = app.log_in(EMAIL, "t4rt1fl3tt3").from(HOME);
        assert_eq!(login.send().await.status, 200);
        throttled(&app.log_in(EMAIL, "t4rt1fl3tt3").from(STRANGER).send().await);
    }

    async fn reset_requests_are_throttled_by_address_known_or_not_and_not_from_home(database: Database) {
        let limits = RateLimits { resets_per_address: rate("3/h"), ..NO_LIMITS };
        let app = app_with(limits, database).await;
        assert_eq!(app.log_in(EMAIL, "b4l0u").from(HOME).send().await.status, 200);
        let mut replies = Vec::new();
        for (email, status) in [(EMAIL, 200), (UNKNOWN, 403)] {
            for _ in 0..3 {
                let asked = app.ask_reset(email).from(STRANGER).send().await;
                assert_eq!(asked.status, status);
            }
            let before = app.inside.all_rows().await;
            let refused = app.ask_reset(&email.to_uppercase()).from("192.0.2.1").send().await;
            assert_eq!(throttled(&refused), 1200);
            assert_eq!(app.inside.all_rows().await, before);
            replies.push(refused.body);
        }
        assert_eq!(replies[0], replies[1]);
        assert_eq!(app.ask_reset(EMAIL).from(HOME).send().await.status, 200);
        app.clock.turn(Duration::from_mins(20));
        assert_eq!(app.ask_reset(EMAIL).from(STRANGER).send().await.status, 200);
    }

    async fn a_source_is_familiar_to_whoever_signs_up_there_as_a_program_or_on_the_page(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        let by_program = app.register("program@example.org", "b4l0u").from(HOME);
        assert_eq!(by_program.send().await.status, 200);
        let on_page = app.register("page@example.org", "b4l0u").from(HOME).by_browser();
        on_page.send().await.assert_leads_to("/");
        for email in ["program@example.org", "page@example.org"] {
            assert!(gets_in(&app, email, "b4l0u", HOME).await, "{email}");
            assert!(!gets_in(&app, email, "b4l0u", STRANGER).await, "{email}");
        }
        // A sign-up that is refused proves nothing.
        app.register(EMAIL, "b4l0u").from(HOME).send().await.assert_refusal(400, "email already registered");
        assert!(!gets_in(&app, EMAIL, "b4l0u", HOME).await);
    }

    async fn a_reset_ends_what_was_proved_by_the_old_password(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        for source in [HOME, STRANGER] {
            assert_eq!(app.log_in(EMAIL, "b4l0u").from(source).send().await.status, 200);
        }
        let token = app.reset_token(EMAIL).await;
        let reset = app.reset(EMAIL, &token, "t4rt1fl3tt3").from(HOME);
        assert_eq!(reset.send().await.status, 200);
        flood(&app, EMAIL).await;
        // Whoever had the old password guesses at the new one as any stranger.
        throttled(&app.log_in(EMAIL, "wrong").from(STRANGER).send().await);
        assert!(gets_in(&app, EMAIL, "t4rt1fl3tt3", HOME).await);
        // Of the two users, the one has this source and the other where they signed up.
        assert_eq!(app.inside.count("familiar_sources").await, 2);
    }

    async fn a_login_by_the_old_password_that_a_reset_overtakes_makes_no_source_familiar(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        let email: Email = EMAIL.parse().unwrap();
        let user = app.db.users.find_by_email(&email).await.unwrap().unwrap();
        let token = app.reset_token(EMAIL).await;
        assert_eq!(app.reset(EMAIL, &token, "t4rt1fl3tt3").from(HOME).send().await.status, 200);
        let before = app.inside.all_rows().await;
        let proof = Proof { digest: [7; 32], given_at: app.clock.now() };
        app.db.rate_limits.refund_tokens(Vec::new(), Some((&user, proof)), None).await.unwrap();
        assert_eq!(app.inside.all_rows().await, before);
        // Nor if the reset has missed it.
        app.inside.execute("UPDATE users SET password_version = password_version + 1").await;
        assert!(!gets_in(&app, EMAIL, "t4rt1fl3tt3", HOME).await);
    }

    async fn who_signs_up_with_the_address_of_an_earlier_user_has_none_of_their_sources(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        assert_eq!(app.log_in(OTHER, "b4l0u").from(HOME).send().await.status, 200);
        // The newest user, whose id a database would give out again if it were not kept from it, deleted
        // as by a tool that does not look after the rows that belong to a user.
        let is_sqlite = app.database.folder.is_some();
        let delete = "DELETE FROM users WHERE email = 'other@example.org'";
        if is_sqlite {
            let delete = format!("PRAGMA foreign_keys = OFF; {delete}; PRAGMA foreign_keys = ON");
            app.inside.execute(&delete).await;
            assert_eq!(app.inside.count("familiar_sources").await, 3);
        } else {
            app.inside.execute(delete).await;
        }
        let sign_up = app.register(OTHER, "b4l0u").from(SIGNED_UP_AT);
        assert_eq!(sign_up.send().await.status, 200);
        assert!(!gets_in(&app, OTHER, "b4l0u", HOME).await);
        assert!(gets_in(&app, OTHER, "b4l0u", SIGNED_UP_AT).await);
    }

    async fn the_twenty_newest_sources_of_a_user_are_kept(database: Database) {
        let app = app_with(per_account("5/h"), database).await;
        assert_eq!(app.log_in(OTHER, "b4l0u").from(HOME).send().await.status, 200);
        let source = |number: usize| format!("198.51.100.{number}");
        for number in 0..30 {
            app.clock.turn(Duration::from_secs(1));
            assert_eq!(app.log_in(EMAIL, "b4l0u").from(&source(number)).send().await.status, 200);
            // Used all the time, so never the oldest.
            assert_eq!(app.log_in(EMAIL, "b4l0u").from(SIGNED_UP_AT).send().await.status, 200);
        }
        // The other user has two.
        assert_eq!(app.inside.count("familiar_sources").await, 20 + 2);
        assert!(gets_in(&app, EMAIL, "b4l0u", &source(11)).await);
        assert!(gets_in(&app, EMAIL, "b4l0u", SIGNED_UP_AT).await);
        assert!(!gets_in(&app, EMAIL, "b4l0u", &source(10)).await);
        assert!(gets_in(&app, OTHER, "b4l0u", HOME).await);
    }

    async fn logins_from_many_sources_at_once_leave_twenty(database: Database) {
        let app = app_with(per_account("100/h"), database).await;
        let calls = (0..60).map(|number| app.log_in(EMAIL, "b4l0u").from(&format!("198.51.100.{number}")));
        assert!(at_once(calls).await.iter().all(|reply| reply.status == 200));
        assert_eq!(app.inside.count("familiar_sources").await, 20 + 1);
    }

    async fn a_proof_by_a_clock_that_was_ahead_does_not_count_and_is_the_first_to_go(database: Database) {
        const AHEAD: Duration = Duration::from_mins(6);
        let app = app_with(per_account("5/h"), database).await;
        let log_in = |source: String| app.log_in(EMAIL, "b4l0u").from(&source).send();
        app.clock.turn(AHEAD);
        for number in 0..20 {
            assert_eq!(log_in(format!("203.0.113.{number}")).await.status, 200);
        }
        app.clock.turn_back(AHEAD);
        assert!(!gets_in(&app, EMAIL, "b4l0u", "203.0.113.5").await);
        app.clock.turn(Duration::from_mins(1));
        // Five minutes ahead is what clocks of several machines may differ by.
        assert!(gets_in(&app, EMAIL, "b4l0u", "203.0.113.5").await);

        app.clock.turn_back(Duration::from_mins(2));
        app.inside.execute("DELETE FROM throttles").await;
        assert_eq!(log_in(HOME.to_owned()).await.status, 200);
        assert!(gets_in(&app, EMAIL, "b4l0u", HOME).await);
    }
}
