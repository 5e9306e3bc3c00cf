use std::net::IpAddr;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor};
use tempfile::TempDir;

use super::*;
use crate::clock::UnixTime;
use crate::db::{Db, Found, NewSession, NewUser, Period, SessionCutoffs};
use crate::email::Email;
use crate::token::{OsRandom, SessionId};
use crate::user::{HashedPassword, SessionUser, User};
use crate::wait_budget;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// By which no session is expired.
const CUTOFFS: SessionCutoffs = SessionCutoffs {
    last_seen_after: UnixTime(0),
    created: Period {
        after: UnixTime(0),
        until: UnixTime(i64::MAX),
    },
};

/// A database with a user, and a connection to it that is not the service's.
struct TestDatabase {
    db: Db,
    user: User,
    foreign: AnyConnection,
    url: String,
    _folder: TempDir,
}

async fn add_user(db: &Db, email: &Email) -> User {
    let new = NewUser {
        email,
        hashed_password: &HashedPassword::new("x".to_owned()),
        now: NOW,
        is_confirmed: false,
    };
    let given_up = Period::of_valid(NOW, Duration::ZERO);
    let user = db.users.add(&new, given_up, None).await.unwrap();
    user.unwrap()
}

impl TestDatabase {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("b.db").display());
        let db = Db::open(&url.parse().unwrap()).await.unwrap();
        let email = "bob@example.org".parse().unwrap();
        let user = add_user(&db, &email).await;
        Self {
            db,
            user,
            foreign: AnyConnection::connect(&url).await.unwrap(),
            url,
            _folder: folder,
        }
    }

    fn cache(&self) -> &SessionCache {
        self.db.connections.session_cache().unwrap()
    }

    async fn add_session(&self) -> SessionDigest {
        self.add_session_of(&self.user).await
    }

    async fn add_session_of(&self, user: &User) -> SessionDigest {
        let digest = SessionId::new(&OsRandom).digest();
        let session = NewSession {
            digest,
            user: user.id,
            password_version: user.password_version,
            client: None,
            source: IpAddr::from([127, 0, 0, 1]).into(),
            now: NOW,
            max_sessions: 50,
        };
        assert!(self.db.sessions.add(session).await.unwrap());
        digest
    }

    /// A session that the cache has.
    async fn remembered(&self) -> SessionDigest {
        let digest = self.add_session().await;
        self.check(digest).await;
        assert!(self.is_remembered(digest));
        digest
    }

    fn is_remembered(&self, digest: SessionDigest) -> bool {
        self.cache().find(&SessionKey::Plain(digest)).is_some()
    }

    /// What the service answers about the session.
    async fn check(&self, digest: SessionDigest) -> Found<SessionUser> {
        self.db.sessions.find_user(digest, CUTOFFS).await.unwrap()
    }

    /// What a look-up reads of the session now, which is there.
    fn read(&self, digest: SessionDigest) -> [(SessionKey, FoundSession); 1] {
        let session = StoredSession {
            user: SessionUser {
                id: self.user.id,
                email: self.user.email.clone(),
                began_at: NOW,
                last_seen_at: NOW,
            },
            is_void: false,
            groups: None,
        };
        [(
            SessionKey::Plain(digest),
            FoundSession {
                digest,
                session,
                app: None,
            },
        )]
    }

    /// Deletes all sessions behind the service's back.
    async fn delete_elsewhere(&mut self) {
        self.foreign.execute("DELETE FROM sessions").await.unwrap();
    }

    /// A write of ours that touches no session.
    async fn write_something_else(&self) {
        let digest = crate::token::ResetToken::new(&OsRandom).digest();
        let set = self.db.reset_tokens.set(&self.user, digest, NOW).await;
        assert!(set.unwrap());
    }
}

#[tokio::test]
async fn own_writes_forget_what_they_touch_and_nothing_else() {
    let database = TestDatabase::new().await;
    let [kept, deleted] = [database.remembered().await, database.remembered().await];
    for _ in 0..3 {
        database.write_something_else().await;
    }
    assert!(database.is_remembered(kept) && database.is_remembered(deleted));
    assert!(database.db.sessions.delete(deleted, CUTOFFS).await.unwrap());
    assert!(database.is_remembered(kept) && !database.is_remembered(deleted));
    let later = UnixTime(NOW.0 + 1);
    database
        .db
        .sessions
        .touch(kept, later, later)
        .await
        .unwrap();
    assert!(!database.is_remembered(kept));
    let Found::Valid(user) = database.check(kept).await else {
        panic!("the session is there");
    };
    assert_eq!(user.last_seen_at, later);

    let older = database.remembered().await;
    database.db.sessions.purge(NOW).await.unwrap();
    assert!(database.is_remembered(kept) && !database.is_remembered(older));
}

