//! What operators' machines ask: metrics, health, the log.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::timeout;

use crate::support::Database;
use crate::support::client::Client;
use crate::support::server::Server;

mod health;
mod log;
mod metrics;
mod readme;

const EMAIL: &str = "bob@example.org";
const PASSWORD: &str = "b4l0u";

/// How long something may take that happens by itself until a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(10);

const OPTIONS: [&str; 4] = ["--operations", "127.0.0.1:0", "--bcrypt-cost", "4"];

/// A server that answers operators too, with these options more.
fn start_with(database: &Database, options: &[&str]) -> Server {
    Server::start_with(&database.url, &[&OPTIONS, options].concat())
}

/// Each series, `name{labels}`, with its value, as text.
pub type Series = BTreeMap<String, String>;

/// The text of all metrics.
async fn metrics_text(operations: &Client) -> String {
    let reply = operations.get("/metrics").send().await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(
        reply.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    String::from_utf8(reply.body).unwrap()
}

/// All metrics as they are now. No series may be there twice.
pub async fn metrics(operations: &Client) -> Series {
    let text = metrics_text(operations).await;
    let mut all = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').expect(line);
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let other = all.insert(series.to_owned(), value.to_owned());
        assert_eq!(other, None, "{line}");
    }
    all
}

/// All metrics, as soon as they are like this.
async fn metrics_like(operations: &Client, is_like_this: impl Fn(&Series) -> bool) -> Series {
    let reached = async {
        loop {
            let series = metrics(operations).await;
            if is_like_this(&series) {
                return series;
            }
            yield_now().await;
        }
    };
    timeout(PATIENCE, reached).await.expect("such metrics")
}
