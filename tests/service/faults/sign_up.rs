//! The process dies while sign-ups are finished.

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::CLIENTS;
use crate::on_each_engine;
use crate::support::client::Client;
use crate::support::server::Server;

const OPTIONS: [&str; 4] = ["--bcrypt-cost", "4", "--sign-up", "verified"];
const PASSWORD: &str = "b4l0u";

/// A sign-up that a client began, and what it was told.
struct SignUp {
    email: String,
    token: String,
    is_acknowledged: bool,
}

/// Signs up with one address after the other until the process is gone, and tells of each that was
/// acknowledged.
async fn sign_up_until_killed(
    client: Client,
    name: String,
    acknowledged: UnboundedSender<()>,
) -> Vec<SignUp> {
    let mut sign_ups = Vec::new();
    loop {
        let email = format!("{name}-{}@example.org", sign_ups.len());
        let Ok(asked) = client.ask_sign_up(&email).try_send().await else {
            return sign_ups;
        };
        let token = asked.json()["sign_up_token"].as_str().unwrap().to_owned();
        let finished = client.finish_sign_up(&email, &token, PASSWORD);
        let finished = finished.try_send().await;
        let is_acknowledged = finished.as_ref().is_ok_and(|reply| reply.status == 200);
        if is_acknowledged {
            let _ = acknowledged.send(());
        }
        sign_ups.push(SignUp {
            email,
            token,
            is_acknowledged,
        });
        if finished.is_err() {
            return sign_ups;
        }
    }
}

on_each_engine! {
    async fn after_a_kill_there_is_the_user_or_the_token_and_never_both_or_none(database: Database) {
        let mut sign_ups = Vec::new();
        for (round, kill_after) in [1, 9, 25, 40, 60].into_iter().enumerate() {
            let server = Server::start_with(&database.url, &OPTIONS);
            let (acknowledged, mut told) = unbounded_channel();
            let mut clients = JoinSet::new();
            for number in 0..CLIENTS {
                let name = format!("user-{round}-{number}");
                let client = Client::of_url(&server.url);
                clients.spawn(sign_up_until_killed(client, name, acknowledged.clone()));
            }
            for _ in 0..kill_after {
                told.recv().await;
            }
            server.kill();
            sign_ups.extend(clients.join_all().await.into_iter().flatten());
        }
        let server = Server::start_with(&database.url, &OPTIONS);
        let inside = database.look_inside().await;
        for SignUp { email, token, is_acknowledged } in &sign_ups {
            let is_user = inside.count(&format!("users WHERE email = '{email}'")).await == 1;
            let has_token = inside.count(&format!("sign_ups WHERE email = '{email}'")).await == 1;
            assert_ne!(is_user, has_token, "{email}");
            assert!(is_user || !is_acknowledged, "{email}");
            if has_token {
                let reply = server.finish_sign_up(email, token, PASSWORD).send().await;
                assert_eq!(reply.status, 200, "{reply:?}");
            }
        }
        assert!(sign_ups.len() >= 135, "{}", sign_ups.len());
        assert!(server.can_log_in(&sign_ups[0].email, PASSWORD).await);
    }
}
