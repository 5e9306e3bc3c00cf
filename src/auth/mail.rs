//! Which mails users get, and when. A request only records that one is asked for; a worker finds out
//! whose the address is, makes the token and sends. So nobody learns from an answer, or from how long
//! it takes, who has an account or how the mail server is.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use super::audit::Event;
use super::{Auth, Result, unless_throttled};
use crate::db::{self, Change, ClaimedMail, MailKind, Settlement};
use crate::email::Email;
use crate::error_chain::ErrorChain;
use crate::mail::{self, Letter, Mailer};
use crate::public_url::PublicUrl;
use crate::source::Source;
use crate::token::ResetToken;
use crate::user::User;

/// At most one reset link in this time goes to an address, however often it is asked for: nobody's
/// mailbox can be flooded through us.
pub const MAIL_PAUSE: Duration = Duration::from_mins(5);

/// For how long a mail that cannot be sent is tried.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// How long a worker may take for the mails that it claims. When it dies over them, others take them
/// after this. Far above [`mail::TIME_LIMIT`], so that no mail is sent by two.
const CLAIM: Duration = Duration::from_mins(2);

/// The wait after the first failure; it doubles with each other one.
const FIRST_RETRY: Duration = Duration::from_mins(1);
/// The longest wait between two tries.
const LAST_RETRY: Duration = Duration::from_hours(1);

/// How often to look for mails that have fallen due, or that another instance was asked for.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// What it takes to write to users.
pub(super) struct Post {
    mailer: Mailer,
    public_url: PublicUrl,
    asked: Notify,
}

/// What somebody gets who asks for a password reset.
#[derive(Debug)]
pub enum Reset {
    /// The token itself.
    Token(ResetToken),
    /// A mail to the address, if it is anybody's; who asks does not learn whether.
    ByMail,
}

/// Why a mail was not sent.
#[derive(Debug, thiserror::Error)]
enum NotSent {
    #[error(transparent)]
    Mail(#[from] mail::Error),
    #[error(transparent)]
    Db(#[from] db::Error),
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
    /// [`Throttled`](super::Error::Throttled), and [`UnknownEmail`](super::Error::UnknownEmail), but
    /// that never where mail is set up.
    pub async fn ask_for_reset(&self, email: Option<&Email>, source: Source) -> Result<Reset> {
        let let_in = self.throttle.ask_reset(email, source).await;
        unless_throttled(let_in, source)?;
        let Some(post) = &self.post else {
            let token = self.get_reset_password_token(email, source).await?;
            return Ok(Reset::Token(token));
        };
        Event::ResetAsked.log(source, None);
        if let Some(email) = email {
            let now = self.clock.now();
            self.db
                .ask_for_mail(MailKind::ResetLink, email, now, now.after(MAIL_PAUSE))
                .await?;
            post.asked.notify_one();
        }
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

    /// Sends mails as they are asked for and fall due, until `stopped` completes. Those that are being
    /// sent then are finished. Returns at once where no mail is set up.
    pub async fn deliver_until(&self, stopped: impl Future<Output = ()>) {
        let Some(post) = &self.post else {
            return;
        };
        let mut stopped = pin!(stopped);
        loop {
            let more_may_wait = match self.deliver_due().await {
                Ok(mails) => mails > 0,
                Err(error) => {
                    warn!(error = %ErrorChain(&error), "cannot look for mails to send");
                    false
                }
            };
            let woken = async {
                if !more_may_wait {
                    tokio::select! {
                        () = post.asked.notified() => {}
                        () = sleep(LOOK_EVERY) => {}
                    }
                }
            };
            tokio::select! {
                biased;
                () = &mut stopped => return,
                () = woken => {}
            }
        }
    }

    /// Sends some of the mails that are due, all at once, and returns how many there were. None are
    /// left when that is 0.
    ///
    /// # Errors
    ///
    /// Only that the database does not answer.
    pub async fn deliver_due(&self) -> Result<usize> {
        if self.post.is_none() {
            return Ok(0);
        }
        let now = self.clock.now();
        let claimed_mails = self
            .db
            .claim_mails(self.tokens.uuid(), now, now.after(CLAIM))
            .await?;
        let count = claimed_mails.len();
        let mut sendings = JoinSet::new();
        for claimed in claimed_mails {
            let auth = self.clone();
            sendings.spawn(async move { auth.run(&claimed).await });
        }
        sendings.join_all().await;
        Ok(count)
    }

    /// Sends a mail and writes down what came of it.
    async fn run(&self, claimed: &ClaimedMail) {
        let outcome = self.send(claimed).await;
        let now = self.clock.now();
        let mail = claimed.kind.name();
        let to = claimed.email.masked();
        let done = Settlement::Done {
            quiet_until: now.after(MAIL_PAUSE),
        };
        let settlement = match outcome {
            Ok(true) => {
                info!(mail, to, "mail sent");
                done
            }
            Ok(false) => {
                debug!(mail, to, "no mail: the address is nobody's");
                done
            }
            Err(error) if error.is_permanent() => {
                warn!(mail, to, error = %ErrorChain(&error), "mail refused, given up");
                done
            }
            Err(error) if claimed.asked_at.after(GIVE_UP_AFTER) <= now => {
                warn!(mail, to, error = %ErrorChain(&error), "mail not sent for a day, given up");
                done
            }
            Err(error) => {
                let wait = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(claimed.attempts));
                let wait = wait.min(LAST_RETRY);
                let seconds = wait.as_secs();
                warn!(mail, to, seconds, error = %ErrorChain(&error), "mail not sent, tried again");
                Settlement::Postponed {
                    due_at: now.after(wait),
                }
            }
        };
        match self.db.settle_mail(claimed, settlement).await {
            Ok(true) => {}
            Ok(false) => debug!(mail, to, "the mail was asked for anew meanwhile"),
            Err(error) => {
                warn!(mail, to, error = %ErrorChain(&error), "what came of a mail is not noted, it may go twice");
            }
        }
    }

    /// Sends a mail; false if the address is nobody's.
    async fn send(&self, claimed: &ClaimedMail) -> Result<bool, NotSent> {
        let Some(post) = &self.post else {
            return Ok(false);
        };
        let Some(user) = self.db.find_user_by_email(&claimed.email).await? else {
            return Ok(false);
        };
        let now = self.clock.now();
        let letter = match claimed.kind {
            MailKind::PasswordChanged => {
                Letter::password_changed(&post.public_url, &user.email, claimed.asked_at)
            }
            MailKind::ResetLink => {
                // Made only now, so that a plain token is nowhere but in the mail, and lives its
                // whole life in the mailbox.
                let token = ResetToken::new(&*self.tokens);
                let change = Change::ResetToken(token.digest(), now);
                if !self.db.update_user(&user, change).await? {
                    return Ok(false);
                }
                self.reset_link(post, &user, &token)
            }
        };
        post.mailer.send(&user.email, &letter, now).await?;
        Ok(true)
    }

    fn reset_link(&self, post: &Post, user: &User, token: &ResetToken) -> Letter {
        let token = token.reveal();
        let query = [("email", user.email.as_str()), ("reset_token", &token)];
        let link = post.public_url.link("/reset_password", &query);
        let ends_at = self.clock.now().after(self.lifetimes.reset_token);
        Letter::reset_link(&post.public_url, &user.email, link, ends_at)
    }
}

impl NotSent {
    fn is_permanent(&self) -> bool {
        match self {
            Self::Mail(error) => error.is_permanent(),
            Self::Db(_) => false,
        }
    }
}
