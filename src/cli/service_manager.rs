//! What the service manager is told, if it asks for that as systemd does (`sd_notify(3)`): that the service
//! is up, or waits to be, that it stops, and now and then that it is alive.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

/// Says that requests are answered from now on.
pub fn tell_ready() {
    tell(NotifyState::Ready);
}

/// Says that the start takes longer for a good reason: it may take so long from now on. Without it the
/// service manager ends a service that is not up after a while (`TimeoutStartSec=`).
pub fn tell_waiting(patience: Duration) {
    let patience = u32::try_from(patience.as_micros()).unwrap_or(u32::MAX);
    tell(NotifyState::ExtendTimeoutUsec(patience));
}

/// Says that the service was told to stop.
pub fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Says, for as long as it is polled and if the service manager asks for it (`WatchdogSec=`), that the
/// runtime goes on. A service that has come to a standstill is started anew for want of that.
pub async fn feed_watchdog() {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
    else {
        return;
    };
    // As `sd_watchdog_enabled(3)` recommends.
    let mut ticks = interval(patience / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(NotifyState::Watchdog);
    }
}

fn tell(state: NotifyState) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "cannot tell the service manager how the service is");
    }
}
