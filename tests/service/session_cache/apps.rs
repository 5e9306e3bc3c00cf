//! The same for groups, and for sessions at apps.

use bienvenue::db::{FoundSession, NewAppSession, NewTicket, SessionKey};
use bienvenue::protected_app::AppHost;
use bienvenue::token::{AppLoginToken, AppSessionDigest, AppSessionId, Ticket};

use super::*;

const GROUPS: [&str; 3] = ["admins", "staff", "users"];
const HOSTS: [&str; 2] = ["wiki.example.org", "tube.example.org:8443"];

/// A group that another program writes, whose name is none.
const NO_NAME: &str = "x,staff";

/// How many sessions at apps are in mind, and how many one session may have.
const APP_SESSIONS: usize = 30;
const OF_SESSION: u32 = 1;

impl SharedDatabase {
    fn app_session(&mut self) -> Option<AppSessionDigest> {
        let count = self.app_sessions.len();
        (count > 0).then(|| self.app_sessions[self.numbers.below(count)])
    }

    /// What the database says of a session, or of one at an app, with the groups of its user.
    async fn whole_truth(&mut self, key: SessionKey) -> Option<String> {
        let from = "FROM sessions AS s JOIN users AS u ON u.id = s.user_id";
        let columns = "u.id, u.email, s.created_at, s.last_seen_at,
            u.password_version <> s.password_version, s.digest";
        let (text, digest) = match &key {
            SessionKey::Plain(digest) | SessionKey::WithGroups(digest) => (
                format!("SELECT {columns}, '' {from} WHERE s.digest = $1"),
                digest.as_bytes().to_vec(),
            ),
            SessionKey::App(digest) => (
                format!(
                    "SELECT {columns}, a.app {from}
                     JOIN app_sessions AS a ON a.session_digest = s.digest WHERE a.digest = $1"
                ),
                digest.as_bytes().to_vec(),
            ),
        };
        let row = sqlx::query(sqlx::AssertSqlSafe(text)).bind(digest);
        let row = row.fetch_optional(&mut self.plain).await.unwrap()?;
        let groups = sqlx::query("SELECT name FROM user_groups WHERE user_id = $1 ORDER BY name");
        let groups = groups.bind(row.get::<i64, _>(0));
        let groups = groups.fetch_all(&mut self.plain).await.unwrap();
        let groups = groups.iter().map(|row| row.get::<String, _>(0));
        let own = groups.filter(|name| name != "users" && name != NO_NAME);
        let groups: Vec<String> = ["users".to_owned()].into_iter().chain(own).collect();
        Some(format!(
            "{} {} {} {} {} {:?} {} {}",
            row.get::<i64, _>(0),
            row.get::<&str, _>(1),
            row.get::<i64, _>(2),
            row.get::<i64, _>(3),
            row.get::<i64, _>(4) == 1,
            row.get::<Vec<u8>, _>(5),
            groups.join(","),
            row.get::<&str, _>(6),
        ))
    }

    /// Compares what both services answer with what the database says.
    async fn check_key(&mut self, key: SessionKey) {
        let truth = self.whole_truth(key).await;
        for (number, service) in self.services.iter().enumerate() {
            let found = service.sessions.find(key).await.unwrap().map(described);
            let steps = self.last_steps.join("\n");
            assert_eq!(found, truth, "service {number}, {key:?}, after:\n{steps}");
            self.checks += 1;
        }
    }

    /// Checks a session with its groups, and one at an app.
    pub async fn check_apps(&mut self) {
        let digest = self.session();
        self.check_key(SessionKey::WithGroups(digest)).await;
        if let Some(digest) = self.app_session() {
            self.check_key(SessionKey::App(digest)).await;
        }
    }

