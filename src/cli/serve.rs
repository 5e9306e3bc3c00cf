//! `bienvenue serve`: puts the rooms together and serves until told to stop.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::administration;
use super::logging::{self, Log};
use super::options::{MailTransport, ServeOptions};
use super::service_manager;
use super::shutdown::{self, StopSignals};
use super::warnings;
use crate::app::{app, measured_app};
use crate::auth::Auth;
use crate::clock::{Clock, SystemClock};
use crate::db::{Db, LostDatabase, OpenError};
use crate::error_chain::ErrorChain;
use crate::mail::{self, Mailer, Site};
use crate::metrics::ConnectionMetrics;
use crate::operations::Operations;
use crate::password::Passwords;
use crate::server::{
    InheritError, InheritedSocket, ListenAddress, Listener, listen, serve_measured,
};
use crate::token::{OsRandom, TokenSource};

mod opening;
mod operators;

use operators::Operators;

/// How often what has expired is deleted, more or less. It is void without it; this only keeps the database
/// small. Often, because every made-up address that is tried is counted for a while.
const PURGE_INTERVAL: Duration = Duration::from_mins(1);

/// How long after the order to stop mails that are being sent may take to be finished. What is cut off
/// is sent again after the next start.
const MAIL_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the database may take to be closed when all else has ended. Nothing is lost with what is
/// cut off: whatever was acknowledged is in it.
const DB_CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// The exit code where the file of the database was lost. Nothing shall start the service again by itself then: it
/// would make an empty database in the place of that one, whose users would get the ids of those before.
const LOST: u8 = 8;

/// What stands in the help of serving.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  told to stop, and every request that had arrived was answered
  1  failed
  2  the options or the configuration file cannot be used
  6  the database has the schema of a newer version of bienvenue
  7  the database does not answer at the start
  8  the file of the database was lost: do not start again before it is back,
     or a backup is restored";

