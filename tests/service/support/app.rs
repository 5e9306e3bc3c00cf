//! The service in the process of a test: the real router over a real database, with a clock that tests
//! turn.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bienvenue::app::{Settings, app};
use bienvenue::auth::administration::{Actor, Administration};
use bienvenue::auth::rate_limit::{Rate, RateLimits};
use bienvenue::auth::{Auth, Lifetimes, SignUpMode};
use bienvenue::clock::{Clock, UnixTime};
use bienvenue::db::{Db, MailClaim};
use bienvenue::mail::{Mailer, Site};
use bienvenue::password::{Cost, Passwords};
use bienvenue::protected_app::ProtectedApps;
use bienvenue::source::Source;
use bienvenue::token::{OsRandom, TokenSource};
use uuid::Uuid;

use super::client::{Call, Client};
use super::fakes::TestClock;
use super::{Database, Inside};

/// The service in this process, over a database of its own. Is a [`Client`] of itself.
pub struct TestApp {
    client: Client,
    pub db: Db,
    pub auth: Auth,
    pub clock: Arc<TestClock>,
    pub passwords: Passwords,
    pub inside: Inside,
    limits: RateLimits,
    tokens: Arc<dyn TokenSource>,
    pub database: Database,
}

/// Where the world reaches the services that send mails.
pub const PUBLIC_URL: &str = "https://auth.example.org";

/// Long enough for every test that is not about it.
const LOGIN_WAIT: Duration = Duration::from_secs(30);

/// Where requests come from that do not come over HTTP.
pub fn home() -> Source {
    IpAddr::from(Ipv4Addr::LOCALHOST).into()
}

pub const NO_LIMITS: RateLimits = RateLimits {
    logins_per_account: Rate::OFF,
    logins_per_source: Rate::OFF,
    successful_logins_per_source: Rate::OFF,
    sign_ups_per_source: Rate::OFF,
    sign_ups_per_address: Rate::OFF,
    resets_per_address: Rate::OFF,
    resets_per_source: Rate::OFF,
};

/// How long things last in the tests: as in the defaults of the command line.
pub const LIFETIMES: Lifetimes = Lifetimes {
    session_idle: Duration::from_hours(14 * 24),
    session: Duration::from_hours(30 * 24),
    fresh_login: Duration::from_mins(10),
    reset_token: Duration::from_mins(30),
};

/// Apps as `--app` has them.
pub fn protected(apps: &[&str]) -> ProtectedApps {
    let apps = apps.iter().map(|app| app.parse().unwrap());
    ProtectedApps::new(apps.collect(), PUBLIC_URL.parse().unwrap()).unwrap()
}

/// How a service is set up in front of apps.
pub fn guarding_settings() -> Settings {
    Settings {
        public_url: Some(PUBLIC_URL.parse().unwrap()),
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..Settings::default()
    }
}

fn site() -> Site {
    Site {
        name: "Holberton".to_owned(),
        public_url: PUBLIC_URL.parse().unwrap(),
    }
}

impl TestApp {
    pub async fn new(database: Database) -> Self {
        Self::with(database, Cost::MIN, Arc::new(OsRandom)).await
    }

    pub async fn with(database: Database, cost: Cost, tokens: Arc<dyn TokenSource>) -> Self {
        Self::with_passwords(database, Passwords::new(cost, LOGIN_WAIT), tokens).await
    }

    pub async fn with_passwords(
        database: Database,
        passwords: Passwords,
        tokens: Arc<dyn TokenSource>,
    ) -> Self {
        Self::with_all(
            database,
            passwords,
            tokens,
            RateLimits::local(),
            Settings::default(),
        )
        .await
    }

    /// With these limits, and such proxies in front of it.
    pub async fn with_limits(database: Database, limits: RateLimits, proxies: &[&str]) -> Self {
        let passwords = Passwords::new(Cost::MIN, LOGIN_WAIT);
        let proxies = proxies.iter().map(|proxy| proxy.parse().unwrap());
        let settings = Settings {
            trusted_proxies: proxies.collect(),
            ..Settings::default()
        };
        Self::with_all(database, passwords, Arc::new(OsRandom), limits, settings).await
    }

    async fn with_all(
        database: Database,
        passwords: Passwords,
        tokens: Arc<dyn TokenSource>,
        limits: RateLimits,
        settings: Settings,
    ) -> Self {
        let clock = Arc::new(TestClock::default());
        let db = database.open().await;
        let auth = Auth::new(
            db.clone(),
            passwords.clone(),
            LIFETIMES,
            limits,
            clock.clone(),
            tokens.clone(),
        );
        Self {
            client: Client::of_router(app(auth.clone(), settings)),
            db,
            auth,
            clock,
            passwords,
            inside: database.look_inside().await,
            limits,
            tokens,
            database,
        }
    }