#[tokio::test]
async fn a_commit_of_another_is_seen_by_the_next_check() {
    let mut database = TestDatabase::new().await;
    for _ in 0..20 {
        let digest = database.remembered().await;
        database.delete_elsewhere().await;
        assert!(!database.is_remembered(digest));
        assert!(matches!(database.check(digest).await, Found::Invalid));
    }
}

#[tokio::test]
async fn a_commit_between_header_and_query_or_query_and_remembering_is_not_missed() {
    let mut database = TestDatabase::new().await;
    database.remembered().await;
    for is_own in [false, true] {
        // The query came after the commit in the one case and before it in the other; what it has read
        // before is worse.
        let digest = database.add_session().await;
        let header = database.cache().begin_look_up();
        let read = database.read(digest);
        if is_own {
            assert!(database.db.sessions.delete(digest, CUTOFFS).await.unwrap());
        } else {
            database.delete_elsewhere().await;
        }
        database.cache().remember(header, read.into_iter());
        assert!(!database.is_remembered(digest));
        // Nor later, when our own commits are followed again.
        for _ in 0..3 {
            database.write_something_else().await;
            assert!(!database.is_remembered(digest));
            assert!(matches!(database.check(digest).await, Found::Invalid));
        }
    }
}

#[tokio::test]
async fn a_slow_look_up_brings_nothing_back_that_has_passed() {
    let database = TestDatabase::new().await;
    let [first, second] = [database.remembered().await, database.remembered().await];
    let header = database.cache().begin_look_up();
    assert!(database.db.sessions.delete(first, CUTOFFS).await.unwrap());
    database.check(second).await;
    database
        .cache()
        .remember(header, database.read(first).into_iter());
    database.write_something_else().await;
    assert!(!database.is_remembered(first) && database.is_remembered(second));
}

