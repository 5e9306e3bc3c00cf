//! The worker that sends what is to be mailed.
//!
//! It claims mails in turns of the networks that asked for them, sends a few at a time, and writes down
//! later what became of them. Mails that are not sent, such as a reset link to an unknown address, go the
//! same way, but for the sending: claimed in one transaction with the others and settled in one with them,
//! so that how often the database waits for its disk does not tell which addresses are known.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{debug, info, warn};

use super::address_lifetimes::{EMAIL_TOKEN_LIFETIME, UNDO_LIFETIME};
use super::error::Result;
use super::links::{address_link, reset_link, sign_up_link, undo_link};
use super::mail_counts::{GIVEN_UP, POSTPONED, REFUSED, SENT};
use super::mail_setup::MailSetup;
use super::{Auth, SIGN_UP_TOKEN_LIFETIME};
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::db::{ClaimedMail, MailClaim, MailContent, MailPause, Settlement};
use crate::error_chain::ErrorChain;
use crate::mail::{self, Message, Site, Undo};

/// At most one mail of each kind that strangers can cause goes to an address in this time, however often they
/// are asked for, and however often what they tell of happens, so that the service cannot be used to flood a
/// mailbox.
pub const MAIL_PAUSE: Duration = Duration::from_mins(5);

/// The pause that begins with a mail of this moment.
pub fn mail_pause(now: UnixTime) -> MailPause {
    MailPause {
        now,
        ends_at: now.after(MAIL_PAUSE),
        latest_end: now.after(MAIL_PAUSE + CLOCK_TOLERANCE),
    }
}

/// How long a worker may take for a mail that it claims. When the worker dies, another takes the
/// mail after this. Far above [`mail::TIME_LIMIT`] and the time until a worker writes down what became of
/// a mail, together, so that no mail is sent by two.
pub const CLAIM: Duration = Duration::from_mins(2);

/// For how long a mail that cannot be sent is tried.
pub const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// How often a mail is tried at least before it is given up. In a day there are more tries, but a clock that is
/// set forward, and a service that is stopped meanwhile, let the day pass without: this many take four hours.
const LEAST_TRIES: u32 = 10;

/// The wait after the first failure; it doubles with each other one.
const FIRST_RETRY: Duration = Duration::from_mins(1);
/// The longest wait between two tries.
const LAST_RETRY: Duration = Duration::from_hours(1);

/// How often to look for mails that have fallen due, or that another instance was asked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The least time between two looks: in a flood, what comes meanwhile is one batch with one commit.
const REST: Duration = Duration::from_millis(50);

/// How many rows one look takes up at most, so that no other write waits long behind it.
const MOST_ROWS: u32 = 500;

/// How many mails are handed over at a time, each on a connection of its own; mail servers commonly
/// allow one client 20 or more.
const PLACES: u32 = 16;

/// How many of these are kept for the first mail of a network, so that one network whose mails are slow
/// does not take all.
const RESERVED_PLACES: u32 = 8;

/// How long after the last claim it is written down what became of the mails, unless other mails are
/// claimed sooner. Longer than most servers take for a mail, so that a mail to a known address is
/// settled at the same time as one to an unknown address. A crash before that sends mails again.
const SETTLE_AFTER: Duration = Duration::from_secs(5);

/// How often the mails that wait are counted.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// How many mails may wait in all: some 20 MB, which a worker has settled in a minute or two if most of
/// the addresses are made up. Counted once in a while, so a few more may come in between.
const MOST_OF_ALL: u32 = 100_000;

