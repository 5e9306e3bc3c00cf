//! How often one may try: failed logins, sign-ups, requests for a reset.
//!
//! Every limit is a bucket of tokens for each whom it counts (see [`Rate`]), kept in the database,
//! so that it holds for all processes together and across restarts. A request takes its tokens
//! before any other work is done for it, and is refused if one is missing, in the same words and
//! headers whether or not the address is registered. Addresses count in their one spelling.
//!
//! What counts for a source counts for its network too, in a bucket that is four times as large: one
//! customer of a provider may have 65,536 sources.
//!
//! **Logins** take a token of their source, their network and the account, and two more, of the source
//! and the network, that count those which succeed. They take them before the password is checked, so
//! that many at once are not all let through. A wrong guess gets the latter back, a login that succeeds
//! the former, so that what others used up stays used up: an account of one's own does not clear the
//! way for guessing at another's.
//!
//! **Strangers cannot lock an owner out.** A flood of wrong passwords or
//! reset requests for an account empties the bucket that all strangers share. Its owner still has two
//! ways in:
//!
//! - From where they proved, within the last 30 days, that the account is theirs. Such a source is
//!   *familiar* to the account, and takes from a bucket that the two have for themselves. A sign-up
//!   proves it, a login, and a reset; a reset ends what was proved by the old password. The 20 newest
//!   are kept.
//! - From anywhere else, by a reset. The flood cannot stop that: a source that is not flooding has
//!   tokens of its own, and if strangers have used up the reset requests of the address, then the
//!   newest mail that they caused is in the owner's hands. The reset makes the source familiar.
//!
//! Nor can they keep anyone from signing up: if they have used up the requests for the address, then the
//! newest mail that they caused is in its owner's hands.
//!
//! Only those who share a source with the one who floods may have to wait with them, and those who
//! share a network unless their source is familiar. A familiar source takes no token of wrong guesses
//! or of reset requests from its network.
//!
//! **The whole** has no limit, which would be a way to shut everyone out. Failed logins and sign-ups
//! above a threshold are told of in the log (see `rate_limit/threshold.rs`).
//!
//! The price is that an account can be guessed at once at its rate by strangers, and once by each
//! familiar source.

use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::clock::Clock;
use crate::db::{self, Db, LoginNotice, Outcome, Period, Proof, TokenBucket};
use crate::email::Email;
use crate::error_chain::ErrorChain;
use crate::source::Source;
use crate::user::{User, UserId};

mod limits;
mod rate;
mod threshold;

pub use limits::RateLimits;
pub use rate::{InvalidRate, Rate};

use limits::{Limit, digest};
use threshold::Threshold;

/// For how long a source stays familiar to an account: as long as a session may last until its user
/// has to prove again who they are (NIST SP 800-63B, AAL1).
const FAMILIAR_FOR: Duration = Duration::from_hours(30 * 24);

/// Why a request is not let through.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many before it.
    #[error("too many attempts: {limit}")]
    TooMany {
        /// The limit that they reached, in words for the log. Not for clients: it may say that a
        /// source is familiar to an account.
        limit: &'static str,
        /// When there is a token again.
        retry_after: Duration,
    },
    /// It is not known how many there were, so none is let through.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// A login that was let through, with what it took.
#[must_use = "say how the login ended"]
#[derive(Debug)]
pub struct Attempt {
    /// Given back unless it was a wrong guess.
    of_guess: Vec<TokenBucket>,
    /// Given back unless it succeeds.
    of_success: Vec<TokenBucket>,
    source: Source,
    is_familiar: bool,
}

impl Attempt {
    /// Whether the source is familiar to the account.
    pub fn is_familiar(&self) -> bool {
        self.is_familiar
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }
}

/// Counts what happens, and says when it is too much. Clones count together.
#[derive(Clone)]
pub struct RateLimiter {
    db: Db,
    limits: RateLimits,
    clock: Arc<dyn Clock>,
    whole: Arc<Whole>,
}

/// What is counted of the whole service, in this process.
struct Whole {
    failed_logins: Threshold,
    sign_ups: Threshold,
}

impl RateLimiter {
    /// Counts in this database.
    pub fn new(db: Db, limits: RateLimits, clock: Arc<dyn Clock>) -> Self {
        Self {
            db,
            limits,
            clock,
            whole: Arc::new(Whole {
                failed_logins: Threshold::of("failed logins"),
                sign_ups: Threshold::of("sign-ups"),
            }),
        }
    }

