//! The three things that are done together, measured without HTTP: hashes, session checks, logins'
//! writes. Each stands beside the way of doing it one by one.

#![expect(clippy::wildcard_imports, reason = "the groups are parts of this file")]

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/service/support/postgres.rs"]
mod postgres;
#[expect(dead_code, reason = "the tests need more of it")]
#[path = "../tests/service/support/report.rs"]
mod report;

use bienvenue::client::ClientName;
use bienvenue::clock::UnixTime;
use bienvenue::db::{Db, Found, NewSession, NewUser, Period, SessionCutoffs};
use bienvenue::email::Email;
use bienvenue::password::{Cost, Password, Passwords};
use bienvenue::source::Source;
use bienvenue::token::{OsRandom, SessionDigest, SessionId};
use bienvenue::user::{HashedPassword, User};
use divan::Bencher;
use divan::counter::ItemsCount;
use sqlx::any::AnyPoolOptions;
use sqlx::{AnyPool, Executor};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use postgres::{Cluster, ON_DISK};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

const COST: u32 = 8;
const USERS: usize = 64;
const NOW: UnixTime = UnixTime(1_800_000_000);
const ALIVE: SessionCutoffs = SessionCutoffs {
    last_seen_after: UnixTime(0),
    created: Period {
        after: UnixTime(0),
        until: NOW,
    },
};

fn main() {
    divan::main();
}

/// Runs so many at once and waits for all.
fn at_once<F: Future<Output = ()> + Send + 'static>(count: usize, each: impl Fn(usize) -> F) {
    RUNTIME.block_on(async {
        let mut tasks = JoinSet::new();
        for number in 0..count {
            tasks.spawn(each(number));
        }
        tasks.join_all().await;
    });
}

#[divan::bench_group(sample_count = 20)]
mod hashes {
    use super::*;

    #[divan::bench]
    fn one_by_one_with_the_crate(bencher: Bencher) {
        bencher
            .counter(ItemsCount::new(1_usize))
            .bench(|| bcrypt::hash("b4l0u", COST));
    }

    #[divan::bench(args = [1, 2, 4, 6, 8, 10, 20, 64])]
    fn at_once(bencher: Bencher, count: usize) {
        let cost = Cost::new(COST).expect("a cost");
        let passwords = Passwords::new(cost, Duration::from_mins(1));
        let home = Source::from(IpAddr::from(Ipv4Addr::LOCALHOST));
        let password: Arc<Password> = Arc::new("b4l0u".parse().expect("a password"));
        bencher.counter(ItemsCount::new(count)).bench(|| {
            super::at_once(count, |_| {
                let (passwords, password) = (passwords.clone(), Arc::clone(&password));
                async move {
                    passwords.hash(&password, home).await.expect("a hash");
                }
            });
        });
    }
}

/// A session without a limit on how many a user has.
fn new_session(user: &User, digest: SessionDigest) -> NewSession {
    NewSession {
        digest,
        user: user.id,
        password_version: user.password_version,
        client: Some(ClientName::new("Firefox on Linux".to_owned())),
        source: IpAddr::from(Ipv4Addr::LOCALHOST).into(),
        now: NOW,
        max_sessions: u32::MAX,
    }
}

/// A database with some users, one of whom is logged in.
struct Home {
    db: Db,
    users: Vec<User>,
    session: SessionDigest,
    url: String,
    _folder: Option<TempDir>,
}