impl Auth {
    /// Sends mails as they are asked for and fall due, until `stopped` completes. Those that are being
    /// sent then are finished. Returns at once where no mail is set up.
    pub async fn deliver_until(&self, stopped: impl Future<Output = ()>) {
        let Some(mails) = &self.mails else {
            return;
        };
        let mut stopped = pin!(stopped);
        let mut delivery = Delivery::new(self, mails);
        loop {
            let more_may_wait = match delivery.look().await {
                Ok(count) => count > 0,
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "cannot look for mails to send");
                    false
                }
            };
            let woken = async {
                sleep(REST).await;
                if !more_may_wait {
                    delivery.wait().await;
                }
            };
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = woken => {}
            }
        }
        delivery.finish().await;
    }

    /// Takes up some of the mails that are due, sends them all at once, and returns how many there
    /// were. None are left when that is 0.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn deliver_due(&self) -> Result<u64> {
        let Some(mails) = &self.mails else {
            return Ok(0);
        };
        let mut delivery = Delivery::new(self, mails);
        let count = delivery.look().await?;
        delivery.finish().await;
        Ok(count)
    }

    /// Whether links go by mail, and owners are told of changes.
    pub fn sends_mails(&self) -> bool {
        self.mails.is_some()
    }

    /// Whether owners are to be told of logins from sources that are not familiar to them.
    pub(super) fn tells_of_logins(&self) -> bool {
        self.mails.is_some() && self.tells_of_logins
    }

    /// Has the worker look for mails now.
    pub(super) fn wake_mail_worker(&self) {
        if let Some(mails) = &self.mails {
            mails.asked.notify_one();
        }
    }

    /// Deletes the notes of mails whose pause is over. Returns how many.
    pub(super) async fn purge_mails(&self) -> Result<u64> {
        let now = self.clock.now();
        let latest_end = mail_pause(now).latest_end;
        Ok(self.db.outbox.purge(now, latest_end).await?)
    }

    /// Sends a mail, and says what is to be written down.
    async fn run(&self, mails: &MailSetup, claimed: &ClaimedMail) -> Settlement {
        let outcome = self.send(mails, claimed).await;
        let now = self.clock.now();
        let mail = claimed.kind.name();
        let to = claimed.email.masked();
        let done = claimed.done(now.after(MAIL_PAUSE));
        let count = |outcome| self.mail_counts.add((mail, outcome));
        match outcome {
            Ok(()) => {
                count(SENT);
                info!(mail, to, "mail sent");
                done
            }
            Err(error) if error.is_permanent() => {
                count(REFUSED);
                warn!(mail, to, error = %ErrorChain(&error), "mail refused, given up");
                done
            }
            Err(error)
                if claimed.asked_at.after(GIVE_UP_AFTER) <= now
                    && claimed.attempts >= LEAST_TRIES - 1 =>
            {
                count(GIVEN_UP);
                warn!(mail, to, error = %ErrorChain(&error), "mail not sent for a day, given up");
                done
            }
            Err(error) => {
                count(POSTPONED);
                let wait = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(claimed.attempts));
                let wait = wait.min(LAST_RETRY);
                let seconds = wait.as_secs();
                warn!(mail, to, seconds, error = %ErrorChain(&error), "mail not sent, tried again");
                claimed.postponed(now.after(wait))
            }
        }
    }

    async fn send(&self, mails: &MailSetup, claimed: &ClaimedMail) -> Result<(), mail::Error> {
        let now = self.clock.now();
        let message = self.message(&mails.site, claimed, now);
        mails.mailer.send(&claimed.email, &message, now).await
    }

    /// What a mail says that is sent now, when the token in it was issued.
    fn message(&self, site: &Site, claimed: &ClaimedMail, now: UnixTime) -> Message {
        let ClaimedMail {
            email, language, ..
        } = claimed;
        match &claimed.content {
            MailContent::ResetLink(token) => {
                let link = reset_link(Some(&site.public_url), email, token);
                let ends_at = now.after(self.lifetimes.reset_token);
                Message::reset_link(site, *language, email, link, ends_at)
            }
            MailContent::PasswordChanged => {
                Message::password_changed(site, *language, email, claimed.asked_at)
            }
            MailContent::SignUpLink(token) => {
                let link = sign_up_link(&site.public_url, email, token);
                let ends_at = now.after(SIGN_UP_TOKEN_LIFETIME);
                Message::sign_up_link(site, *language, email, link, ends_at)
            }
            MailContent::AccountExists => Message::account_exists(site, *language, email),
            MailContent::Login { client, source } => {
                let login = mail::Login {
                    at: claimed.asked_at,
                    client: client.as_ref(),
                    source: *source,
                };
                Message::login(site, *language, email, &login)
            }
            MailContent::AccountDeleted => {
                Message::account_deleted(site, *language, email, claimed.asked_at)
            }
            MailContent::AddressLink(token) => {
                let link = address_link(&site.public_url, token);
                let ends_at = now.after(EMAIL_TOKEN_LIFETIME);
                Message::address_link(site, *language, email, link, ends_at)
            }
            MailContent::AddressTaken => Message::address_taken(site, *language, email),
            MailContent::AddressChanged { token, changed_at } => {
                let link = undo_link(&site.public_url, email, token);
                let undo = undo_of(*changed_at);
                Message::address_changed(site, *language, email, link, undo)
            }
            MailContent::AddressTakenBack => {
                Message::address_taken_back(site, *language, email, claimed.asked_at)
            }
            MailContent::AddressChangeUndone => {
                Message::address_change_undone(site, *language, email, claimed.asked_at)
            }
            MailContent::AddressKept { changed_at } => {
                Message::address_kept(site, *language, email, undo_of(*changed_at))
            }
        }
    }
}

/// Until when a change of an address of this moment can be undone.
fn undo_of(changed_at: UnixTime) -> Undo {
    Undo {
        changed_at,
        ends_at: changed_at.after(UNDO_LIFETIME),
    }
}

/// What a worker has under way.
struct Delivery<'a> {
    auth: &'a Auth,
    mails: &'a Arc<MailSetup>,
    /// The mails that are being sent, at most [`PLACES`].
    under_way: JoinSet<Settlement>,
    /// What is still to be written down of those that were sent.
    settlements: Vec<Settlement>,
    /// When to write it down.
    settle_at: Option<Instant>,
    /// When the mails that wait were last counted.
    counted_at: Option<Instant>,
}