    /// Lets a login be tried. Counts as both failed and succeeded until [`RateLimiter::succeeded`],
    /// [`RateLimiter::failed`] or [`RateLimiter::undecided`] says how it ended, so that an attempt cannot be
    /// had for nothing by breaking off. Without an address it counts for the source alone, here and for reset
    /// requests.
    ///
    /// # Errors
    ///
    /// See [`Error`], here and for the other limits.
    pub async fn log_in(&self, email: Option<&Email>, source: Source) -> Result<Attempt, Error> {
        let is_familiar = self.is_familiar(email, source).await?;
        let of_guess = [
            self.bucket_of_source(Limit::LoginsPerSource, source),
            self.bucket_of_network(Limit::LoginsPerNetwork, source)
                .filter(|_| !is_familiar),
            self.bucket_of_address(Limit::LoginsPerAccount, email, source, is_familiar),
        ];
        let of_success = [
            self.bucket_of_source(Limit::SuccessfulLoginsPerSource, source),
            self.bucket_of_network(Limit::SuccessfulLoginsPerNetwork, source)
                .filter(|_| !is_familiar),
        ];
        let of_guess: Vec<TokenBucket> = of_guess.into_iter().flatten().collect();
        let of_success: Vec<TokenBucket> = of_success.into_iter().flatten().collect();
        self.take([&of_guess[..], &of_success].concat()).await?;
        Ok(Attempt {
            of_guess,
            of_success,
            source,
            is_familiar,
        })
    }

    /// Takes the tokens of a sign-up.
    pub async fn sign_up(&self, source: Source) -> Result<(), Error> {
        let buckets = [
            self.bucket_of_source(Limit::SignUpsPerSource, source),
            self.bucket_of_network(Limit::SignUpsPerNetwork, source),
        ];
        self.take(buckets.into_iter().flatten().collect()).await?;
        self.whole.sign_ups.count(self.clock.now());
        Ok(())
    }

    /// Takes the tokens of a request to sign up by a token, which may be a mail.
    pub async fn ask_sign_up(&self, email: &Email, source: Source) -> Result<(), Error> {
        let buckets = [
            self.bucket_of_source(Limit::SignUpsPerSource, source),
            self.bucket_of_network(Limit::SignUpsPerNetwork, source),
            self.bucket_of_address(Limit::SignUpsPerAddress, Some(email), source, false),
        ];
        self.take(buckets.into_iter().flatten().collect()).await?;
        self.whole.sign_ups.count(self.clock.now());
        Ok(())
    }

    /// Takes the tokens of a reset request.
    pub async fn ask_reset(&self, email: Option<&Email>, source: Source) -> Result<(), Error> {
        let is_familiar = self.is_familiar(email, source).await?;
        let buckets = [
            self.bucket_of_source(Limit::ResetsPerSource, source),
            self.bucket_of_network(Limit::ResetsPerNetwork, source)
                .filter(|_| !is_familiar),
            self.bucket_of_address(Limit::ResetsPerAddress, email, source, is_familiar),
        ];
        self.take(buckets.into_iter().flatten().collect()).await
    }

    /// Takes the tokens of a request to change the address of an account, which may be a mail to a stranger.
    ///
    /// The address to be has no bucket: a stranger who asks for it again and again would keep its owner from
    /// moving there. What reaches a mailbox is bounded by the pause between mails to it.
    pub async fn ask_address_change(&self, user: UserId, source: Source) -> Result<(), Error> {
        let limit = Limit::AddressChangesPerAccount;
        let buckets = [
            self.bucket_of_source(Limit::AddressChangesPerSource, source),
            self.bucket_of_network(Limit::AddressChangesPerNetwork, source),
            limit.bucket(self.limits.rate(limit), &[&user.0.to_string()]),
        ];
        self.take(buckets.into_iter().flatten().collect()).await
    }

    /// Notes that a login was no wrong guess, and that its source is now familiar to this user, who is told
    /// by the notice that it was not.
    pub async fn succeeded(&self, attempt: Attempt, user: &User, notice: Option<LoginNotice>) {
        let proof = self.proof(&user.email, attempt.source);
        let proof = proof.map(|proof| (user, proof));
        self.settle(attempt.of_guess, proof, notice).await;
    }