    /// The same service, shown in another way.
    pub fn exposed(&self, settings: Settings) -> Client {
        Client::of_router(app(self.auth.clone(), settings))
    }

    /// The same service with another look, or another way to be reached.
    pub fn with_settings(self, settings: Settings) -> Self {
        Self {
            client: self.exposed(settings),
            ..self
        }
    }

    /// The same service with rules that are added to the ones of the local exposure.
    pub fn with_rules(self, add: impl FnOnce(Auth) -> Auth) -> Self {
        let auth = add(self.auth);
        Self {
            client: Client::of_router(app(auth.clone(), Settings::default())),
            auth,
            ..self
        }
    }

    /// The same service in front of these apps, given as with `--app`, at [`PUBLIC_URL`], behind a proxy on
    /// this machine.
    pub fn guarding(self, apps: &[&str]) -> Self {
        let auth = self.auth.with_apps(protected(apps));
        Self {
            client: Client::of_router(app(auth.clone(), guarding_settings())),
            auth,
            ..self
        }
    }

    /// Another instance of the service in front of these apps, over the same database.
    pub async fn another_guarding(&self, apps: &[&str]) -> Client {
        let auth = self.another_auth().await.with_apps(protected(apps));
        Client::of_router(app(auth, guarding_settings()))
    }

    /// A service that mails reset links, which begin with [`PUBLIC_URL`].
    pub async fn mailing(database: Database, mailer: Mailer) -> Self {
        Self::new(database).await.with_mail(mailer)
    }

    /// The same service, which mails links that begin with [`PUBLIC_URL`].
    pub fn with_mail(self, mailer: Mailer) -> Self {
        self.with_rules(|auth| auth.with_mail(mailer, site()))
    }

    /// The same service, where people sign up in this way.
    pub fn signing_up(&self, mode: SignUpMode) -> Client {
        self.signing_up_with(mode, Settings::default())
    }

    /// The same, shown in another way.
    pub fn signing_up_with(&self, mode: SignUpMode, settings: Settings) -> Client {
        Client::of_router(app(self.auth.clone().with_sign_up(mode), settings))
    }

    /// Another instance of the service over the same database, at the same time of day.
    pub async fn another_instance(&self, mailer: Mailer) -> Auth {
        let auth = self.another_auth().await;
        auth.with_mail(mailer, site())
    }

    /// Sends all mails that are due; returns how many tries that took.
    pub async fn deliver(&self) -> u64 {
        let mut tries = 0;
        loop {
            match self.auth.deliver_due().await.unwrap() {
                0 => return tries,
                mails => tries += mails,
            }
        }
    }

    /// Claims all mails that are due for so long, as a worker does that then dies over them. Returns how
    /// many there were.
    pub async fn claim_mails(&self, duration: Duration) -> u64 {
        let now = self.clock.now();
        let claim = MailClaim {
            id: Uuid::new_v4(),
            now,
            until: now.after(duration),
            latest_due: UnixTime(i64::MAX),
            latest_asked: UnixTime(i64::MAX),
            rows: 1000,
            sent: 1000,
            sent_of_any_turn: 1000,
            given_up_after: UnixTime(0),
        };
        let claimed = self.db.outbox.claim(claim, &[], &*self.tokens).await;
        claimed.unwrap().count
    }

    /// The commands, in this process and by the clock of this service.
    pub fn administration(&self) -> Administration {
        let actor = Actor {
            login: "root".to_owned(),
            sudo_user: None,
            command: "test",
        };
        Administration::new(
            self.db.clone(),
            self.clock.clone(),
            Arc::new(OsRandom),
            actor,
        )
    }

    /// Another instance on the same database, by the same clock.
    pub async fn another(&self) -> Client {
        Client::of_router(app(self.another_auth().await, Settings::default()))
    }

    async fn another_auth(&self) -> Auth {
        Auth::new(
            self.database.open().await,
            self.passwords.clone(),
            LIFETIMES,
            self.limits,
            self.clock.clone(),
            self.tokens.clone(),
        )
    }

    /// That a request is refused with this status and these words, and that nothing changes.
    pub async fn assert_refused(&self, call: Call, status: u16, message: &str) {
        let before = self.inside.all_rows().await;
        let reply = call.send().await;
        reply.assert_refusal(status, message);
        assert_eq!(self.inside.all_rows().await, before, "{reply:?}");
    }
}

impl Deref for TestApp {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
