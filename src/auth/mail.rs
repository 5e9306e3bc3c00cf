//! Which mails users get. A request only records that one is asked for; a worker finds out whose the
//! address is, issues the token and sends (`delivery`). So nobody learns from an
//! answer, or from how long it takes, who has an account or how the mail server is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::audit::{self, Event};
use super::{Auth, Error, Result, unless_throttled};
use crate::clock::{CLOCK_TOLERANCE, UnixTime};
use crate::db::{MailKind, MailRequest, MailRequestOutcome};
use crate::email::Email;
use crate::mail::Mailer;
use crate::public_url::PublicUrl;
use crate::source::Source;
use crate::token::ResetToken;

/// At most one reset link in this time goes to an address, however often it is asked for: nobody's
/// mailbox can be flooded through us.
pub const MAIL_PAUSE: Duration = Duration::from_mins(5);

/// How long a worker may take for a mail that it claims. When it dies over it, others take it after
/// this. Far above [`mail::TIME_LIMIT`](crate::mail::TIME_LIMIT) and the time until a worker writes down
/// what became of a mail, together, so that no mail is sent by two.
pub(super) const CLAIM: Duration = Duration::from_mins(2);

/// When to ask again if too many mails wait. What keeps them is seldom over sooner.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How many mails may wait that were asked for from one network, to known and unknown addresses. More
/// than a large company asks for before a worker has taken them up, which is a matter of seconds unless
/// the mail server is away.
const MOST_OF_NETWORK: u32 = 1_000;

/// How many mails may wait in all: some 20 MB, which a worker has settled in a minute or two if most of
/// the addresses are made up. Counted once in a while, so a few more may come in between.
pub(super) const MOST_OF_ALL: u32 = 100_000;

/// What it takes to write to users.
pub(super) struct Post {
    pub(super) mailer: Mailer,
    pub(super) public_url: PublicUrl,
    pub(super) asked: Notify,
    /// Whether [`MOST_OF_ALL`] mails waited when they were last counted.
    pub(super) is_full: AtomicBool,
}

/// What somebody gets who asks for a password reset.
#[derive(Debug)]
pub enum Reset {
    /// The token itself.
    Token(ResetToken),
    /// A mail to the address, if it is anybody's; who asks does not learn whether.
    ByMail,
}

impl Auth {
    /// Gives reset tokens to nobody but the owner of the address, by mail, and tells owners when
    /// their password was changed. Links in mails begin with `public_url`, whatever a request says.
    /// Without this, tokens go to whoever asks, and nobody is told.
    ///
    /// The mails leave while [`Self::deliver_until`] runs.
    #[must_use]
    pub fn with_mail(self, mailer: Mailer, public_url: PublicUrl) -> Self {
        let post = Post {
            mailer,
            public_url,
            asked: Notify::new(),
            is_full: AtomicBool::new(false),
        };
        Self {
            post: Some(post.into()),
            ..self
        }
    }

    /// Lets the owner of this address choose a new password: with mail set up, by mail; else by the
    /// token that is returned. The address is `None` if what was given is not one, and so is no user's.
    ///
    /// # Errors
    ///
    /// [`Throttled`](Error::Throttled), also when too many mails wait, whatever the address; and
    /// [`UnknownEmail`](Error::UnknownEmail), but that never where mail is set up.
    pub async fn ask_for_reset(&self, email: Option<&Email>, source: Source) -> Result<Reset> {
        let let_in = self.throttle.ask_reset(email, source).await;
        unless_throttled(let_in, source)?;
        let Some(post) = &self.post else {
            let token = self.get_reset_password_token(email, source).await?;
            return Ok(Reset::Token(token));
        };
        // A mail that is promised is sent, so what cannot be recorded is refused and not promised.
        if post.is_full.load(Ordering::Relaxed) {
            return Err(too_many_wait(source, "mails waiting in all"));
        }
        if let Some(email) = email {
            let now = self.clock.now();
            let request = MailRequest {
                kind: MailKind::ResetLink,
                email,
                network: source.network(),
                now,
                quiet_until: now.after(MAIL_PAUSE),
                latest_quiet_until: self.latest_quiet_until(),
                latest_claim: now.after(CLAIM + CLOCK_TOLERANCE),
                most_of_network: MOST_OF_NETWORK,
            };
            if self.db.outbox.ask(request).await? == MailRequestOutcome::TooManyWait {
                return Err(too_many_wait(source, "mails waiting of one network"));
            }
            post.asked.notify_one();
        }
        Event::ResetAsked.log(source, None);
        Ok(Reset::ByMail)
    }

    /// Whether owners are to be told of a change.
    pub(super) fn tells_owners(&self) -> bool {
        self.post.is_some()
    }

    /// Has the worker look for mails now.
    pub(super) fn wake_worker(&self) {
        if let Some(post) = &self.post {
            post.asked.notify_one();
        }
    }

    /// Deletes the notes of mails whose pause is over. Returns how many.
    pub(super) async fn purge_mails(&self) -> Result<u64> {
        let now = self.clock.now();
        Ok(self.db.outbox.purge(now, self.latest_quiet_until()).await?)
    }

    /// A pause that ends later than this was recorded while a clock was wrong.
    fn latest_quiet_until(&self) -> UnixTime {
        self.clock.now().after(MAIL_PAUSE + CLOCK_TOLERANCE)
    }
}

/// Refuses a request because of the mails that wait, and writes that down.
fn too_many_wait(source: Source, limit: &'static str) -> Error {
    audit::throttled(source, limit, FULL_RETRY_AFTER);
    Error::Throttled {
        retry_after: FULL_RETRY_AFTER,
    }
}