    /// A write of a service.
    pub async fn write_of_apps(&mut self) {
        let service = self.service();
        match self.numbers.below(4) {
            0 => {
                let (user, group) = (self.user().await.id, self.numbers.of(&GROUPS));
                self.note(format!("put {user:?} into {group}"));
                service
                    .groups
                    .add(user, &group.parse().unwrap())
                    .await
                    .unwrap();
            }
            1 => {
                let (user, group) = (self.user().await.id, self.numbers.of(&GROUPS));
                self.note(format!("take {user:?} out of {group}"));
                service
                    .groups
                    .remove(user, &group.parse().unwrap())
                    .await
                    .unwrap();
            }
            _ => self.begin_at_app().await,
        }
    }

    /// Has a session begun at an app, as far as its session is valid.
    async fn begin_at_app(&mut self) {
        let (digest, service, host) = (self.session(), self.service(), self.numbers.of(&HOSTS));
        let row = sqlx::query("SELECT user_id FROM sessions WHERE digest = $1");
        let row = row.bind(digest.as_bytes()).fetch_optional(&mut self.plain);
        let Some(row) = row.await.unwrap() else {
            return;
        };
        let acting = ActingSession {
            digest,
            user: UserId(row.get(0)),
            cutoffs: self.cutoffs(),
        };
        let app = AppHost::of_request(host, true).unwrap();
        // One after the other, so that the first make place for those that follow.
        let mut begun_before = None;
        for _ in 0..4 {
            let (now, ticket) = (UnixTime(self.now), Ticket::new(&OsRandom).digest());
            let new = NewTicket {
                digest: ticket,
                app: app.clone(),
                state: AppLoginToken::new(&OsRandom).digest(),
                next: "/".to_owned(),
                now,
                counted_after: now,
                max_tickets: 1000,
            };
            service.app_sessions.issue(acting, &new).await.unwrap();
            let begun = NewAppSession {
                digest: AppSessionId::new(&OsRandom).digest(),
                acting,
                app: app.clone(),
                now,
                max_app_sessions: OF_SESSION,
            };
            self.note(format!("{} begins at {host}", hex(digest)));
            let used = service.app_sessions.use_up(ticket, now, Some(&begun)).await;
            if !used.unwrap() {
                return;
            }
            for digest in [Some(begun.digest), begun_before].into_iter().flatten() {
                self.check_key(SessionKey::App(digest)).await;
            }
            begun_before = Some(begun.digest);
            let place = self.numbers.below(APP_SESSIONS);
            if self.app_sessions.len() < APP_SESSIONS {
                self.app_sessions.push(begun.digest);
            } else {
                self.app_sessions[place] = begun.digest;
            }
        }
    }

    /// A write of the other program.
    pub fn interfere_with_apps(&mut self) {
        let one_user = "(SELECT id FROM users ORDER BY random() LIMIT 1)";
        let one_app_session = "(SELECT digest FROM app_sessions ORDER BY random() LIMIT 1)";
        let group = self.numbers.of(&["admins", "staff", "users", NO_NAME]);
        let statement = match self.numbers.below(6) {
            0 => format!("INSERT OR IGNORE INTO user_groups SELECT {one_user}, '{group}'"),
            1 => format!("DELETE FROM user_groups WHERE name = '{group}'"),
            2 => format!("DELETE FROM app_sessions WHERE digest = {one_app_session}"),
            3 => format!(
                "UPDATE app_sessions SET session_digest = (SELECT digest FROM sessions ORDER BY random() LIMIT 1)
                 WHERE digest = {one_app_session}"
            ).replace('\n', " "),
            4 => format!("UPDATE app_sessions SET app = 'wiki.example.org' WHERE digest = {one_app_session}"),
            _ => "DELETE FROM tickets".to_owned(),
        };
        let is_done = self.other.run("main", &statement);
        self.note(format!("another program, {is_done}: {statement}"));
    }
}

fn described(found: FoundSession) -> String {
    let FoundSession {
        digest,
        session,
        app,
    } = found;
    format!(
        "{} {} {} {} {} {:?} {} {}",
        session.user.id.0,
        session.user.email,
        session.user.began_at.0,
        session.user.last_seen_at.0,
        session.is_void,
        digest.as_bytes(),
        session
            .groups
            .map_or(String::new(), |groups| groups.as_str().to_owned()),
        app.map_or(String::new(), |app| app.to_string()),
    )
}
