//! Adding, showing, confirming and deleting users.

use super::*;
use crate::on_each_engine;
use crate::support::smtp_server::token_in;

on_each_engine! {
    async fn a_user_is_added_with_a_password_and_logs_in(database: Database) {
        let server = Server::start(&database.url);
        let add = ["users", "add", "Bob@Example.org", "--password-stdin"];
        let added = run_with(&database, &add, &format!("{PASSWORD}\n")).done();
        assert_eq!(added.stdout, "");
        let audit = added.audit();
        assert_eq!(audit["event"], "user_added");
        assert_eq!(audit["command"], "users add");
        assert_eq!(audit["user"], 1);
        assert!(audit["actor"].as_str().is_some_and(|login| !login.is_empty()), "{audit}");
        assert!(audit.get("sudo_user").is_none(), "{audit}");
        assert!(!added.stderr.contains("example.org") && !added.stderr.contains(PASSWORD));
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
        let (_, log) = server.stop();
        assert!(!log.contains(PASSWORD), "{log}");
    }

    async fn a_user_without_a_password_chooses_one_by_a_link(database: Database) {
        let server = Server::start(&database.url);
        let options = ["--json", "--public-url", "https://auth.example.org"];
        let added = run(&database, &[&["users", "add", EMAIL], &options[..]].concat()).done();
        let json = &added.json()[0];
        assert_eq!((&json["id"], &json["email"]), (&1.into(), &EMAIL.into()));
        let link = json["link"].as_str().unwrap();
        assert!(link.starts_with("https://auth.example.org/reset_password?email=bob%40"), "{link}");
        let token = token_in(link);
        assert!(!added.stderr.contains(&token), "{added:?}");
        for password in ["*", PASSWORD] {
            assert!(!server.can_log_in(EMAIL, password).await);
        }
        assert_eq!(server.reset(EMAIL, &token, PASSWORD).send().await.status, 200);
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn a_reset_link_works_once_and_voids_the_one_before(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, "b4l0u").await;
        let link = || {
            let made = run(&database, &["users", "reset-link", EMAIL]).done();
            assert_eq!(made.audit()["event"], "reset_link_made");
            assert!(made.stderr.contains("--public-url"), "{made:?}");
            let link = made.stdout.strip_suffix('\n').unwrap().to_owned();
            assert!(link.starts_with("/reset_password?email="), "{link}");
            token_in(&format!("http://localhost{link}"))
        };
        let (first, second) = (link(), link());
        assert_eq!(server.reset(EMAIL, &first, PASSWORD).send().await.status, 403);
        assert_eq!(server.reset(EMAIL, &second, PASSWORD).send().await.status, 200);
        assert_eq!(server.reset(EMAIL, &second, PASSWORD).send().await.status, 403);
        assert!(server.can_log_in(EMAIL, PASSWORD).await);
    }

    async fn who_is_there_already_is_not_added_again(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let inside = database.look_inside().await;
        let taken = (4, "email already registered");
        assert_refused(&database, &inside, &["users", "add", EMAIL], taken).await;
        let before = inside.all_rows().await;
        let add = ["users", "add", EMAIL, "--password-stdin"];
        run_with(&database, &add, "another one").refused(4, "email already registered");
        assert_eq!(inside.all_rows().await, before);
    }

    async fn a_user_is_shown_by_address_or_number(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        server.logged_in(EMAIL, PASSWORD).await;
        for group in ["staff", "admins"] {
            run(&database, &["groups", "add", "1", group]).done();
        }
        for user in ["1", "BOB@example.org"] {
            let shown = run(&database, &["users", "show", user, "--json"]).done();
            let user = &shown.json()[0];
            assert_eq!((&user["id"], &user["email"]), (&1.into(), &EMAIL.into()));
            assert_eq!(user["groups"], serde_json::json!(["admins", "staff"]));
            assert_eq!(user["sessions"], 1);
            assert_eq!((&user["locked_at"], &user["email_confirmed_at"]), (&Value::Null, &Value::Null));
            assert!(user["created_at"].as_str().unwrap().ends_with('Z'), "{user}");
            assert_eq!(shown.stderr, "");
        }
    }

    async fn an_address_is_confirmed_once(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let confirmed = run(&database, &["users", "confirm", EMAIL]).done();
        assert_eq!(confirmed.audit()["event"], "address_confirmed");
        let show = || run(&database, &["users", "show", EMAIL, "--json"]).json()[0].clone();
        let shown = show();
        assert!(shown["email_confirmed_at"].is_string(), "{shown}");
        let again = run(&database, &["users", "confirm", EMAIL]).done();
        assert!(again.stderr.contains("confirmed already"), "{again:?}");
        assert!(!again.stderr.contains("audit"), "{again:?}");
        assert_eq!(show(), shown);
    }

    async fn nothing_of_a_deleted_user_is_left(database: Database) {
        let server = Server::start(&database.url);
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        let token = server.reset_token(EMAIL).await;
        run(&database, &["groups", "add", EMAIL, "admins"]).done();
        run(&database, &["users", "reset-link", EMAIL, "--mail"]).done();
        let inside = database.look_inside().await;
        let deleted = run(&database, &["users", "delete", EMAIL, "--yes"]).done();
        assert_eq!(deleted.audit()["event"], "user_deleted");
        assert_eq!(deleted.audit()["user"], 1);
        assert!(!server.is_logged_in(&session).await);
        server.log_in(EMAIL, PASSWORD).send().await.assert_refusal(401, "wrong email or password");
        assert_eq!(server.reset(EMAIL, &token, PASSWORD).send().await.status, 403);
        for table in ["users", "sessions", "reset_tokens", "user_groups", "familiar_sources", "outbox"] {
            assert_eq!(inside.count(table).await, 0, "{table}");
        }
        run(&database, &["users", "show", "1"]).refused(3, "there is no user number 1");
        // The next one has another number.
        server.registered(EMAIL, PASSWORD).await;
        let shown = run(&database, &["users", "show", EMAIL, "--json"]).done();
        assert_eq!(shown.json()[0]["id"], 2);
    }

    async fn the_mails_of_others_outlive_a_deleted_user(database: Database) {
        let server = Server::start(&database.url);
        for email in [EMAIL, "alice@example.org"] {
            server.registered(email, PASSWORD).await;
            run(&database, &["users", "reset-link", email, "--mail"]).done();
        }
        run(&database, &["users", "delete", EMAIL, "--yes"]).done();
        let inside = database.look_inside().await;
        let left = "SELECT count(*) FROM outbox WHERE email = 'alice@example.org'";
        assert_eq!((inside.number(left).await, inside.count("outbox").await), (1, 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_line_names_who_became_another_user() {
    let database = Database::sqlite();
    Server::start(&database.url).stop();
    let mut add = command(&database, &["users", "add", EMAIL]);
    let added: Ended = add
        .env("SUDO_USER", "guillaume\nforged")
        .output()
        .unwrap()
        .into();
    let audit = added.done().audit();
    assert_eq!(audit["sudo_user"], "guillaume\nforged");

    // In the other format too it is one line.
    let mut lock = command(&database, &["users", "lock", EMAIL, "--log-format", "text"]);
    let locked: Ended = lock
        .env("SUDO_USER", "guillaume\nforged")
        .output()
        .unwrap()
        .into();
    let locked = locked.done();
    assert_eq!(locked.stderr.lines().count(), 1, "{locked:?}");
    let told = "bienvenue::audit: event=\"locked\" actor=\"";
    assert!(locked.stderr.contains(told), "{locked:?}");
    let told = "sudo_user=\"guillaume\\nforged\" command=\"users lock\" user=1";
    assert!(locked.stderr.contains(told), "{locked:?}");
}