/// Serves until told to stop.
pub fn run(mut options: ServeOptions) -> ExitCode {
    // Before there are other threads, as it asks for.
    let inherited = InheritedSocket::from_environment();
    let log = Arc::new(logging::start(
        options.log.filter.clone(),
        options.log.format,
    ));
    let served = inherited.map_err(Into::into).and_then(|inherited| {
        if let Some(socket) = &inherited {
            options.listen = socket.address().clone();
            let reason = options.check().map_err(Into::into);
            reason.map_err(Failure::InheritedAddress)?;
        }
        serve_until_stopped(&options, inherited, &log)
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.say(&format!("bienvenue: {}", ErrorChain(&*error)));
            match error.downcast_ref() {
                Some(Failure::Open(error)) => administration::code_of(error).into(),
                Some(Failure::Lost(_)) => LOST.into(),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// Why the service could not serve, or had to stop.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("cannot listen on {address}: choose another address with {option}")]
    Listen {
        address: ListenAddress,
        option: &'static str,
        source: io::Error,
    },
    #[error(transparent)]
    Inherited(#[from] InheritError),
    #[error("the socket that the service manager hands over takes the place of --listen")]
    InheritedAddress(#[source] Box<dyn Error>),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("cannot put mails into {0}: choose another folder with --mail-dir")]
    MailFolder(PathBuf, #[source] io::Error),
    #[error("cannot use the mail server")]
    MailServer(#[source] mail::Error),
    #[error("the database was lost")]
    Lost(#[source] LostDatabase),
}

#[tokio::main]
async fn serve_until_stopped(
    options: &ServeOptions,
    inherited: Option<InheritedSocket>,
    log: &Arc<Log>,
) -> Result<(), Box<dyn Error>> {
    shutdown::ignore_other_signals();
    let listener = match inherited {
        Some(socket) => Listener::inherit(socket),
        None => listen(&options.listen),
    };
    let listener = listener.map_err(cannot_listen(&options.listen, "--listen"))?;
    let operations = options.operations.as_ref();
    let operations_listener = operations
        .map(|address| listen(address).map_err(cannot_listen(address, "--operations")))
        .transpose()?;
    let mailer = mailer(options)?;
    let mut operators = operations_listener.map(|listener| {
        let url = url(listener.address());
        Operators::answer(listener, &url)
    });
    // Before the line that says that the service is up, and before whatever may take long.
    let mut signals = StopSignals::listen();
    let db = tokio::select! {
        opened = opening::open(options.database.url(), options.no_migrate) => {
            opened.map_err(Failure::Open)?
        }
        // What was to be migrated is undone.
        () = signals.next() => {
            service_manager::tell_stopping();
            info!("stopped before the database was ready");
            return Ok(());
        }
    };
    let auth = rules(options, &db, mailer)?;

    for warning in warnings::of(options) {
        warn!("{warning}");
    }
    let (stopping, stopped) = watch::channel(false);
    let connections = Arc::<ConnectionMetrics>::default();
    let router = match &mut operators {
        None => app(auth.clone(), options.settings()),
        Some(operators) => {
            let (router, requests) = measured_app(auth.clone(), options.settings());
            operators.tell_of(Operations {
                auth: auth.clone(),
                requests,
                connections: Arc::clone(&connections),
                stopped: stopped.clone(),
                started_at: SystemClock.now(),
            });
            router
        }
    };
    let url = url(listener.address());
    info!(database = %options.database.url(), "listening on {url}");
    service_manager::tell_ready();
    let watchdog = tokio::spawn(service_manager::feed_watchdog());
    let purge = tokio::spawn(purge_regularly(auth.clone(), OsRandom));
    let mails = tokio::spawn(deliver_mails(auth, stopped));
    let log = Arc::clone(log);
    let served = db.clone();
    let shutdown = async move {
        tokio::select! {
            () = shutdown::stop_signal(signals, log) => {}
            () = served.lost_for_good() => {}
        }
        // The service manager waits for it no more, and may read it no more.
        watchdog.abort();
        service_manager::tell_stopping();
        stopping.send_replace(true);
    };
    let limits = options.connection_limits();
    serve_measured(listener, router, limits, connections, shutdown).await;

    purge.abort();
    // Ended, one way or the other, before the database is taken from under them.
    let _ = tokio::join!(mails, purge);
    // The last to go, so that operators see that the service is stopping.
    if let Some(operators) = operators {
        operators.end().await;
    }
    let lost = db.lost();
    if timeout(DB_CLOSE_TIMEOUT, db.close()).await.is_err() {
        warn!("the database does not answer, its connections were not closed");
    }
    info!("stopped");
    match lost {
        Some(lost) => Err(Failure::Lost(lost).into()),
        None => Ok(()),
    }
}

/// Says that this address cannot be had, which this option gave.
fn cannot_listen(
    address: &ListenAddress,
    option: &'static str,
) -> impl Fn(io::Error) -> Box<dyn Error> {
    move |source| {
        let address = address.clone();
        let failure = Failure::Listen {
            address,
            option,
            source,
        };
        failure.into()
    }
}

/// How an address is shown in the log.
fn url(address: &ListenAddress) -> String {
    match address {
        ListenAddress::Tcp(address) => format!("http://{address}"),
        socket @ ListenAddress::Unix(_) => socket.to_string(),
    }
}

/// The rules that these options ask for, on top of a database.
fn rules(options: &ServeOptions, db: &Db, mailer: Option<Mailer>) -> Result<Auth, Box<dyn Error>> {
    let mut auth = Auth::new(
        db.clone(),
        Passwords::new(options.accounts.bcrypt_cost, options.login_wait),
        options.lifetimes(),
        options.limits(),
        Arc::new(SystemClock),
        Arc::new(OsRandom),
    );
    if let Some(rule) = options.accounts.password_rule() {
        auth = auth.with_password_rule(rule);
    }
    if let (Some(mailer), Some(public_url)) = (mailer, &options.accounts.public_url) {
        let site = Site {
            name: options.accounts.site_name.as_str().to_owned(),
            public_url: public_url.clone(),
        };
        auth = auth.with_mail(mailer, site);
    }
    if !options.mail.notify_logins {
        auth = auth.without_login_notices();
    }
    // The apps were checked with the options.
    let apps = options.apps()?;
    Ok(auth.with_sign_up(options.sign_up_mode()).with_apps(apps))
}

/// What sends mails, if they are to be sent.
fn mailer(options: &ServeOptions) -> Result<Option<Mailer>, Box<dyn Error>> {
    let Some((transport, sender)) = options.mail.transport() else {
        return Ok(None);
    };
    let mailer = match transport {
        MailTransport::Smtp { url, authority } => {
            Mailer::smtp(url, authority, sender).map_err(Failure::MailServer)?
        }
        MailTransport::Folder(path) => Mailer::folder(path, sender)
            .map_err(|error| Failure::MailFolder(path.to_path_buf(), error))?,
    };
    Ok(Some(mailer))
}

/// Delivers mails until the service is to stop, and finishes those that are being sent then, if they do
/// not take too long.
async fn deliver_mails(auth: Auth, stopped: watch::Receiver<bool>) {
    let time_is_up = async {
        stop_order(stopped.clone()).await;
        sleep(MAIL_SHUTDOWN_TIMEOUT).await;
    };
    tokio::select! {
        () = auth.deliver_until(stop_order(stopped.clone())) => {}
        () = time_is_up => {}
    }
}

async fn stop_order(mut stopped: watch::Receiver<bool>) {
    // The sender is dropped when the service has stopped.
    let _ = stopped.wait_for(|is_stopped| *is_stopped).await;
}

async fn purge_regularly(auth: Auth, random: impl TokenSource) {
    loop {
        sleep(purge_pause(&random)).await;
        match auth.purge_expired().await {
            Ok(0) => {}
            Ok(rows) => debug!(rows, "deleted what has expired"),
            Err(error) => warn!(error = %ErrorChain(&error), "cannot delete what has expired"),
        }
    }
}

/// How long to wait before a purge: between a half and one and a half of [`PURGE_INTERVAL`], each time
/// another, so that instances that were started together do not all purge at the same moment.
fn purge_pause(random: &impl TokenSource) -> Duration {
    // The first 32 bits of a UUID are random (RFC 9562, 5.4).
    let (share, ..) = random.uuid().as_fields();
    let share = f64::from(share) / f64::from(u32::MAX);
    PURGE_INTERVAL.mul_f64(0.5 + share)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_instances_purge_in_step() {
        let pauses: BTreeSet<Duration> = (0..100).map(|_| purge_pause(&OsRandom)).collect();
        assert!(pauses.len() > 90, "{pauses:?}");
        let (shortest, longest) = (pauses.first().unwrap(), pauses.last().unwrap());
        assert!(*shortest >= PURGE_INTERVAL / 2 && *longest <= PURGE_INTERVAL * 3 / 2);
        // By far not all are near one another.
        assert!(*longest > *shortest + PURGE_INTERVAL / 2, "{pauses:?}");
    }
}
