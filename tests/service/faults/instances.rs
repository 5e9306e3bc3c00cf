//! One of three instances dies now and then, while owners ask for reset links.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use sqlx::{AnyPool, AssertSqlSafe, Row};
use tokio::task::{JoinSet, block_in_place, yield_now};

use crate::on_each_engine;
use crate::support::client::Client;
use crate::support::report::counted;
use crate::support::server::Server;
use crate::support::smtp_server::{SENDER, SmtpServer};

const INSTANCES: usize = 3;
const OWNERS: usize = 300;
/// After each of these parts of the requests one instance is killed.
const KILLS: usize = 6;

/// Asks for the link of an owner, at another instance if one does not answer, until it is acknowledged.
async fn ask_for_link(urls: Arc<Mutex<Vec<String>>>, owner: usize) {
    for turn in owner.. {
        let url = urls.lock().unwrap()[turn % INSTANCES].clone();
        let client = Client::of_url(&url);
        match client.ask_reset(&address(owner)).try_send().await {
            Ok(reply) if reply.status == 200 => return,
            Ok(reply) => assert_eq!(reply.status, 503, "{reply:?}"),
            Err(_) => yield_now().await,
        }
    }
}

fn address(owner: usize) -> String {
    format!("user{owner}@example.org")
}

/// The addresses of the mails in this state.
async fn addresses(database: &str, condition: &str) -> BTreeSet<String> {
    let pool = AnyPool::connect(database).await.unwrap();
    let find = format!("SELECT email FROM outbox WHERE {condition}");
    let rows = sqlx::query(AssertSqlSafe(find)).fetch_all(&pool).await;
    pool.close().await;
    rows.unwrap().iter().map(|row| row.get(0)).collect()
}

on_each_engine! {
    async fn each_owner_gets_one_mail_but_where_a_kill_falls_between_sending_and_noting(database: Database) {
        let Some(smtp) = SmtpServer::start() else { return };
        let smtp_url = format!("smtp://{}", smtp.address());
        let options = [
            "--public-url", "https://auth.example.org", "--smtp-url", &smtp_url, "--mail-from", SENDER,
            "--reset-rate-per-source", "off",
        ];
        let start = || block_in_place(|| Server::start_with(&database.url, &options));
        let mut servers: Vec<Server> = (0..INSTANCES).map(|_| start()).collect();
        let inside = database.look_inside().await;
        for owner in 0..OWNERS {
            inside
                .execute(&format!(
                    "INSERT INTO users (email, hashed_password, password_version, created_at)
                     VALUES ('{}', 'x', 1, 1)",
                    address(owner)
                ))
                .await;
        }
        let urls = servers.iter().map(|server| server.url.clone()).collect();
        let urls: Arc<Mutex<Vec<String>>> = Arc::new(Mutex::new(urls));
        let mut mails = Vec::new();
        for kill in 0..KILLS {
            let mut asking = JoinSet::new();
            for owner in (kill..OWNERS).step_by(KILLS) {
                asking.spawn(ask_for_link(Arc::clone(&urls), owner));
            }
            // In the midst of it: those who have asked may have their mails, or not.
            for _ in 0..OWNERS / KILLS / 2 {
                asking.join_next().await.unwrap().unwrap();
            }
            mails.extend(smtp.wait());
            let number = kill % INSTANCES;
            let started = start();
            urls.lock().unwrap()[number].clone_from(&started.url);
            let killed = std::mem::replace(&mut servers[number], started);
            block_in_place(|| killed.kill());
            while let Some(asked) = asking.join_next().await {
                asked.unwrap();
            }
        }
        // What is due is claimed, and those that stop write down what they have sent: the claims that are
        // left then are those of the killed.
        while inside.count("outbox WHERE due_at IS NOT NULL AND claim IS NULL").await > 0 {
            yield_now().await;
        }
        for server in servers {
            let (status, log) = block_in_place(|| server.stop());
            assert!(status.success(), "{log}");
        }
        let left = addresses(&database.url, "claim IS NOT NULL").await;
        inside.execute("UPDATE outbox SET due_at = 1 WHERE claim IS NOT NULL").await;
        let last = start();
        while inside.count("outbox WHERE due_at = 1").await > 0 {
            yield_now().await;
        }
        let (status, log) = block_in_place(|| last.stop());
        assert!(status.success(), "{log}");
        assert_eq!(addresses(&database.url, "due_at IS NOT NULL").await, BTreeSet::new());

        mails.extend(smtp.take());
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for to in mails.iter().flat_map(|mail| &mail.to) {
            *counts.entry(to.clone()).or_default() += 1;
        }
        let twice = counts.values().filter(|count| **count == 2).count();
        counted(&format!(
            "one of {INSTANCES} instances killed, {}: {KILLS} kills, {OWNERS} mails asked for, {} sent, \
             {twice} twice of {} that the killed had claimed",
            database.engine(),
            mails.len(),
            left.len(),
        ));
        for owner in (0..OWNERS).map(address) {
            let sent = counts.get(&owner).copied().unwrap_or_default();
            let is_right = sent == 1 || sent == 2 && left.contains(&owner);
            assert!(is_right, "{owner} got {sent}: {left:?}");
        }
    }
}
