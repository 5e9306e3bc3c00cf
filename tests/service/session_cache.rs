//! What is remembered of sessions is what the database says, whoever writes into it.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bienvenue::auth::mail_pause;
use bienvenue::clock::UnixTime;
use bienvenue::db::{
    ActingSession, Db, Found, NewSession, NewUser, OwnDeletion, OwnPasswordChange, PasswordChange,
    Period, SessionCutoffs,
};
use bienvenue::token::{AppSessionDigest, OsRandom, ResetToken, SessionDigest, SessionId};
use bienvenue::user::{HashedPassword, SessionUser, User, UserId};
use sqlx::{AnyConnection, Connection, Row};

use crate::support::home;
use crate::support::report::skipped;

mod apps;

/// How many steps are taken. More of them, and from another start, by the environment.
const STEPS: u64 = 40_000;

const USERS: usize = 6;
const SESSIONS: usize = 40;

/// How long a session lasts unused, in seconds of the test's clock, and at most.
const IDLE: i64 = 200;
const LIFETIME: i64 = 2_000;

/// Numbers that look random and are the same for the same start (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((number ^ (number >> 31)) % bound as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

/// Another program, with the file open beside the service.
struct OtherProgram {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl OtherProgram {
    /// `None` without Python, which is said aloud.
    fn start(file: &Path) -> Option<Self> {
        let process = Command::new("python3")
            .arg("-c")
            .arg(include_str!("support/other_program.py"))
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut process) = process else {
            skipped(
                "another program beside the session cache",
                "install python3",
            );
            return None;
        };
        Some(Self {
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        })
    }

    /// Whether the statement was run, on the connection of this name.
    fn run(&mut self, connection: &str, statement: &str) -> bool {
        writeln!(self.input, "{connection} {statement}").unwrap();
        let mut reply = String::new();
        self.output.read_line(&mut reply).unwrap();
        assert!(!reply.is_empty(), "the other program has ended");
        reply == "ok\n"
    }
}

impl Drop for OtherProgram {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A database that several write to, and what is known of it.
struct SharedDatabase {
    /// Two of the service's own, as in two processes.
    services: [Db; 2],
    other: OtherProgram,
    /// What asks the database each time.
    plain: AnyConnection,
    numbers: Numbers,
    now: i64,
    sessions: Vec<SessionDigest>,
    app_sessions: Vec<AppSessionDigest>,
    /// What was done last, to be told if an answer is wrong.
    last_steps: Vec<String>,
    checks: u64,
}

fn hex(digest: SessionDigest) -> String {
    let number = u128::from_be_bytes(digest.as_bytes()[..16].try_into().unwrap());
    let rest = u128::from_be_bytes(digest.as_bytes()[16..].try_into().unwrap());
    format!("{number:032x}{rest:032x}")
}

impl SharedDatabase {
    fn cutoffs(&self) -> SessionCutoffs {
        SessionCutoffs {
            last_seen_after: UnixTime(self.now - IDLE),
            created: Period {
                after: UnixTime(self.now - LIFETIME),
                until: UnixTime(self.now + 5),
            },
        }
    }

    fn session(&mut self) -> SessionDigest {
        self.numbers.of(&self.sessions)
    }

    fn service(&mut self) -> Db {
        let number = self.numbers.below(2);
        self.services[number].clone()
    }

    fn note(&mut self, what: String) {
        self.last_steps.push(what);
        if self.last_steps.len() > 40 {
            self.last_steps.remove(0);
        }
    }