    /// Notes that a login was no wrong guess, and is refused all the same.
    pub async fn refused(&self, attempt: Attempt) {
        self.settle(attempt.of_guess, None, None).await;
    }

    /// Notes that a login was a wrong guess.
    pub async fn failed(&self, attempt: Attempt) {
        self.whole.failed_logins.count(self.clock.now());
        self.settle(attempt.of_success, None, None).await;
    }

    /// Notes that it is not known whether a login would have been a wrong guess.
    pub async fn undecided(&self, attempt: Attempt) {
        let buckets = [attempt.of_guess, attempt.of_success].concat();
        self.settle(buckets, None, None).await;
    }

    /// What to remember when the owner of an address has proved now, from this source, that they are;
    /// `None` where it makes no difference that a source is familiar.
    pub fn proof(&self, email: &Email, source: Source) -> Option<Proof> {
        self.limits.know_sources().then(|| Proof {
            digest: proof_digest(email, source),
            given_at: self.clock.now(),
        })
    }

    /// Whether it is known which sources are familiar to an account.
    pub fn knows_sources(&self) -> bool {
        self.limits.know_sources()
    }

    /// Deletes what says nothing any more: buckets that are full again, and sources that are no
    /// longer familiar. Returns how many. Looks too whether what happened too often has calmed down.
    ///
    /// # Errors
    ///
    /// Only those of the database.
    pub async fn purge(&self) -> Result<u64, db::Error> {
        let now = self.clock.now();
        self.whole.failed_logins.look(now);
        self.whole.sign_ups.look(now);
        self.db
            .rate_limits
            .purge(now, now.before(FAMILIAR_FOR))
            .await
    }

    fn bucket_of_source(&self, limit: Limit, source: Source) -> Option<TokenBucket> {
        limit.bucket(self.limits.rate(limit), &[&source.to_string()])
    }

    fn bucket_of_network(&self, limit: Limit, source: Source) -> Option<TokenBucket> {
        limit.bucket(self.limits.rate(limit), &[&source.network().to_string()])
    }

    /// The bucket of an address: one that its familiar source has for itself, or the one that all
    /// others share.
    fn bucket_of_address(
        &self,
        limit: Limit,
        email: Option<&Email>,
        source: Source,
        is_familiar: bool,
    ) -> Option<TokenBucket> {
        let (rate, email) = (self.limits.rate(limit), email?.as_str());
        if is_familiar {
            limit.bucket(rate, &[email, &source.to_string()])
        } else {
            limit.bucket(rate, &[email])
        }
    }

    /// Whether a source is familiar to the account of an address.
    pub async fn is_familiar(
        &self,
        email: Option<&Email>,
        source: Source,
    ) -> Result<bool, db::Error> {
        let Some(email) = email.filter(|_| self.limits.know_sources()) else {
            return Ok(false);
        };
        let given = Period::of_valid(self.clock.now(), FAMILIAR_FOR);
        self.db
            .rate_limits
            .has_proof(proof_digest(email, source), given)
            .await
    }

    /// Takes a token of each bucket, or none of any.
    async fn take(&self, buckets: Vec<TokenBucket>) -> Result<(), Error> {
        if buckets.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        match self.db.rate_limits.take_tokens(buckets, now).await? {
            Outcome::Taken => Ok(()),
            Outcome::Refused { rank, retry_after } => {
                let limit = Limit::ALL[usize::from(rank)].name();
                Err(Error::TooMany { limit, retry_after })
            }
        }
    }

    /// Gives tokens back and remembers a proof, with the news of it. Who has the right to an answer gets it,
    /// whether or not this can be written down.
    async fn settle(
        &self,
        buckets: Vec<TokenBucket>,
        proof: Option<(&User, Proof)>,
        notice: Option<LoginNotice>,
    ) {
        if buckets.is_empty() && proof.is_none() {
            return;
        }
        let refund = self.db.rate_limits.refund_tokens(buckets, proof, notice);
        if let Err(error) = refund.await {
            warn!(error = %ErrorChain(&error), "cannot note how an attempt ended");
        }
    }
}

/// The names of all limits, as they are in [`Error::TooMany`].
pub(super) fn limit_names() -> [&'static str; Limit::ALL.len()] {
    Limit::ALL.map(Limit::name)
}

/// What is stored of the fact that a source is familiar to an account.
fn proof_digest(email: &Email, source: Source) -> [u8; 32] {
    digest("familiar source", &[email.as_str(), &source.to_string()])
}
