//! The service as a program: reads the settings, puts the rooms together, serves until told to stop.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bienvenue::app::{SessionCookie, app};
use bienvenue::auth::Auth;
use bienvenue::clock::SystemClock;
use bienvenue::config::{Config, MailWay};
use bienvenue::db::{Db, LostDatabase, OpenError};
use bienvenue::error_chain::ErrorChain;
use bienvenue::logging::{self, Log};
use bienvenue::mail::{self, Mailer};
use bienvenue::password::{Cost, Passwords};
use bienvenue::server::{listen, serve};
use bienvenue::token::OsRandom;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, info, warn};

/// How often what has expired is deleted. It is void without it; this only keeps the database small.
/// Often, because every made-up address that somebody tries is counted for a while.
const PURGE_INTERVAL: Duration = Duration::from_mins(1);

/// How long after the order to stop mails that are being sent may take to be finished. What is cut off
/// is sent again after the next start.
const LAST_MAILS: Duration = Duration::from_secs(5);

/// How long after an order to stop another signal is the same order: `timeout` and service managers
/// signal the process and its group, which it is in.
const SAME_ORDER: Duration = Duration::from_millis(50);

/// How long the database may take to be closed when all else has ended. Nothing is lost with what is
/// cut off: whatever was acknowledged is in it.
const LAST_WORD: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let config = Config::from_command_line();
    let log = Arc::new(logging::start(config.log.clone(), config.log_format));
    match run(&config, &log) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.say(&format!("bienvenue: {}", ErrorChain(&*error)));
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
    #[error("cannot put mails into {0}: choose another folder with --mail-dir")]
    MailFolder(PathBuf, #[source] std::io::Error),
    #[error("cannot use the mail server")]
    MailServer(#[source] mail::Error),
    #[error("the database was lost")]
    Lost(#[source] LostDatabase),
    #[error("the socket failed")]
    Socket(#[from] std::io::Error),
}

#[tokio::main]
async fn run(config: &Config, log: &Arc<Log>) -> Result<(), Box<dyn Error>> {
    ignore_other_signals();
    let listener = listen(config.listen).map_err(|error| Failure::Listen(config.listen, error))?;
    let mailer = mailer(config)?;
    let db = Db::open(config.database_url())
        .await
        .map_err(Failure::Open)?;
    let mut auth = Auth::new(
        db.clone(),
        Passwords::new(config.bcrypt_cost, config.login_wait),
        config.lifetimes(),
        config.limits(),
        Arc::new(SystemClock),
        Arc::new(OsRandom),
    );
    if let Some(rule) = config.password_rule() {
        auth = auth.with_password_rule(rule);
    }
    if let (Some(mailer), Some(public_url)) = (mailer, &config.exposure.public_url) {
        auth = auth.with_mail(mailer, public_url.clone());
    }

    warn_of_weaknesses(config);
    // Before anybody can know that the service is up and tell it to stop.
    let orders = Orders::listen();
    let address = listener.local_addr().map_err(Failure::Socket)?;
    info!(database = %config.database_url(), "listening on http://{address}");
    let purge = tokio::spawn(purge_now_and_then(auth.clone()));
    let (stopping, stopped) = watch::channel(false);
    let mails = tokio::spawn(deliver_mails(auth.clone(), stopped));
    let log = Arc::clone(log);
    let served = db.clone();
    let shutdown = async move {
        tokio::select! {
            () = told_to_stop(orders, log) => {}
            () = served.lost_for_good() => {}
        }
        stopping.send_replace(true);
    };
    let router = app(auth, config.settings());
    serve(listener, router, config.connection_limits(), shutdown).await;

    purge.abort();
    // Ended, one way or the other, before the database is taken from under them.
    let _ = tokio::join!(mails, purge);
    let lost = db.lost();
    if timeout(LAST_WORD, db.close()).await.is_err() {
        warn!("the database does not answer, left without a farewell");
    }
    info!("stopped");
    match lost {
        Some(lost) => Err(Failure::Lost(lost).into()),
        None => Ok(()),
    }
}

/// What carries mails, if they are to be carried.
fn mailer(config: &Config) -> Result<Option<Mailer>, Box<dyn Error>> {
    let Some((way, sender)) = config.mail.way() else {
        return Ok(None);
    };
    let mailer = match way {
        MailWay::Smtp { url, authority } => {
            Mailer::smtp(url, authority, sender).map_err(Failure::MailServer)?
        }
        MailWay::Folder(path) => Mailer::folder(path, sender)
            .map_err(|error| Failure::MailFolder(path.to_path_buf(), error))?,
    };
    Ok(Some(mailer))
}

/// Says aloud, at every start, what was asked for and is not for every day.
fn warn_of_weaknesses(config: &Config) {
    for warning in config.warnings() {
        warn!("{warning}");
    }
    if let Some(proxy) = config.forgotten_proxy() {
        warn!(
            "only a proxy on this machine can end TLS for --public-url, and it is not trusted: all \
             clients count as one source, so that wrong passwords by one keep out all; give \
             --trusted-proxy {proxy}"
        );
    }
    if config.database_url().is_exposed_on_the_way() {
        warn!(
            "whoever is on the network between here and {} can read and change what goes there; add \
             ?sslmode=verify-full to the URL, so that the server must prove who it is",
            config.database_url()
        );
    }
    if config.bcrypt_cost < Cost::RECOMMENDED_MIN {
        warn!(
            "--bcrypt-cost {} is for tests: stolen hashes would soon be guessed; give {} or more",
            config.bcrypt_cost,
            Cost::RECOMMENDED_MIN
        );
    }
    if config.exposure.give_reset_tokens_to_anyone {
        warn!(
            "--give-reset-tokens-to-anyone: whoever can reach this service can take over every \
             account"
        );
    }
    if config.exposure.is_https() && config.exposure.session_cookie() == SessionCookie::Plain {
        warn!("--session-cookie plain: browsers will send sessions over unencrypted HTTP too");
    }
    if let Some((MailWay::Folder(path), _)) = config.mail.way() {
        warn!(
            "--mail-dir is for development: mails go into {} and reach nobody",
            path.display()
        );
    }
}

/// Delivers mails until the order to stop, and finishes those that are being sent then, if they do not
/// take too long.
async fn deliver_mails(auth: Auth, stopped: watch::Receiver<bool>) {
    let too_late = async {
        order_to_stop(stopped.clone()).await;
        sleep(LAST_MAILS).await;
    };
    tokio::select! {
        () = auth.deliver_until(order_to_stop(stopped.clone())) => {}
        () = too_late => {}
    }
}

async fn order_to_stop(mut stopped: watch::Receiver<bool>) {
    // No sender is left only if there is nothing to stop for any more.
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

async fn purge_now_and_then(auth: Auth) {
    let mut ticks = interval(PURGE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match auth.purge_expired().await {
            Ok(0) => {}
            Ok(rows) => debug!(rows, "deleted what has expired"),
            Err(error) => warn!(error = %ErrorChain(&error), "cannot delete what has expired"),
        }
    }
}

/// Completes on Ctrl-C (SIGINT) or SIGTERM. At the second one the process ends on the spot: nothing
/// that was acknowledged is lost by that, as by no crash.
async fn told_to_stop(mut orders: Orders, log: Arc<Log>) {
    orders.next().await;
    tokio::spawn(async move {
        let repeats = async {
            loop {
                orders.next().await;
            }
        };
        let _: Result<(), _> = timeout(SAME_ORDER, repeats).await;
        orders.next().await;
        warn!("told again to stop: ending at once, without waiting for requests under way");
        log.flush();
        std::process::exit(1);
    });
}

/// Keeps signals that have no meaning here from ending the process, which is what they do by default.
/// SIGPIPE is ignored by every Rust program.
fn ignore_other_signals() {
    #[cfg(unix)]
    for (name, kind) in [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ] {
        match signal(kind) {
            Ok(mut signals) => drop(tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    info!("{name} has no meaning here: SIGTERM stops the service");
                }
            })),
            Err(error) => warn!(%error, "{name} will end the process"),
        }
    }
}

/// Ctrl-C (SIGINT) and SIGTERM. One that cannot be listened for ends the process at once, which is an
/// end too.
#[cfg(unix)]
struct Orders(Option<Signal>, Option<Signal>);

#[cfg(unix)]
impl Orders {
    fn listen() -> Self {
        Self(
            signal(SignalKind::interrupt()).ok(),
            signal(SignalKind::terminate()).ok(),
        )
    }

    async fn next(&mut self) {
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
struct Orders;

#[cfg(not(unix))]
impl Orders {
    fn listen() -> Self {
        Self
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