    /// What the database says of a session.
    async fn truth(&mut self, digest: SessionDigest) -> Found<SessionUser> {
        let row = sqlx::query(
            "SELECT u.id, u.email, s.created_at, s.last_seen_at,
                 u.password_version = s.password_version
             FROM sessions AS s JOIN users AS u ON u.id = s.user_id WHERE s.digest = $1",
        );
        let row = row.bind(digest.as_bytes()).fetch_optional(&mut self.plain);
        let Some(row) = row.await.unwrap() else {
            return Found::Invalid;
        };
        let [created_at, last_seen_at]: [i64; 2] = [row.get(2), row.get(3)];
        let user = SessionUser {
            id: UserId(row.get(0)),
            email: row.get::<&str, _>(1).parse().unwrap(),
            began_at: UnixTime(created_at),
            last_seen_at: UnixTime(last_seen_at),
        };
        if last_seen_at <= self.now - IDLE || created_at <= self.now - LIFETIME {
            Found::Expired
        } else if created_at > self.now + 5 {
            Found::Invalid
        } else if row.get::<i64, _>(4) == 0 {
            Found::Void(user)
        } else {
            Found::Valid(user)
        }
    }

    /// Compares what both services answer with what the database says.
    async fn check(&mut self, digest: SessionDigest) {
        let cutoffs = self.cutoffs();
        let truth = format!("{:?}", self.truth(digest).await);
        for (number, service) in self.services.iter().enumerate() {
            let answer = service.sessions.find_user(digest, cutoffs).await.unwrap();
            assert_eq!(
                format!("{answer:?}"),
                truth,
                "service {number}, session {}, after:\n{}",
                hex(digest),
                self.last_steps.join("\n")
            );
            self.checks += 1;
        }
    }

    /// A user who is there, as they are now.
    async fn user(&mut self) -> User {
        let service = self.service();
        let rows = sqlx::query("SELECT email FROM users ORDER BY id").fetch_all(&mut self.plain);
        let rows = rows.await.unwrap();
        if rows.len() < USERS {
            let email = format!("new{}@example.org", self.numbers.below(1_000_000_000));
            let hash = HashedPassword::new("x".to_owned());
            let new = NewUser {
                email: &email.parse().unwrap(),
                hashed_password: &hash,
                now: UnixTime(self.now),
                is_confirmed: false,
            };
            let given_up = self.cutoffs().created;
            let added = service.users.add(&new, given_up, None).await;
            return added.unwrap().unwrap();
        }
        let email: String = rows[self.numbers.below(rows.len())].get(0);
        let found = service.users.find_by_email(&email.parse().unwrap()).await;
        found.unwrap().unwrap()
    }

    async fn add_session(&mut self) {
        let (user, service) = (self.user().await, self.service());
        let digest = SessionId::new(&OsRandom).digest();
        let at = self.now - self.numbers.of(&[0, 0, 0, LIFETIME - 3, -20]);
        self.note(format!("add {} at {at}", hex(digest)));
        let session = NewSession {
            digest,
            user: user.id,
            password_version: user.password_version,
            client: None,
            source: home(),
            now: UnixTime(at),
            max_sessions: 12,
        };
        assert!(service.sessions.add(session).await.unwrap());
        self.remember(digest);
    }

    fn remember(&mut self, digest: SessionDigest) {
        let place = self.numbers.below(SESSIONS);
        if self.sessions.len() < SESSIONS {
            self.sessions.push(digest);
        } else {
            self.sessions[place] = digest;
        }
    }

    async fn set_password(&mut self) {
        let (user, service) = (self.user().await, self.service());
        self.note(format!("set the password of {:?}", user.id));
        let token = ResetToken::new(&OsRandom).digest();
        let now = UnixTime(self.now);
        assert!(service.reset_tokens.set(&user, token, now).await.unwrap());
        let change = PasswordChange {
            hashed_password: HashedPassword::new("y".to_owned()),
            reset_token: token,
            issued: Period {
                after: UnixTime(0),
                until: UnixTime(i64::MAX),
            },
            mail_pause: mail_pause(now),
            told_by_mail: None,
            proof: None,
        };
        assert!(service.users.set_password(&user, &change).await.unwrap());
    }

