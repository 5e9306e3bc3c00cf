//! A ledger of what was asked for and what was acknowledged, kept by clients under load, and the check
//! of it once the fault is over.
//!
//! What was acknowledged holds. What was asked for and not acknowledged is done wholly or not at all.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::client::{Call, Client, Reply};

const FIRST: &str = "b4l0u";
const SECOND: &str = "t4rt1fl3tt3";

/// How long a client that got no success waits before its next try.
const BACK_OFF: Duration = Duration::from_millis(20);

/// How long a request may take, whatever the fault, and an acknowledgement be waited for.
const PATIENCE: Duration = Duration::from_mins(1);

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

/// What one user did, as their client recorded it.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    email: String,
    acknowledged: Vec<Deed>,
    /// Asked for, and answered by an error or not at all.
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
                assert!([200, 403].contains(&reply.status.as_u16()), "{reply:?}");
                if reply.status != expected {
                    return false;
                }
            }
        }
        true
    }
}

/// How a client asks while a fault may be under way.
struct Asker {
    client: Client,
    acknowledged: UnboundedSender<()>,
}

impl Ledger {
    /// Asks for something and records that it was acknowledged. `None` if it was not: then the answer
    /// was 503 or none at all, and any other answer is a violation.
    async fn ask(
        &mut self,
        deed: Deed,
        call: Call,
        status: u16,
        asker: &Asker,
        learn: impl FnOnce(&Reply, Deed) -> Deed,
    ) -> Option<()> {
        self.in_doubt = Some(deed.clone());
        let reply = timeout(PATIENCE, call.try_send()).await;
        let reply = reply
            .unwrap_or_else(|_| panic!("no answer: {deed:?}"))
            .ok()?;
        if reply.status == 503 {
            return None;
        }
        assert_eq!(reply.status, status, "{deed:?}: {reply:?}");
        self.in_doubt = None;
        self.acknowledged.push(learn(&reply, deed));
        let _ = asker.acknowledged.send(());
        Some(())
    }

    /// Does everything that a user can do, until something is not acknowledged.
    async fn live(&mut self, asker: &Asker) -> Option<()> {
        let client = &asker.client;
        let email = self.email.clone();
        let same = |_: &Reply, deed| deed;
        let session = |reply: &Reply, _| Deed::LogIn(reply.session_id());
        let token = |reply: &Reply, _| {
            let token = reply.json()["reset_token"].as_str().map(str::to_owned);
            Deed::AskReset(token)
        };
        let call = client.register(&email, FIRST);
        self.ask(Deed::Register, call, 200, asker, same).await?;
        for _ in 0..3 {
            let call = client.log_in(&email, FIRST);
            self.ask(Deed::LogIn(None), call, 200, asker, session)
                .await?;
        }
        let first_session = self.acknowledged.iter().find_map(|deed| match deed {
            Deed::LogIn(session) => session.clone(),
            _ => None,
        })?;
        let call = client.log_out(&first_session);
        self.ask(Deed::LogOut(first_session), call, 302, asker, same)
            .await?;
        let call = client.ask_reset(&email);
        self.ask(Deed::AskReset(None), call, 200, asker, token)
            .await?;
        let Some(Deed::AskReset(Some(token))) = self.acknowledged.last().cloned() else {
            panic!("{self:?}");
        };
        let call = client.reset(&email, &token, SECOND);
        self.ask(Deed::Reset(token), call, 200, asker, same).await?;
        let call = client.log_in(&email, SECOND);
        self.ask(Deed::LogIn(None), call, 200, asker, session).await
    }

    /// Whether what this ledger says is true now, and the user, if there is none, can still sign up.
    async fn holds(&self, client: &Client) -> bool {
        let before = State::after(self.acknowledged.clone());
        let after = State::after(self.acknowledged.iter().chain(&self.in_doubt).cloned());
        // A token that was asked for and not received can be neither checked nor known.
        let may_have_a_newer_token = matches!(self.in_doubt, Some(Deed::AskReset(_)));
        assert!(!may_have_a_newer_token || before.token.is_none());
        if !before.holds(client, &self.email).await && !after.holds(client, &self.email).await {
            return false;
        }
        if before.password.is_none() && !client.can_log_in(&self.email, FIRST).await {
            client.registered(&self.email, FIRST).await;
        }
        true
    }
}

/// Clients that live one user's life after the other and keep ledgers.
pub struct Load {
    clients: JoinSet<Vec<Ledger>>,
    acknowledged: UnboundedReceiver<()>,
    stop: watch::Sender<bool>,
}

impl Load {
    /// So many clients, spread over these services. The name keeps the users of two loads apart.
    pub fn start(name: &str, urls: &[&str], count: usize) -> Self {
        let (sender, acknowledged) = unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        for number in 0..count {
            let asker = Asker {
                client: Client::of_url(urls[number % urls.len()]),
                acknowledged: sender.clone(),
            };
            let (name, stopped) = (name.to_owned(), stopped.clone());
            clients.spawn(async move {
                let mut ledgers = Vec::new();
                while !*stopped.borrow() {
                    let mut ledger = Ledger {
                        email: format!("{name}-{number}-{}@example.org", ledgers.len()),
                        ..Ledger::default()
                    };
                    let end = ledger.live(&asker).await;
                    ledgers.push(ledger);
                    if end.is_none() {
                        sleep(BACK_OFF).await;
                    }
                }
                ledgers
            });
        }
        Self {
            clients,
            acknowledged,
            stop,
        }
    }

    /// Waits for so many acknowledgements from now on.
    pub async fn acknowledged(&mut self, count: usize) {
        while self.acknowledged.try_recv().is_ok() {}
        for _ in 0..count {
            let acknowledged = timeout(PATIENCE, self.acknowledged.recv()).await;
            acknowledged.expect("an acknowledgement").unwrap();
        }
    }

    /// Ends the load and returns what was recorded.
    pub async fn stop(self) -> Ledgers {
        self.stop.send_replace(true);
        Ledgers(self.clients.join_all().await.concat())
    }
}

/// What all clients of a load recorded.
#[derive(Default)]
pub struct Ledgers(Vec<Ledger>);

impl Ledgers {
    /// The ledgers of both.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How much was acknowledged.
    pub fn acknowledged(&self) -> usize {
        self.0.iter().map(|ledger| ledger.acknowledged.len()).sum()
    }

    /// That all of it is true, and reports the counts at the end of the run.
    pub async fn assert_hold(&self, client: &Client, fault: &str, rounds: usize) {
        /// As many at once as a service serves without a queue to speak of.
        const AT_ONCE: usize = 16;
        let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let mut checks = JoinSet::new();
        for ledger in self.0.iter().cloned() {
            let (client, places) = (client.clone(), Arc::clone(&places));
            checks.spawn(async move {
                let _place = places.acquire().await;
                (ledger.holds(&client).await, ledger)
            });
        }
        let mut violations = Vec::new();
        for (holds, ledger) in checks.join_all().await {
            if !holds {
                violations.push(ledger);
            }
        }
        let in_doubt = self.0.iter().filter(|ledger| ledger.in_doubt.is_some());
        super::report::counted(&format!(
            "{fault}: {rounds} rounds, {} acknowledged, {} in doubt, {} violations",
            self.acknowledged(),
            in_doubt.count(),
            violations.len()
        ));
        assert!(violations.is_empty(), "{violations:#?}");
    }
}
