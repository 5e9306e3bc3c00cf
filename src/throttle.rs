//! How often one may try: failed logins, sign-ups, requests for a reset.
//!
//! Every limit is a bucket of tokens for each whom it counts (see [`Rate`]), kept in the database,
//! so that it holds for all processes together and across restarts. A request takes its tokens
//! before any other work is done for it, and is refused if one is missing, in the same words and
//! headers whether or not the address is registered. Addresses count in their one spelling.
//!
//! **Logins** take a token of their source and one of the account. They take it before the password
//! is checked, so that many at once are not all let through, and get it back if they were not a wrong
//! guess. Nobody gets back what others used up: somebody with an account of their own cannot clear
//! the way for guessing at another's.
//!
//! **Nobody can be locked out of their account by others.** Whoever floods an account with wrong
//! passwords or reset requests empties the bucket that all strangers share. Its owner still has two
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
//! Only those who share a source with the one who floods may have to wait with them.
//!
//! The price is that an account can be guessed at once at its rate by strangers, and once by each
//! familiar source.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::clock::Clock;
use crate::db::{self, Bucket, Db, Period, Proof, Taken};
use crate::email::Email;
use crate::error_chain::ErrorChain;
use crate::source::Source;
use crate::user::User;

mod rate;

pub use rate::{InvalidRate, Rate};

/// For how long a source stays familiar to an account: as long as a session may last until its user
/// has to prove again who they are (NIST SP 800-63B, AAL1).
const FAMILIAR_FOR: Duration = Duration::from_hours(30 * 24);

/// How often each thing may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Failed logins to one address, registered or not: by all strangers together, and again by each
    /// familiar source.
    pub logins_per_account: Rate,
    /// Failed logins from one source, to whatever addresses.
    pub logins_per_source: Rate,
    /// Sign-ups from one source, whether or not they succeed.
    pub sign_ups_per_source: Rate,
    /// Reset requests for one address, registered or not: by all strangers together, and again by
    /// each familiar source.
    pub resets_per_address: Rate,
    /// Reset requests from one source, for whatever addresses.
    pub resets_per_source: Rate,
}

impl Limits {
    /// For clients on this machine. They all come from one source and may speak for everybody who
    /// uses them, so only accounts have limits, wide enough for thousands who log in to one at the
    /// same moment.
    #[must_use]
    pub const fn local() -> Self {
        Self {
            logins_per_account: Rate::per_hour(10_000),
            logins_per_source: Rate::OFF,
            sign_ups_per_source: Rate::OFF,
            resets_per_address: Rate::per_hour(1_000),
            resets_per_source: Rate::OFF,
        }
    }

    /// For the open internet.
    ///
    /// - 10 wrong passwords an hour to an account: more than a forgetful owner types. The 100 in a
    ///   row that NIST SP 800-63B, 3.2.2, sets as the most take nine hours, and a whole year has
    ///   fewer guesses than there are words in a dictionary.
    /// - 100 an hour from a source, behind which may be a whole office or school.
    /// - 30 sign-ups an hour from a source: a school class, and no more hashes than seconds.
    /// - 5 reset requests an hour for an address: each may be a mail to somebody.
    /// - 30 an hour from a source, behind which are fewer who forget than who mistype.
    #[must_use]
    pub const fn public() -> Self {
        Self {
            logins_per_account: Rate::per_hour(10),
            logins_per_source: Rate::per_hour(100),
            sign_ups_per_source: Rate::per_hour(30),
            resets_per_address: Rate::per_hour(5),
            resets_per_source: Rate::per_hour(30),
        }
    }

    fn rate(&self, limit: Limit) -> Rate {
        match limit {
            Limit::LoginsPerSource => self.logins_per_source,
            Limit::SignUpsPerSource => self.sign_ups_per_source,
            Limit::ResetsPerSource => self.resets_per_source,
            Limit::LoginsPerAccount => self.logins_per_account,
            Limit::ResetsPerAddress => self.resets_per_address,
        }
    }
}

/// What is limited. Declared in the order in which tokens are taken: those of the source first, so
/// that a source without any left takes none from an account.
#[derive(Clone, Copy, Debug)]
enum Limit {
    LoginsPerSource,
    SignUpsPerSource,
    ResetsPerSource,
    LoginsPerAccount,
    ResetsPerAddress,
}

impl Limit {
    const ALL: [Self; 5] = [
        Self::LoginsPerSource,
        Self::SignUpsPerSource,
        Self::ResetsPerSource,
        Self::LoginsPerAccount,
        Self::ResetsPerAddress,
    ];

    /// Part of the stored digests, so never changed.
    fn name(self) -> &'static str {
        match self {
            Self::LoginsPerSource => "logins per source",
            Self::SignUpsPerSource => "sign-ups per source",
            Self::ResetsPerSource => "resets per source",
            Self::LoginsPerAccount => "logins per account",
            Self::ResetsPerAddress => "resets per address",
        }
    }

    /// The bucket of a subject; `None` without limit.
    fn bucket(self, rate: Rate, subject: &[&str]) -> Option<Bucket> {
        let (tokens, refill) = rate.tokens()?;
        Some(Bucket {
            rank: self as u8,
            digest: digest(self.name(), subject),
            tokens,
            refill,
        })
    }
}

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
    /// Nobody knows how many there were, so none is let through.
    #[error(transparent)]
    Database(#[from] db::Error),
}

/// A login that was let through, with what it took.
#[must_use = "say how the login ended"]
#[derive(Debug)]
pub struct Attempt {
    buckets: Vec<Bucket>,
    source: Source,
}

/// Counts what happens, and says when it is too much. Clones count together.
#[derive(Clone)]
pub struct Throttle {
    db: Db,
    limits: Limits,
    clock: Arc<dyn Clock>,
}

