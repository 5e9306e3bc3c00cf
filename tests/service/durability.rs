//! The process dies under load; what it acknowledged holds, and nothing is half-done.

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::on_each_engine;
use crate::support::client::{Call, Client, Reply};
use crate::support::server::Server;

const CLIENTS: usize = 8;
const FIRST: &str = "b4l0u";
const SECOND: &str = "t4rt1fl3tt3";

/// Something that a client asked for.
#[derive(Clone, Debug)]
enum Deed {
    Register,
    /// With the session id, once it is known.
    LogIn(Option<String>),
    LogOut(String),
    /// With the token, once it is known.
    AskReset(Option<String>),
    Reset(String),
}

/// What one user did, as their client wrote it down.
#[derive(Clone, Debug, Default)]
struct Ledger {
    email: String,
    acknowledged: Vec<Deed>,
    /// Asked for, and not answered when the server died.
    in_doubt: Option<Deed>,
}

/// What must be true after some deeds.
#[derive(Clone, Debug, Default)]
struct State {
    password: Option<&'static str>,
    alive: Vec<String>,
    dead: Vec<String>,
    token: Option<String>,
    used: Vec<String>,
}

impl State {
    fn after(deeds: impl IntoIterator<Item = Deed>) -> Self {
        let mut state = Self::default();
        for deed in deeds {
            match deed {
                Deed::Register => state.password = Some(FIRST),
                Deed::LogIn(session) => state.alive.extend(session),
                Deed::LogOut(session) => {
                    state.alive.retain(|other| *other != session);
                    state.dead.push(session);
                }
                Deed::AskReset(token) => state.token = token,
                Deed::Reset(token) => {
                    state.password = Some(SECOND);
                    state.dead.append(&mut state.alive);
                    state.token = None;
                    state.used.push(token);
                }
            }
        }
        state
    }

    /// Whether all of it is true. Uses up the token, last.
    async fn holds(&self, client: &Client, email: &str) -> bool {
        for password in [FIRST, SECOND] {
            let works = client.can_log_in(email, password).await;
            if works != (self.password == Some(password)) {
                return false;
            }
        }
        for (sessions, expected) in [(&self.alive, true), (&self.dead, false)] {
            for session in sessions {
                if client.is_logged_in(session).await != expected {
                    return false;
                }
            }
        }
        for (tokens, expected) in [
            (self.used.iter().collect::<Vec<_>>(), 403),
            (self.token.iter().collect(), 200),
        ] {
            for token in tokens {
                let reply = client.reset(email, token, "third").send().await;
                if reply.status != expected {
                    return false;
                }
            }
        }
        true
    }
}

impl Ledger {
    /// Asks for something and writes down that it was acknowledged. `None` if the server died.
    async fn ask(
        &mut self,
        deed: Deed,
        call: Call,
        status: u16,
        acknowledged: &UnboundedSender<()>,
        learn: impl FnOnce(&Reply, Deed) -> Deed,
    ) -> Option<()> {
        self.in_doubt = Some(deed.clone());
        let reply = call.try_send().await.ok()?;
        assert_eq!(reply.status, status, "{deed:?}: {reply:?}");
        self.in_doubt = None;
        self.acknowledged.push(learn(&reply, deed));
        let _ = acknowledged.send(());
        Some(())
    }

    /// Lives a user's life until the server dies.
    async fn live(&mut self, client: &Client, acknowledged: &UnboundedSender<()>) -> Option<()> {
        let email = self.email.clone();
        let same = |_: &Reply, deed| deed;
        let session = |reply: &Reply, _| Deed::LogIn(reply.session_id());
        let token = |reply: &Reply, _| {
            let token = reply.json()["reset_token"].as_str().map(str::to_owned);
            Deed::AskReset(token)
        };
        let call = client.register(&email, FIRST);
        self.ask(Deed::Register, call, 200, acknowledged, same)
            .await?;
        for _ in 0..3 {
            let call = client.log_in(&email, FIRST);
            self.ask(Deed::LogIn(None), call, 200, acknowledged, session)
                .await?;
        }
        let first_session = self.acknowledged.iter().find_map(|deed| match deed {
            Deed::LogIn(session) => session.clone(),
            _ => None,
        })?;
        let call = client.log_out(&first_session);
        self.ask(Deed::LogOut(first_session), call, 302, acknowledged, same)
            .await?;
        let call = client.ask_reset(&email);
        self.ask(Deed::AskReset(None), call, 200, acknowledged, token)
            .await?;
        let Some(Deed::AskReset(Some(token))) = self.acknowledged.last().cloned() else {
            panic!("{self:?}");
        };
        let call = client.reset(&email, &token, SECOND);
        self.ask(Deed::Reset(token), call, 200, acknowledged, same)
            .await?;
        let call = client.log_in(&email, SECOND);
        self.ask(Deed::LogIn(None), call, 200, acknowledged, session)
            .await
    }

    async fn check(&self, client: &Client) {
        let before = State::after(self.acknowledged.clone());
        let after = State::after(self.acknowledged.iter().chain(&self.in_doubt).cloned());
        // A token that was asked for and not received can be neither checked nor known.
        let may_have_a_newer_token = matches!(self.in_doubt, Some(Deed::AskReset(_)));
        assert!(!may_have_a_newer_token || before.token.is_none());
        assert!(
            before.holds(client, &self.email).await || after.holds(client, &self.email).await,
            "{self:?}"
        );
        if before.password.is_none() && !client.can_log_in(&self.email, FIRST).await {
            client.registered(&self.email, FIRST).await;
        }
    }
}

on_each_engine! {
    async fn what_was_acknowledged_survives_a_kill(database: Database) {
        for (round, kill_after) in [1, 9, 40, 83, 150, 260].into_iter().enumerate() {
            let server = Server::start(&database.url);
            let (sender, mut acknowledged) = unbounded_channel();
            let mut lives = JoinSet::new();
            for number in 0..CLIENTS {
                let client = Client::of_url(&server.url);
                let sender = sender.clone();
                lives.spawn(async move {
                    let mut ledgers = Vec::new();
                    loop {
                        let mut ledger = Ledger {
                            email: format!("user-{round}-{number}-{}@example.org", ledgers.len()),
                            ..Ledger::default()
                        };
                        let end = ledger.live(&client, &sender).await;
                        ledgers.push(ledger);
                        if end.is_none() {
                            return ledgers;
                        }
                    }
                });
            }
            for _ in 0..kill_after {
                acknowledged.recv().await.unwrap();
            }
            server.kill();
            let ledgers = lives.join_all().await.concat();
            let deeds: usize = ledgers.iter().map(|ledger| ledger.acknowledged.len()).sum();
            assert!(deeds >= kill_after);

            let server = Server::start(&database.url);
            for ledger in &ledgers {
                ledger.check(&server).await;
            }
            let (status, log) = server.stop();
            assert!(status.success(), "{log}");
        }
    }
}