#[tokio::test]
async fn a_commit_of_another_during_an_own_write_is_not_taken_for_ours() {
    let mut database = TestDatabase::new().await;
    for is_before in [true, false] {
        let digest = database.remembered().await;
        let connections = database.db.connections.clone();
        let other = tokio::sync::Mutex::new(&mut database);
        let write = connections.write(Touched::None, async |connection| {
            if is_before {
                other.lock().await.delete_elsewhere().await;
            }
            let own = "UPDATE users SET created_at = created_at + 1";
            connection.execute(own).await?;
            if !is_before {
                other.lock().await.delete_elsewhere().await;
            }
            Ok(())
        });
        write.await.unwrap();
        assert!(!database.is_remembered(digest), "{is_before}");
        database.write_something_else().await;
        assert!(!database.is_remembered(digest), "{is_before}");
        assert!(matches!(database.check(digest).await, Found::Invalid));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_of_another_at_any_moment_of_an_own_write_is_not_taken_for_ours() {
    const ROUNDS: u32 = 1_000;
    let database = TestDatabase::new().await;
    let mut foreign = AnyConnection::connect(&database.url).await.unwrap();
    // The time that an own write takes is what the others are spread over.
    let started = Instant::now();
    database.write_something_else().await;
    let mut write_takes = started.elapsed();
    for round in 0..ROUNDS {
        let digest = database.remembered().await;
        let pause = write_takes * (round % 50) / 40;
        let delete = tokio::spawn(async move {
            let started = Instant::now();
            // A timer would be too coarse.
            while started.elapsed() < pause {
                std::hint::spin_loop();
            }
            foreign.execute("DELETE FROM sessions").await.unwrap();
            foreign
        });
        let started = Instant::now();
        database.write_something_else().await;
        write_takes = (write_takes * 7 + started.elapsed()) / 8;
        foreign = delete.await.unwrap();
        assert!(!database.is_remembered(digest), "round {round}");
    }
}

#[tokio::test]
async fn while_an_own_write_has_committed_and_is_not_finished_the_database_is_asked() {
    let database = TestDatabase::new().await;
    let [deleted, kept] = [database.remembered().await, database.remembered().await];
    let connections = database.db.connections.clone();
    let write = connections.write(Touched::Session(deleted), async |connection| {
        let delete = sqlx::query("DELETE FROM sessions WHERE digest = $1");
        let delete = delete.bind(deleted.as_bytes().to_vec());
        delete.execute(connection).await?;
        assert!(!database.is_remembered(deleted));
        assert!(matches!(database.check(deleted).await, Found::Invalid));
        assert!(matches!(database.check(kept).await, Found::Valid(_)));
        Ok(())
    });
    write.await.unwrap();
    assert!(matches!(database.check(deleted).await, Found::Invalid));
    // What was asked in between did not empty the cache.
    assert!(database.is_remembered(kept));
}

#[tokio::test]
async fn what_a_write_does_that_fails_or_is_cut_off_is_seen() {
    let database = TestDatabase::new().await;
    for [is_cut_off, is_write_next] in [[true, true], [true, false], [false, true], [false, false]]
    {
        let digest = database.remembered().await;
        // It says nothing of what it touches, and commits all the same.
        let write = database
            .db
            .connections
            .write(Touched::None, async |connection| {
                connection.execute("DELETE FROM sessions").await?;
                if is_cut_off {
                    std::future::pending::<()>().await;
                }
                Err::<(), _>(sqlx::Error::RowNotFound)
            });
        let budget = std::time::Duration::from_millis(50);
        assert!(wait_budget::with(budget, write).await.is_err());
        if is_write_next {
            database.write_something_else().await;
        }
        for _ in 0..3 {
            assert!(!database.is_remembered(digest));
            assert!(matches!(database.check(digest).await, Found::Invalid));
            database.write_something_else().await;
        }
        // And the cache is of use again.
        database.remembered().await;
    }
}

#[tokio::test]
async fn what_triggers_and_other_foreign_keys_change_is_seen() {
    for side_effect in [
        "CREATE TRIGGER one AFTER INSERT ON reset_tokens BEGIN DELETE FROM sessions; END",
        "CREATE TRIGGER one BEFORE UPDATE ON reset_tokens BEGIN DELETE FROM sessions; END",
        "ALTER TABLE sessions ADD COLUMN token INTEGER REFERENCES reset_tokens ON DELETE CASCADE",
        "ALTER TABLE users ADD COLUMN token INTEGER REFERENCES reset_tokens ON DELETE CASCADE",
        "ALTER TABLE user_groups ADD COLUMN token INTEGER REFERENCES reset_tokens ON DELETE CASCADE",
        "ALTER TABLE app_sessions ADD COLUMN token INTEGER REFERENCES reset_tokens ON DELETE CASCADE",
    ] {
        let mut database = TestDatabase::new().await;
        database.write_something_else().await;
        database.remembered().await;
        database.foreign.execute(side_effect).await.unwrap();
        for _ in 0..5 {
            let digest = database.add_session().await;
            database.check(digest).await;
            database.write_something_else().await;
            assert!(!database.is_remembered(digest), "{side_effect}");
        }
    }
}

#[tokio::test]
async fn nothing_is_remembered_until_a_commit_was_seen_nor_after_the_end() {
    let database = TestDatabase::new().await;
    let digest = database.remembered().await;
    let path = database.db.file_watch.as_ref().unwrap().file();
    let unproved = SessionCache::new(path.wal_index().unwrap());
    let header = unproved.begin_look_up();
    assert!(header.is_some());
    unproved.remember(header, database.read(digest).into_iter());
    assert!(unproved.find(&SessionKey::Plain(digest)).is_none());

    database.db.close().await;
    let header = database.cache().begin_look_up();
    database
        .cache()
        .remember(header, database.read(digest).into_iter());
    assert!(!database.is_remembered(digest));
    assert!(
        database
            .db
            .sessions
            .find_user(digest, CUTOFFS)
            .await
            .is_err()
    );
}

#[tokio::test]
async fn no_more_is_remembered_than_the_cap_and_what_is_in_use_stays() {
    let database = TestDatabase::new().await;
    let [in_use, idle] = [database.remembered().await, database.remembered().await];
    for _ in 0..3 * MAX_IN_GENERATION {
        let header = database.cache().begin_look_up();
        let digest = SessionId::new(&OsRandom).digest();
        database
            .cache()
            .remember(header, database.read(digest).into_iter());
        assert!(database.is_remembered(in_use));
    }
    assert!(!database.is_remembered(idle));
    let state = database.cache().state();
    assert!(state.sessions.young.len() <= MAX_IN_GENERATION);
    assert!(state.sessions.old.len() <= MAX_IN_GENERATION);
}

#[tokio::test]
async fn a_session_of_a_long_address_is_not_remembered() {
    let database = TestDatabase::new().await;
    let email = format!("{}@example.org", "b".repeat(MAX_ADDRESS_BYTES));
    database.remembered().await;
    let user = add_user(&database.db, &email.parse().unwrap()).await;
    let digest = database.add_session_of(&user).await;
    assert!(matches!(database.check(digest).await, Found::Valid(_)));
    assert!(!database.is_remembered(digest));
}
