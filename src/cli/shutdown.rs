//! The signals that stop the service, and those that do not.

use std::sync::Arc;
use std::time::Duration;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::{info, warn};

use super::logging::Log;

/// How long after an order to stop another signal is the same order: `timeout` and service managers
/// signal the process and its group, which it is in.
const REPEATED_SIGNAL_WINDOW: Duration = Duration::from_millis(50);

/// Completes on Ctrl-C (SIGINT) or SIGTERM. At the second one the process ends on the spot: nothing
/// that was acknowledged is lost by that, as by no crash.
pub async fn stop_signal(mut signals: StopSignals, log: Arc<Log>) {
    signals.next().await;
    tokio::spawn(async move {
        let repeats = async {
            loop {
                signals.next().await;
            }
        };
        let _: Result<(), _> = timeout(REPEATED_SIGNAL_WINDOW, repeats).await;
        signals.next().await;
        warn!("told again to stop: ending at once, without waiting for requests under way");
        log.flush();
        std::process::exit(1);
    });
}

const NO_MEANING: &str = "this signal has no meaning here: SIGTERM stops the service";

/// Keeps signals that have no meaning here from ending the process, which is what they do by default.
/// SIGPIPE is ignored by every Rust program.
pub fn ignore_other_signals() {
    #[cfg(unix)]
    for (name, kind, answer) in [
        (
            "SIGHUP",
            SignalKind::hangup(),
            "settings are read at the start only: restart the service to change them",
        ),
        ("SIGUSR1", SignalKind::user_defined1(), NO_MEANING),
        ("SIGUSR2", SignalKind::user_defined2(), NO_MEANING),
    ] {
        match signal(kind) {
            Ok(mut signals) => drop(tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    info!("{name}: {answer}");
                }
            })),
            Err(error) => warn!(%error, "{name} will end the process"),
        }
    }
}

/// Ctrl-C (SIGINT) and SIGTERM. One that cannot be listened for ends the process at once, which is an
/// end too.
#[cfg(unix)]
pub struct StopSignals(Option<Signal>, Option<Signal>);

#[cfg(unix)]
impl StopSignals {
    pub fn listen() -> Self {
        Self(
            signal(SignalKind::interrupt()).ok(),
            signal(SignalKind::terminate()).ok(),
        )
    }

    /// Completes at the next one.
    pub async fn next(&mut self) {
        async fn next(signals: &mut Option<Signal>) {
            match signals {
                Some(signals) => drop(signals.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = next(&mut self.0) => {}
            () = next(&mut self.1) => {}
        }
    }
}

/// Ctrl-C.
#[cfg(not(unix))]
pub struct StopSignals;

#[cfg(not(unix))]
impl StopSignals {
    pub fn listen() -> Self {
        Self
    }

    /// Completes at the next one.
    pub async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
