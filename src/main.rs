//! The service as a program: reads the settings, puts the rooms together, serves until told to stop.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bienvenue::app::{Settings, app, listen, serve};
use bienvenue::auth::Auth;
use bienvenue::clock::SystemClock;
use bienvenue::config::Config;
use bienvenue::db::{Db, OpenError};
use bienvenue::error_chain::ErrorChain;
use bienvenue::logging;
use bienvenue::password::{Cost, Passwords};
use bienvenue::token::OsRandom;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

/// How often expired sessions and reset tokens are deleted. They are void without it; this only
/// keeps the database small.
const PURGE_INTERVAL: Duration = Duration::from_hours(1);

fn main() -> ExitCode {
    let config = Config::from_command_line();
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bienvenue: {}", ErrorChain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Why the service could not serve, or had to stop.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot listen on {0}: choose another address with --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("the socket failed")]
    Socket(#[from] std::io::Error),
}

#[tokio::main]
async fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    logging::start(config.log.clone(), config.log_format);
    let listener = listen(config.listen).map_err(|error| Failure::Listen(config.listen, error))?;
    let db = Db::open(&config.database_url)
        .await
        .map_err(Failure::Open)?;
    let auth = Auth::new(
        db.clone(),
        Passwords::new(config.bcrypt_cost, config.login_wait),
        config.lifetimes(),
        Arc::new(SystemClock),
        Arc::new(OsRandom),
    );

    if config.bcrypt_cost < Cost::RECOMMENDED_MIN {
        warn!(
            "--bcrypt-cost {} is for tests: stolen hashes would soon be guessed; give {} or more",
            config.bcrypt_cost,
            Cost::RECOMMENDED_MIN
        );
    }
    let address = listener.local_addr().map_err(Failure::Socket)?;
    info!(database = %config.database_url, "listening on http://{address}");
    let purge = tokio::spawn(purge_now_and_then(auth.clone()));
    serve(listener, app(auth, Settings::default()), told_to_stop())
        .await
        .map_err(Failure::Socket)?;

    purge.abort();
    // Ended, one way or the other, before the database is taken from under it.
    let _ = purge.await;
    db.close().await;
    info!("stopped");
    Ok(())
}

async fn purge_now_and_then(auth: Auth) {
    let mut ticks = interval(PURGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match auth.purge_expired().await {
            Ok(0) => {}
            Ok(rows) => info!(rows, "deleted expired sessions and reset tokens"),
            Err(error) => {
                warn!(error = %ErrorChain(&error), "cannot delete expired sessions and reset tokens");
            }
        }
    }
}

/// Completes on Ctrl-C (SIGINT) or SIGTERM.
async fn told_to_stop() {
    let interrupted = async {
        // Without a handler Ctrl-C ends the process at once, which is an end too.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                () = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    interrupted.await;
}