    /// What a user does by a session of theirs, if that is valid.
    async fn act(&mut self) {
        let (digest, other, service) = (self.session(), self.session(), self.service());
        let row = sqlx::query(
            "SELECT u.id, u.email FROM sessions AS s JOIN users AS u ON u.id = s.user_id
             WHERE s.digest = $1",
        );
        let row = row.bind(digest.as_bytes()).fetch_optional(&mut self.plain);
        let Some(row) = row.await.unwrap() else {
            return;
        };
        let acting = ActingSession {
            digest,
            user: UserId(row.get(0)),
            cutoffs: self.cutoffs(),
        };
        let what = self.numbers.below(4);
        self.note(format!("{} does {what}, to {}", hex(digest), hex(other)));
        match what {
            0 => drop(service.sessions.end(acting, other).await.unwrap()),
            1 => drop(service.sessions.end_others(acting).await.unwrap()),
            2 => {
                let deletion = OwnDeletion {
                    acting,
                    email: row.get::<&str, _>(1).parse().unwrap(),
                    mail_pause: mail_pause(UnixTime(self.now)),
                    told_by_mail: None,
                    given_up: acting.cutoffs.created,
                };
                service.users.delete_by(&deletion).await.unwrap();
            }
            _ => {
                let email = row.get::<&str, _>(1).parse().unwrap();
                let user = service.users.find_by_email(&email).await;
                let user = user.unwrap().unwrap();
                let session = NewSession {
                    digest: SessionId::new(&OsRandom).digest(),
                    user: user.id,
                    password_version: user.password_version + 1,
                    client: None,
                    source: home(),
                    now: UnixTime(self.now),
                    max_sessions: 12,
                };
                let begun = session.digest;
                let change = OwnPasswordChange {
                    acting,
                    user,
                    hashed_password: HashedPassword::new("z".to_owned()),
                    session,
                    mail_pause: mail_pause(UnixTime(self.now)),
                    told_by_mail: None,
                    proof: None,
                };
                if service.users.change_password(&change).await.unwrap() {
                    self.remember(begun);
                }
            }
        }
    }

    /// A write of a service.
    async fn write(&mut self) {
        let (service, digest) = (self.service(), self.session());
        let (now, cutoffs) = (UnixTime(self.now), self.cutoffs());
        match self.numbers.below(9) {
            0..=2 => self.add_session().await,
            3 => {
                self.note(format!("delete {}", hex(digest)));
                service.sessions.delete(digest, cutoffs).await.unwrap();
            }
            4 => {
                self.note(format!("delete {} if expired", hex(digest)));
                service
                    .sessions
                    .delete_expired(digest, cutoffs)
                    .await
                    .unwrap();
            }
            5 => {
                self.note(format!("touch {}", hex(digest)));
                let latest = UnixTime(self.now + 5);
                service.sessions.touch(digest, now, latest).await.unwrap();
            }
            6 => {
                let until = UnixTime(self.now - self.numbers.of(&[IDLE, IDLE / 2, LIFETIME]));
                self.note(format!("purge until {until:?}"));
                service.sessions.purge(until).await.unwrap();
            }
            7 => self.act().await,
            _ => self.set_password().await,
        }
    }

    /// A write of the other program, or something else that it does to the file.
    fn interfere(&mut self) {
        let digest = hex(self.session());
        let this = format!("WHERE digest = x'{digest}'");
        let one_user = "WHERE id = (SELECT id FROM users ORDER BY random() LIMIT 1)";
        let statement = match self.numbers.below(14) {
            0 => format!("DELETE FROM sessions {this}"),
            1 => format!("UPDATE sessions SET last_seen_at = last_seen_at - 150 {this}"),
            2 => format!("UPDATE sessions SET created_at = created_at + 100 {this}"),
            3 => format!("UPDATE users SET password_version = password_version + 1 {one_user}"),
            4 => format!("UPDATE users SET email = 'x' || random() || '@example.org' {one_user}"),
            5 => format!("DELETE FROM users {one_user}"),
            6 => format!(
                "INSERT OR IGNORE INTO sessions SELECT x'{digest}', max(id), 1, {now}, {now}, NULL, NULL FROM users",
                now = self.now
            ),
            7 => "VACUUM".to_owned(),
            8 => "PRAGMA wal_checkpoint(PASSIVE)".to_owned(),
            9 => "PRAGMA wal_checkpoint(FULL)".to_owned(),
            10 => "PRAGMA wal_checkpoint(RESTART)".to_owned(),
            11 => "PRAGMA wal_checkpoint(TRUNCATE)".to_owned(),
            12 => "CLOSE".to_owned(),
            _ => {
                // What is rolled back has not been.
                for statement in ["BEGIN", "DELETE FROM sessions", "ROLLBACK"] {
                    self.other.run("main", statement);
                }
                return self.note("delete all and roll back".to_owned());
            }
        };
        let is_done = self.other.run("main", &statement);
        self.note(format!("another program, {is_done}: {statement}"));
    }

