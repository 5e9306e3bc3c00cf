//! The program: how people sign up unless told otherwise, and what of it is found where.

use std::fs;

use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{NEW, only};
use crate::on_each_engine;
use crate::support::Database;
use crate::support::server::Server;
use crate::support::smtp_server::{SENDER, SmtpServer};

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "r3bl0ch0n de savoie";
const COST: [&str; 2] = ["--bcrypt-cost", "4"];
const PUBLIC: [&str; 2] = ["--public-url", "https://auth.example.org"];

/// Starts the program with these options more.
fn start(database: &Database, options: &[&str]) -> Server {
    Server::start_with(&database.url, &[&COST[..], options].concat())
}

/// The options by which mails go to this server.
fn mail_to(smtp: &SmtpServer) -> Vec<String> {
    let url = format!("smtp://{}", smtp.address());
    ["--smtp-url", &url, "--mail-from", SENDER]
        .map(str::to_owned)
        .to_vec()
}

/// Signs up without being told how, and says whether there is a user then.
async fn signs_up_at_once(server: &Server) -> bool {
    let reply = server.register(NEW, PASSWORD).send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    let message = reply.json()["message"].clone();
    assert!(
        [
            json!("user created"),
            json!("a link to finish is on its way")
        ]
        .contains(&message),
        "{message}"
    );
    assert_eq!(
        server.can_log_in(NEW, PASSWORD).await,
        message == "user created"
    );
    message == "user created"
}

on_each_engine! {
    async fn people_sign_up_by_a_link_where_mails_are_sent_and_else_at_once(database: Database) {
        let Some(smtp) = SmtpServer::start() else { return };
        let mail = mail_to(&smtp);
        let mail: Vec<&str> = mail.iter().map(|option| &**option).collect();
        let with_mail = [&PUBLIC[..], &mail].concat();
        let give_tokens = [&PUBLIC[..], &["--give-reset-tokens-to-anyone"]].concat();
        for (options, at_once) in [
            (vec![], true),
            (give_tokens, true),
            (with_mail.clone(), false),
            ([&with_mail[..], &["--sign-up", "verified"]].concat(), false),
            ([&with_mail[..], &["--sign-up", "unverified"]].concat(), true),
        ] {
            let server = start(&database, &options);
            assert_eq!(signs_up_at_once(&server).await, at_once, "{options:?}");
            server.stop();
            let inside = database.look_inside().await;
            inside.execute("DELETE FROM users").await;
            inside.execute("DELETE FROM outbox").await;
        }
        let server = start(&database, &["--sign-up", "verified"]);
        let token = server.sign_up_token(NEW).await;
        let reply = server.finish_sign_up(NEW, &token, PASSWORD).send().await;
        reply.assert_is(200, &json!({ "email": NEW, "message": "user created" }));
    }

    async fn where_sign_up_is_closed_an_administrator_adds_users(database: Database) {
        let server = start(&database, &["--sign-up", "closed"]);
        let reply = server.register(NEW, PASSWORD).send().await;
        reply.assert_refusal(403, "sign-up is closed");
        let mut add = Server::command();
        add.env("DATABASE_URL", &database.url).args(["users", "add", NEW]);
        let added = add.output().unwrap();
        assert!(added.status.success(), "{added:?}");
        let link = String::from_utf8(added.stdout).unwrap();
        let (_, token) = link.trim().split_once("reset_token=").unwrap();
        assert_eq!(server.reset(NEW, token, PASSWORD).send().await.status, 200);
        assert!(server.can_log_in(NEW, PASSWORD).await);
    }

    async fn no_token_is_in_the_log_or_in_the_database_and_no_address_in_the_log(database: Database) {
        let Some(smtp) = SmtpServer::start() else { return };
        let mail = mail_to(&smtp);
        let mail: Vec<&str> = mail.iter().map(|option| &**option).collect();
        let options = [&PUBLIC[..], &mail, &["--log", "trace"]].concat();
        let server = start(&database, &options);
        server.register(NEW, "abondance de savoie").send().await;
        let first = only(smtp.wait());
        let reply = server.finish_sign_up(NEW, &first.token(), PASSWORD).send().await;
        assert_eq!(reply.status, 200, "{reply:?}");
        server.ask_sign_up(EMAIL).send().await;
        let second = only(smtp.wait());
        let page = server.get(second.link().strip_prefix(PUBLIC[1]).unwrap());
        page.by_browser().send().await.assert_page(200);

        let stored = database.look_inside().await.all_rows().await.join("\n");
        let mut places = vec![("the tables".to_owned(), stored.into_bytes())];
        for entry in database.folder.iter().flat_map(|folder| fs::read_dir(folder.path()).unwrap()) {
            let file = entry.unwrap().path();
            places.push((file.display().to_string(), fs::read(file).unwrap()));
        }
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
        assert!(log.contains("event=\"sign_up_asked\"") && log.contains("event=\"sign_up\""), "{log}");
        for line in log.lines() {
            assert!(!line.contains(EMAIL) && !line.contains(NEW), "{line}");
        }
        places.push(("the log".to_owned(), log.into_bytes()));
        let contains = |bytes: &[u8], form: &[u8]| bytes.windows(form.len()).any(|window| window == form);
        for token in [first.token(), second.token()] {
            let uuid: Uuid = token.parse().unwrap();
            let digest = Sha256::digest(token.as_bytes());
            let is_stored = places[1..].iter().any(|(_, bytes)| contains(bytes, &digest));
            assert!(is_stored || database.folder.is_none(), "the search finds what is there");
            for form in [token.as_bytes(), uuid.simple().to_string().as_bytes(), uuid.as_bytes()] {
                for (place, bytes) in &places {
                    assert!(!contains(bytes, form), "a token is in {place}");
                }
            }
        }
        for password in ["abondance de savoie", PASSWORD] {
            for (place, bytes) in &places {
                assert!(!contains(bytes, password.as_bytes()), "a password is in {place}");
            }
        }
    }
}