impl Home {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir_in(ON_DISK).expect("a folder");
        let url = format!("sqlite:{}/bienvenue.db", folder.path().display());
        Self::at(url, Some(folder))
    }

    /// `None` where PostgreSQL is not installed.
    fn postgres() -> Option<Self> {
        static CLUSTER: LazyLock<Option<Cluster>> = LazyLock::new(Cluster::start_durable);
        let url = CLUSTER.as_ref()?.create_database();
        Some(Self::at(RUNTIME.block_on(url), None))
    }

    fn at(url: String, folder: Option<TempDir>) -> Self {
        let session = SessionId::new(&OsRandom).digest();
        let (db, users) = RUNTIME.block_on(async {
            let db = Db::open(&url.parse().expect("a URL")).await;
            let db = db.expect("a database");
            let mut users = Vec::new();
            for number in 0..USERS {
                let email: Email = format!("user{number}@example.org")
                    .parse()
                    .expect("an address");
                let hash = HashedPassword::new("none".to_owned());
                let new = NewUser {
                    email: &email,
                    hashed_password: &hash,
                    now: NOW,
                    is_confirmed: false,
                };
                let given_up = Period::of_valid(NOW, Duration::ZERO);
                let user = db.users.add(&new, given_up, None).await;
                users.push(user.expect("an answer").expect("a new user"));
            }
            let added = db.sessions.add(new_session(&users[0], session)).await;
            assert!(added.expect("an answer"));
            (db, users)
        });
        Self {
            db,
            users,
            session,
            url,
            _folder: folder,
        }
    }

    /// A pool of the plain kind, as durable as the service's.
    fn pool(&self, connections: u32) -> AnyPool {
        let settings = "PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000";
        let pool = AnyPoolOptions::new()
            .max_connections(connections)
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move { connection.execute(settings).await.map(drop) })
            });
        RUNTIME.block_on(pool.connect(&self.url)).expect("a pool")
    }
}

#[divan::bench_group(sample_count = 200)]
mod session_checks {
    use super::*;

    #[divan::bench(args = [1, 64])]
    fn a_query_each_on_a_pool(bencher: Bencher, count: usize) {
        let home = Home::sqlite();
        let pool = home.pool(4);
        bencher.counter(ItemsCount::new(count)).bench(|| {
            at_once(count, |_| {
                let (pool, digest) = (pool.clone(), home.session.as_bytes().to_vec());
                async move {
                    let query = "SELECT u.id, u.email, u.hashed_password FROM sessions AS s
                                 JOIN users AS u ON u.id = s.user_id
                                 WHERE s.digest = $1 AND s.last_seen_at > $2";
                    let query = sqlx::query(query).bind(digest).bind(0_i64);
                    query.fetch_one(&pool).await.expect("a row");
                }
            });
        });
    }

    #[divan::bench(args = [1, 64])]
    fn shared_queries(bencher: Bencher, count: usize) {
        let home = Home::sqlite();
        bencher.counter(ItemsCount::new(count)).bench(|| {
            at_once(count, |_| {
                let (db, session) = (home.db.clone(), home.session);
                async move {
                    let found = db.sessions.find_user(session, ALIVE).await;
                    assert!(matches!(found, Ok(Found::Valid(_))));
                }
            });
        });
    }
}

#[divan::bench_group(sample_count = 100)]
mod new_sessions {
    use super::*;

    #[divan::bench(args = [1, 64])]
    fn a_commit_each_on_one_writer(bencher: Bencher, count: usize) {
        let home = Home::sqlite();
        let writer = home.pool(1);
        bencher.counter(ItemsCount::new(count)).bench(|| {
            at_once(count, |number| {
                let digest = SessionId::new(&OsRandom).digest().as_bytes().to_vec();
                let (writer, user) = (writer.clone(), home.users[number].id.0);
                async move {
                    let add = sqlx::query("INSERT INTO sessions VALUES ($1, $2, 1, $3, $3)");
                    let add = add.bind(digest).bind(user).bind(NOW.0);
                    add.execute(&writer).await.expect("a session");
                }
            });
        });
    }

    #[divan::bench(args = [1, 64])]
    fn shared_commits(bencher: Bencher, count: usize) {
        add_sessions(bencher, &Home::sqlite(), count);
    }

    #[divan::bench(args = [1, 64])]
    fn shared_commits_on_postgres(bencher: Bencher, count: usize) {
        if let Some(home) = Home::postgres() {
            add_sessions(bencher, &home, count);
        }
    }

    fn add_sessions(bencher: Bencher, home: &Home, count: usize) {
        bencher.counter(ItemsCount::new(count)).bench(|| {
            at_once(count, |number| {
                let (db, user) = (home.db.clone(), home.users[number].clone());
                async move {
                    let digest = SessionId::new(&OsRandom).digest();
                    let added = db.sessions.add(new_session(&user, digest)).await;
                    assert!(added.expect("an answer"));
                }
            });
        });
    }
}