impl<'a> Delivery<'a> {
    fn new(auth: &'a Auth, mails: &'a Arc<MailSetup>) -> Self {
        Self {
            auth,
            mails,
            under_way: JoinSet::new(),
            settlements: Vec::new(),
            settle_at: None,
            counted_at: None,
        }
    }

    /// Takes up mails that are due, as far as there are places, and begins to send them; writes down
    /// what became of earlier ones, if it is time. Returns how many mails were taken up.
    async fn look(&mut self) -> Result<u64> {
        while let Some(ended) = self.under_way.try_join_next() {
            self.note(ended);
        }
        self.count().await?;
        let (db, tokens) = (&self.auth.db, &*self.auth.tokens);
        let now = self.auth.clock.now();
        let places = PLACES.saturating_sub(self.places_taken());
        let claim = MailClaim {
            id: tokens.uuid(),
            now,
            until: now.after(CLAIM),
            latest_due: now.after(LAST_RETRY + CLOCK_TOLERANCE),
            latest_asked: now.after(CLOCK_TOLERANCE),
            rows: MOST_ROWS,
            sent: places,
            sent_of_any_turn: places.saturating_sub(RESERVED_PLACES),
            given_up_after: now.before(UNDO_LIFETIME),
        };
        let claimed = db.outbox.claim(claim, &self.settlements, tokens).await?;
        if claimed.count == 0 {
            if self.settle_at.is_some_and(|at| at <= Instant::now()) {
                self.settle().await?;
                self.settle_at =
                    (!self.under_way.is_empty()).then(|| Instant::now() + SETTLE_AFTER);
            }
            return Ok(0);
        }
        // Written down with the claim.
        self.settlements.clear();
        self.settle_at = Some(Instant::now() + SETTLE_AFTER);
        let unsent = claimed.count - claimed.sent.len() as u64;
        if unsent > 0 {
            debug!(mails = unsent, "no mails: no user has the addresses");
            self.settlements
                .push(claimed.unsent_done(now.after(MAIL_PAUSE)));
        }
        for mail in claimed.sent {
            let (auth, mails) = (self.auth.clone(), Arc::clone(self.mails));
            self.under_way
                .spawn(async move { auth.run(&mails, &mail).await });
        }
        Ok(claimed.count)
    }

    /// Waits until there may be something to look for.
    async fn wait(&mut self) {
        // Mails to be sent may have been left where they were, for want of a place.
        let lacks_places = self.places_taken() >= PLACES - RESERVED_PLACES;
        let settle_at = self.settle_at;
        let time_to_settle = async {
            match settle_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let mut time_to_settle = pin!(time_to_settle);
        let mut time_to_look = pin!(sleep(LOOK_EVERY));
        loop {
            tokio::select! {
                () = self.mails.asked.notified() => return,
                () = &mut time_to_settle => return,
                () = &mut time_to_look => return,
                Some(ended) = self.under_way.join_next() => {
                    self.note(ended);
                    if lacks_places {
                        return;
                    }
                }
            }
        }
    }

    /// Waits for the mails that are being sent and writes down what became of each.
    async fn finish(mut self) {
        loop {
            if let Err(error) = self.settle().await {
                warn!(error = %ErrorChain(&error), "what became of mails is not noted, they may go twice");
            }
            let Some(ended) = self.under_way.join_next().await else {
                return;
            };
            self.note(ended);
            while let Some(ended) = self.under_way.try_join_next() {
                self.note(ended);
            }
        }
    }

    fn note(&mut self, ended: Result<Settlement, JoinError>) {
        match ended {
            Ok(settlement) => self.settlements.push(settlement),
            // It falls due again when the claim ends.
            Err(error) => warn!(%error, "the sending of a mail failed"),
        }
    }

    /// Writes down what became of mails.
    async fn settle(&mut self) -> Result<()> {
        if !self.settlements.is_empty() {
            self.auth.db.outbox.settle(&self.settlements).await?;
            self.settlements.clear();
        }
        Ok(())
    }

    /// Notes whether too many mails wait for others to be let in, once in a while.
    async fn count(&mut self) -> Result<()> {
        if self.counted_at.is_some_and(|at| at.elapsed() < COUNT_EVERY) {
            return Ok(());
        }
        let is_full = self.auth.db.outbox.are_waiting(MOST_OF_ALL).await?;
        self.counted_at = Some(Instant::now());
        let was_full = self.mails.is_full.swap(is_full, Ordering::Relaxed);
        if is_full && !was_full {
            warn!(
                mails = MOST_OF_ALL,
                "too many mails wait, no more are taken on"
            );
        }
        if was_full && !is_full {
            info!("mails are taken on again");
        }
        Ok(())
    }

    fn places_taken(&self) -> u32 {
        u32::try_from(self.under_way.len()).unwrap_or(u32::MAX)
    }
}