impl Throttle {
    /// Counts in this database.
    #[must_use]
    pub fn new(db: Db, limits: Limits, clock: Arc<dyn Clock>) -> Self {
        Self { db, limits, clock }
    }

    /// Lets a login be tried. Counts as failed unless [`Throttle::succeeded`] or
    /// [`Throttle::undecided`] says otherwise, so that an attempt cannot be had for nothing by
    /// breaking off. Without an address it counts for the source alone, here and for reset requests.
    ///
    /// # Errors
    ///
    /// See [`Error`], here and for the other limits.
    pub async fn log_in(&self, email: Option<&Email>, source: Source) -> Result<Attempt, Error> {
        let of_source = self.bucket_of_source(Limit::LoginsPerSource, source);
        let of_account = self.bucket_of_address(Limit::LoginsPerAccount, email, source);
        let of_account = of_account.await?;
        Ok(Attempt {
            buckets: self.take([of_source, of_account]).await?,
            source,
        })
    }

    /// Lets somebody sign up.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn sign_up(&self, source: Source) -> Result<(), Error> {
        let of_source = self.bucket_of_source(Limit::SignUpsPerSource, source);
        self.take([of_source]).await?;
        Ok(())
    }

    /// Lets somebody ask for a reset.
    ///
    /// # Errors
    ///
    /// See [`Error`].
    pub async fn ask_reset(&self, email: Option<&Email>, source: Source) -> Result<(), Error> {
        let of_source = self.bucket_of_source(Limit::ResetsPerSource, source);
        let of_address = self.bucket_of_address(Limit::ResetsPerAddress, email, source);
        let of_address = of_address.await?;
        self.take([of_source, of_address]).await?;
        Ok(())
    }

    /// Notes that a login was no wrong guess, and that its source is now familiar to this user.
    pub async fn succeeded(&self, attempt: Attempt, user: &User) {
        let proof = self.proof(&user.email, attempt.source);
        self.settle(attempt.buckets, proof.map(|proof| (user, proof)))
            .await;
    }

    /// Notes that nobody can say whether a login would have been a wrong guess.
    pub async fn undecided(&self, attempt: Attempt) {
        self.settle(attempt.buckets, None).await;
    }

    /// What to remember when the owner of an address has proved now, from this source, that they are;
    /// `None` where it makes no difference that a source is familiar.
    #[must_use]
    pub fn proof(&self, email: &Email, source: Source) -> Option<Proof> {
        let limits = &self.limits;
        let matters =
            limits.logins_per_account != Rate::OFF || limits.resets_per_address != Rate::OFF;
        matters.then(|| Proof {
            digest: proof_digest(email, source),
            given_at: self.clock.now(),
        })
    }

    /// Deletes what says nothing any more: buckets that are full again, and sources that are no
    /// longer familiar. Returns how many.
    ///
    /// # Errors
    ///
    /// Only those of the database.
    pub async fn purge(&self) -> Result<u64, db::Error> {
        let now = self.clock.now();
        self.db.purge_throttles(now, now.before(FAMILIAR_FOR)).await
    }

    fn bucket_of_source(&self, limit: Limit, source: Source) -> Option<Bucket> {
        limit.bucket(self.limits.rate(limit), &[&source.to_string()])
    }

    /// The bucket of an address: one that its familiar source has for itself, or the one that all
    /// others share.
    async fn bucket_of_address(
        &self,
        limit: Limit,
        email: Option<&Email>,
        source: Source,
    ) -> Result<Option<Bucket>, db::Error> {
        let rate = self.limits.rate(limit);
        let Some(email) = email.filter(|_| rate != Rate::OFF) else {
            return Ok(None);
        };
        let given = Period::of_valid(self.clock.now(), FAMILIAR_FOR);
        let digest = proof_digest(email, source);
        let is_familiar = self.db.has_proof(digest, given).await?;
        Ok(if is_familiar {
            limit.bucket(rate, &[email.as_str(), &source.to_string()])
        } else {
            limit.bucket(rate, &[email.as_str()])
        })
    }

    /// Takes a token of each bucket, or none of any.
    async fn take<const N: usize>(
        &self,
        buckets: [Option<Bucket>; N],
    ) -> Result<Vec<Bucket>, Error> {
        let buckets: Vec<Bucket> = buckets.into_iter().flatten().collect();
        if buckets.is_empty() {
            return Ok(buckets);
        }
        let now = self.clock.now();
        match self.db.take_tokens(buckets.clone(), now).await? {
            Taken::All => Ok(buckets),
            Taken::None { rank, retry_after } => {
                let limit = Limit::ALL[usize::from(rank)].name();
                Err(Error::TooMany { limit, retry_after })
            }
        }
    }

    /// Gives tokens back and remembers a proof. Who has the right to an answer gets it, whether or
    /// not this can be written down.
    async fn settle(&self, buckets: Vec<Bucket>, proof: Option<(&User, Proof)>) {
        if buckets.is_empty() && proof.is_none() {
            return;
        }
        if let Err(error) = self.db.give_tokens_back(buckets, proof).await {
            warn!(error = %ErrorChain(&error), "cannot note how an attempt ended");
        }
    }
}

/// What is stored of the fact that a source is familiar to an account.
fn proof_digest(email: &Email, source: Source) -> [u8; 32] {
    digest("familiar source", &[email.as_str(), &source.to_string()])
}

/// The SHA-256 of texts that contain no NUL, each ended by one.
fn digest(kind: &str, subject: &[&str]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for text in [&[kind], subject].concat() {
        digest.update(text);
        digest.update([0]);
    }
    digest.finalize().into()
}
