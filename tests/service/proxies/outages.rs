//! No app is reached while it cannot be said who is there.

use super::*;
use crate::support::postgres::Cluster;

/// The statuses of both apps, asked with sessions that are good, or 000 for none within this time.
async fn ask(stand: &Stand, seconds: &str) -> [String; 2] {
    let (wiki, notes) = tokio::join!(
        ask_one(stand, seconds, WIKI),
        ask_one(stand, seconds, NOTES)
    );
    [wiki, notes]
}

async fn ask_one(stand: &Stand, seconds: &str, url: &str) -> String {
    let mut command = Command::new("curl");
    command
        .args(["-s", "-k", "--max-time", seconds])
        .args(["-w", "%{http_code}", "-o", "/dev/null"])
        .args(["--connect-to", &format!("::{}", stand.address), "-b"])
        .arg(stand.folder.path().join("cookies"))
        .arg(url);
    String::from_utf8(output(command).await.stdout).unwrap()
}

async fn logged_in(stand: &Stand) -> usize {
    stand.log_in().await;
    for url in [WIKI, NOTES] {
        assert_eq!(stand.open(url).await.status, 200);
    }
    assert_eq!(ask(stand, "30").await, ["200", "200"]);
    stand.echo.reached()
}

behind_each_proxy! {
    async fn not_while_the_service_is_silent_or_gone(proxy: Kind) {
        let Some(stand) = Stand::with_two_apps(proxy).await else { return };
        let reached = logged_in(&stand).await;
        stand.server.signal("STOP");
        // Neither within ten seconds nor, when the service goes on, after clients have given up.
        assert_eq!(ask(&stand, "10").await, ["000", "000"]);
        assert_eq!(stand.echo.reached(), reached);
        stand.server.signal("CONT");
        stand.server.signal("KILL");
        for answer in ask(&stand, "30").await {
            assert!(["500", "502"].contains(&&*answer), "{answer}");
        }
        assert_eq!(stand.echo.reached(), reached);
    }

    async fn not_while_the_database_is_away(proxy: Kind) {
        let Some(cluster) = Cluster::start() else { return };
        let url = cluster.create_database().await;
        let database = Database { url, folder: None };
        let apps = ["wiki.example.org", "notes.example.net"];
        let Some(stand) = Stand::start_with(proxy, &apps, &[], database).await else { return };
        let reached = logged_in(&stand).await;
        cluster.down();
        for answer in ask(&stand, "30").await {
            assert!(["500", "503"].contains(&&*answer), "{answer}");
        }
        assert_eq!(stand.echo.reached(), reached);
        cluster.up();
        assert_eq!(ask(&stand, "30").await, ["200", "200"]);
    }
}
