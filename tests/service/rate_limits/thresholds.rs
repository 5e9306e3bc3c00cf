//! What happens too often in the whole service is told of, and is not refused.

use crate::support::Database;
use crate::support::server::Server;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_failed_logins_within_an_hour_are_told_of_once() {
    let database = Database::sqlite();
    let server = Server::start(&database.url);
    let wrong = |number: usize| server.log_in(&format!("user{number}@example.org"), "wrong");
    for from in (0..1020).step_by(30) {
        for reply in at_once((from..from + 30).map(wrong)).await {
            assert_wrong(&reply);
        }
    }
    server.registered(EMAIL, "b4l0u").await;
    let (_, log) = server.stop();
    let told = log.lines().filter(|line| line.contains("within an hour"));
    let told: Vec<&str> = told.collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("WARN") && told[0].contains("more than 1000 failed logins"),
        "{told:?}"
    );
}