    /// Checks while a write of a service waits for the lock that the other program holds.
    async fn write_behind_another(&mut self) {
        if !self.other.run("busy", "BEGIN IMMEDIATE") {
            return;
        }
        let digest = self.session();
        let (service, now) = (self.service(), UnixTime(self.now));
        let cutoffs = self.cutoffs();
        let is_touch = self.numbers.below(2) == 0;
        let write = tokio::spawn(async move {
            let latest = UnixTime(now.0 + 5);
            if is_touch {
                service.sessions.touch(digest, now, latest).await
            } else {
                service.sessions.delete(digest, cutoffs).await.map(drop)
            }
        });
        let other = self.session();
        let delete = format!("DELETE FROM sessions WHERE digest = x'{}'", hex(other));
        self.other.run("busy", &delete);
        for digest in [digest, other] {
            self.check(digest).await;
        }
        let end = self.numbers.of(&["COMMIT", "ROLLBACK"]);
        assert!(self.other.run("busy", end));
        // The write may have been made or not by the time that the database is asked: not compared until it is.
        write.await.unwrap().unwrap();
        self.note(format!(
            "write to {} behind a {end} of {delete}",
            hex(digest)
        ));
        for digest in [digest, other] {
            self.check(digest).await;
        }
    }

    async fn step(&mut self) {
        match self.numbers.below(100) {
            0..=4 => self.write().await,
            5..=6 => self.write_of_apps().await,
            7..=8 => self.interfere(),
            9 => self.interfere_with_apps(),
            10 => self.now += i64::try_from(self.numbers.below(20)).unwrap(),
            11 if self.numbers.below(10) == 0 => self.write_behind_another().await,
            12 if self.numbers.below(10) == 0 => {
                // A reader that still sees what was then, and holds up checkpoints.
                self.other.run("lagging", "CLOSE");
                self.other.run("lagging", "BEGIN");
                self.other.run("lagging", "SELECT count(*) FROM sessions");
            }
            13 => {
                self.other.run("lagging", "CLOSE");
            }
            14..50 => self.check_apps().await,
            _ => {
                let digest = self.session();
                self.check(digest).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_databases_whatever_anybody_does_to_it() {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let steps = number("SESSION_CACHE_STEPS").unwrap_or(STEPS);
    let start = number("SESSION_CACHE_START").unwrap_or(1);
    // In memory where there is such a folder: the disk has no part in it.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory)
    } else {
        tempfile::tempdir()
    };
    let folder = folder.unwrap();
    let file = folder.path().join("bienvenue.db");
    let url = format!("sqlite:{}", file.display());
    let url_of = || url.parse().unwrap();
    let services = [
        Db::open(&url_of()).await.unwrap(),
        Db::open(&url_of()).await.unwrap(),
    ];
    let Some(other) = OtherProgram::start(&file) else {
        return;
    };
    let mut database = SharedDatabase {
        services,
        other,
        plain: AnyConnection::connect(&url).await.unwrap(),
        numbers: Numbers(start),
        now: 1_800_000_000,
        sessions: Vec::new(),
        app_sessions: Vec::new(),
        last_steps: Vec::new(),
        checks: 0,
    };
    for _ in 0..SESSIONS {
        database.add_session().await;
    }
    for _ in 0..steps {
        database.step().await;
    }
    println!(
        "{steps} steps from {start}: {} answers compared",
        database.checks
    );
    for service in &database.services {
        service.close().await;
    }
}
