//! An answer comes within five seconds, also when the database is held up.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::on_each_engine;
use crate::support::postgres::Cluster;
use crate::support::server::Server;

const DEADLINE: Duration = Duration::from_secs(5);

/// How long a hash may be waited for, by the default of `--login-wait`. That does not count.
const LOGIN_WAIT: Duration = Duration::from_secs(5);

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";

/// A user, with a session and a reset token.
struct Bob {
    session: String,
    token: String,
}

impl Bob {
    async fn of(server: &Server) -> Self {
        server.registered(EMAIL, PASSWORD).await;
        let session = server.logged_in(EMAIL, PASSWORD).await;
        // From here on there is a connection that looks sessions up.
        assert!(server.is_logged_in(&session).await);
        Self {
            session,
            token: server.reset_token(EMAIL).await,
        }
    }

    /// Asks for everything eight times, all at once, and expects each answer in time: 503, or 200
    /// where that much works. Some ask for pages.
    async fn ask_for_everything(&self, server: &Server, profiles_work: bool) {
        let mut replies = JoinSet::new();
        for number in 0..8 {
            let new = format!("user{number}@example.org");
            for (name, call) in [
                ("home", server.get("/")),
                ("profile", server.profile(&self.session)),
                (
                    "unknown profile",
                    server.profile(&Uuid::new_v4().to_string()),
                ),
                ("sign-up", server.register(&new, PASSWORD)),
                ("login", server.log_in(EMAIL, PASSWORD)),
                (
                    "second login",
                    server.log_in(EMAIL, PASSWORD).session(&self.session),
                ),
                ("wrong login", server.log_in(EMAIL, "wrong")),
                ("logout", server.log_out(&self.session)),
                ("reset", server.ask_reset(EMAIL)),
                ("new password", server.reset(EMAIL, &self.token, "new")),
            ] {
                let call = if number == 0 { call.by_browser() } else { call };
                replies.spawn(async move {
                    let since = Instant::now();
                    let reply = call.send().await;
                    (name, number, reply, since.elapsed())
                });
            }
        }
        for (name, number, reply, took) in replies.join_all().await {
            // These are hashed before the database is asked to write; a login is counted first.
            let is_hashed = ["sign-up", "new password"].contains(&name);
            let hashing = if is_hashed {
                LOGIN_WAIT
            } else {
                Duration::ZERO
            };
            assert!(took < DEADLINE + hashing, "{name}: {took:?}");
            let expected = match name {
                "home" => 200,
                "profile" if profiles_work => 200,
                "unknown profile" if profiles_work => 403,
                _ => 503,
            };
            // A browser without a session is shown the way to one.
            if number > 0 || expected == 503 {
                assert_eq!(reply.status, expected, "{name}: {reply:?}");
            }
        }
    }
}

on_each_engine! {
    async fn who_cannot_be_served_for_a_lock_is_told_in_time(database: Database) {
        let server = Server::start(&database.url);
        let bob = Bob::of(&server).await;
        let inside = database.look_inside().await;
        let before = inside.all_rows().await;
        let lock = inside.lock_out_writers().await;
        // The second time there are connections that the first has left behind.
        for _ in 0..2 {
            bob.ask_for_everything(&server, true).await;
        }
        assert_eq!(inside.all_rows().await, before);
        drop(lock);
        assert!(server.can_log_in(EMAIL, PASSWORD).await);

        let lock = inside.lock_out_writers().await;
        let sign_up = tokio::spawn(server.register("new@example.org", PASSWORD).send());
        let wrong_login = tokio::spawn(server.log_in(EMAIL, "wrong").send());
        let stopping = Instant::now();
        let (status, _) = server.stop();
        assert!(status.success() && stopping.elapsed() < Duration::from_secs(10));
        for answered in [sign_up, wrong_login] {
            let reply = answered.await.unwrap();
            reply.assert_refusal(503, "temporarily unavailable");
        }
        drop(lock);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_served_because_the_database_is_silent_is_told_in_time() {
    let Some(cluster) = Cluster::start() else {
        return;
    };
    let server = Server::start(&cluster.create_database().await);
    let bob = Bob::of(&server).await;
    cluster.pause();
    for _ in 0..2 {
        bob.ask_for_everything(&server, false).await;
    }
    cluster.resume();
    server.registered("new@example.org", PASSWORD).await;
    assert!(server.can_log_in("new@example.org", PASSWORD).await);
}
