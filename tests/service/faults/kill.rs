//! The process dies under load.

use super::CLIENTS;
use crate::on_each_engine;
use crate::support::ledger::{Ledgers, Load};
use crate::support::server::Server;

on_each_engine! {
    async fn what_was_acknowledged_survives_kills(database: Database) {
        let rounds = [1, 9, 40, 83, 150, 260];
        let mut ledgers = Ledgers::default();
        for (round, kill_after) in rounds.into_iter().enumerate() {
            let server = Server::start(&database.url);
            let mut load = Load::start(&format!("user-{round}"), &[&server.url], CLIENTS);
            load.acknowledged(kill_after).await;
            server.kill();
            ledgers = ledgers.and(load.stop().await);
        }
        let server = Server::start(&database.url);
        let fault = format!("kill -9, {}", database.engine());
        ledgers.assert_hold(&server, &fault, rounds.len()).await;
        let (status, log) = server.stop();
        assert!(status.success(), "{log}");
    }

    async fn two_processes_on_one_database_keep_what_either_acknowledged(database: Database) {
        const ROUNDS: usize = 4;
        let steady = Server::start(&database.url);
        let mut ledgers = Ledgers::default();
        for round in 0..ROUNDS {
            let other = Server::start(&database.url);
            let name = format!("user-{round}");
            let mut load = Load::start(&name, &[&steady.url, &other.url], CLIENTS);
            load.acknowledged(100).await;
            other.kill();
            load.acknowledged(50).await;
            ledgers = ledgers.and(load.stop().await);
        }
        let fault = format!("one of two processes killed, {}", database.engine());
        ledgers.assert_hold(&steady, &fault, ROUNDS).await;
        let (status, log) = steady.stop();
        assert!(status.success(), "{log}");
    }
}
