//! How passwords are hashed and checked: by bcrypt.
//!
//! bcrypt costs a quarter of a second on purpose, so it never runs on the threads that serve
//! requests. A few threads of the lowest priority, one a core, hash what waits, several passwords at
//! once (`interleaved`), those who ask in turn (`schedule`); what would wait too long is
//! refused at once (`queue`).
//!
//! Users who were brought along from another system have hashes by other functions (`foreign`) until
//! their next login. What a stored text is, `stored` says; what it may take, `bounds`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use zeroize::Zeroizing;

use super::received::Password;
use crate::metrics::{HashMetrics, Histogram};
use crate::user::HashedPassword;

mod blowfish_tables;
mod bounds;
mod cost;
mod crypt_format;
mod foreign;
mod interleaved;
mod job;
mod queue;
mod schedule;
mod stored;

pub use bounds::UnusableHash;
pub use cost::Cost;
pub use job::Asker;
pub use stored::HashKind;

use crypt_format::BcryptHash;
use foreign::ForeignHash;
use interleaved::{Input, Output};
use queue::{NotHashed, Queue};
use stored::StoredHash;

/// How much of a password bcrypt reads, in bytes. It ignores what comes after, and an ignored ending
/// would let two passwords open one account.
const BCRYPT_BYTES: usize = 72;

/// The key of the HMAC that stands for a longer password. It is no secret and never changes.
///
/// For a password of more than 72 bytes, bcrypt gets the 64 letters of
/// `base64(HMAC-SHA-384(key, password))` (RFC 4648, 4; OWASP's Password Storage Cheat Sheet, "Pre-Hashing
/// Passwords with bcrypt"). Shorter ones it gets as they are, so their hashes can be moved between this
/// and any other service; those of longer ones with this scheme:
///
/// ```python
/// mac = hmac.digest(b"bienvenue: a password of more than 72 bytes", password, "sha384")
/// bcrypt.checkpw(base64.b64encode(mac) if len(password) > 72 else password, hashed_password)
/// ```
///
/// These 64 letters, typed as a password, open the account too. That is of no use: they can only be
/// made from the password itself, and since the key is of this service alone, no digest that leaked
/// elsewhere is one of them.
const LONG_PASSWORD_KEY: &[u8] = b"bienvenue: a password of more than 72 bytes";

/// What bcrypt gets of a password: at most 72 bytes, none of them NUL. See [`LONG_PASSWORD_KEY`].
fn bcrypt_bytes(password: &Password) -> Zeroizing<Vec<u8>> {
    let password = password.as_str().as_bytes();
    if password.len() <= BCRYPT_BYTES {
        return Zeroizing::new(password.to_vec());
    }
    let mac = KeyInit::new_from_slice(LONG_PASSWORD_KEY).map(|mac: Hmac<Sha384>| {
        let mac = mac.chain_update(password).finalize().into_bytes();
        BASE64_STANDARD.encode(mac).into_bytes()
    });
    Zeroizing::new(mac.expect("a key of any length"))
}

/// What came of checking a password.
#[derive(Debug)]
pub enum Verdict {
    /// It is not the password, or there is no hash.
    Wrong,
    /// There is a hash that no password can be checked against, for this reason.
    Unusable(UnusableHash),
    /// It is the password.
    Right {
        /// The same password hashed by bcrypt at today's cost; `None` if the stored hash is that already.
        stronger: Option<HashedPassword>,
    },
}

/// Why there is no hash or no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// More is waiting to be hashed than can be done in the time that one may wait.
    #[error("too many passwords wait to be hashed")]
    Busy {
        /// When that will be done.
        retry_after: Duration,
    },
    /// The operating system has no random numbers for a salt.
    #[error("no random numbers for a salt")]
    NoSalt(#[from] getrandom::Error),
    /// The hashing thread went down.
    #[error("the hashing thread went down")]
    Thread,
}

impl From<NotHashed> for Error {
    fn from(reason: NotHashed) -> Self {
        match reason {
            NotHashed::Busy { retry_after } => Self::Busy { retry_after },
            NotHashed::Gone => Self::Thread,
        }
    }
}

/// Hashes and checks passwords, away from the threads that serve. Clones share their threads.
#[derive(Clone)]
pub struct Passwords {
    cost: Cost,
    queue: Arc<Queue>,
    rounds: Arc<AtomicU64>,
    metrics: Arc<HashMetrics>,
}

impl Passwords {
    /// Hashes at `cost`. Who would wait longer than `login_wait` is refused.
    pub fn new(cost: Cost, login_wait: Duration) -> Self {
        Self {
            cost,
            queue: Arc::new(Queue::start(login_wait)),
            rounds: Arc::default(),
            metrics: Arc::default(),
        }
    }

    /// How long hashing took, and how often it was refused.
    pub fn metrics(&self) -> &HashMetrics {
        &self.metrics
    }

    /// How many passwords wait for their turn.
    pub fn waiting(&self) -> usize {
        self.queue.waiting()
    }

    /// The bcrypt rounds spent since the start: what shows, without a stopwatch, that two
    /// requests cost the same.
    pub fn rounds_spent(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Whether a password could be hashed or checked in time for this asker.
    pub fn has_room(&self, asker: impl Into<Asker>) -> bool {
        self.queue.ensure_room(asker, self.cost).is_ok()
    }

    /// Says at once, before any other work, if a password could not be hashed or checked in time
    /// for this asker.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`].
    pub fn ensure_room(&self, asker: impl Into<Asker>) -> Result<(), Error> {
        let room = self.queue.ensure_room(asker, self.cost);
        room.map_err(Error::from)
            .inspect_err(|error| self.count_refusal(error))
    }

    /// Hashes a password at today's cost, as `$2b$`.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], and whatever keeps bcrypt from running.
    pub async fn hash(
        &self,
        password: &Password,
        asker: impl Into<Asker>,
    ) -> Result<HashedPassword, Error> {
        let hash = self.hash_by_bcrypt(password, asker.into());
        self.measure(&self.metrics.hash, hash).await
    }

    /// Checks a password against a stored hash.
    ///
    /// Without one, with an unusable one and with one of bcrypt at a lower cost, it is one job of the same
    /// work: one bcrypt at today's cost, right or wrong. So the time of an answer does not tell whether an
    /// account exists (CWE-208). One at a higher cost, left from when today's cost was that, takes longer.
    ///
    /// With a hash of another function, that one bcrypt is made too, and another thread checks the hash
    /// meanwhile. So the answer comes as late as without an account if two threads are free and the check
    /// is the shorter of the two. Beside cost 12, the checks of hashes that Werkzeug, Django and
    /// argon2-cffi make by default take from half as long to just as long. Where the check is longer, the
    /// answer comes later, until the first login.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], and whatever keeps bcrypt from running.
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&HashedPassword>,
        asker: impl Into<Asker>,
    ) -> Result<Verdict, Error> {
        let verdict = self.verify_any(password, stored, asker.into());
        self.measure(&self.metrics.verify, verdict).await
    }

    async fn verify_any(
        &self,
        password: &Password,
        stored: Option<&HashedPassword>,
        asker: Asker,
    ) -> Result<Verdict, Error> {
        match stored.map(|stored| stored.as_str().parse()) {
            Some(Ok(StoredHash::Bcrypt(stored))) => {
                self.verify_bcrypt(password, &stored, asker).await
            }
            Some(Ok(StoredHash::Foreign(stored))) => {
                self.verify_foreign(password, stored, asker).await
            }
            Some(Err(reason)) => {
                self.spend_a_check(password, asker).await?;
                Ok(Verdict::Unusable(reason))
            }
            None => {
                self.spend_a_check(password, asker).await?;
                Ok(Verdict::Wrong)
            }
        }
    }

    async fn verify_bcrypt(
        &self,
        password: &Password,
        stored: &BcryptHash,
        asker: Asker,
    ) -> Result<Verdict, Error> {
        let (salt, all) = (stored.salt(), stored.cost.max(self.cost));
        let input = Input::new(&bcrypt_bytes(password), salt, stored.cost);
        let output = self.bcrypt(all, input, asker).await?;
        if !stored.is(output.at_own_cost) {
            return Ok(Verdict::Wrong);
        }
        // The salt stays: it is the same password, and the work was done with it.
        let is_cheaper = stored.cost < all;
        let stronger = is_cheaper.then(|| crypt_format::write(all, salt, output.at_the_end));
        Ok(Verdict::Right { stronger })
    }

    async fn verify_foreign(
        &self,
        password: &Password,
        stored: ForeignHash,
        asker: Asker,
    ) -> Result<Verdict, Error> {
        let check = async { Ok(self.queue.check(asker, stored, password.clone()).await?) };
        // Made of a wrong password too: without it, the check of a cheap hash would be told by its time.
        let (stronger, is_right) = tokio::try_join!(self.hash_by_bcrypt(password, asker), check)?;
        Ok(if is_right {
            let stronger = Some(stronger);
            Verdict::Right { stronger }
        } else {
            Verdict::Wrong
        })
    }

    async fn hash_by_bcrypt(
        &self,
        password: &Password,
        asker: Asker,
    ) -> Result<HashedPassword, Error> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let input = Input::new(&bcrypt_bytes(password), salt, self.cost);
        let output = self.bcrypt(self.cost, input, asker).await?;
        Ok(crypt_format::write(self.cost, salt, output.at_the_end))
    }

    /// Takes the time of a check where there is nothing to check.
    async fn spend_a_check(&self, password: &Password, asker: Asker) -> Result<(), Error> {
        let input = Input::new(&bcrypt_bytes(password), [0; 16], self.cost);
        self.bcrypt(self.cost, input, asker).await.map(drop)
    }

    /// The hashes of an input at its own cost and at that of all, made by the hashing threads in the
    /// rounds of the higher one.
    async fn bcrypt(&self, all: Cost, input: Input, asker: Asker) -> Result<Output, Error> {
        let output = self.queue.hash(asker, all, input).await?;
        self.rounds.fetch_add(all.rounds(), Ordering::Relaxed);
        Ok(output)
    }

    /// Notes how long this work took, or that it was refused.
    async fn measure<T>(
        &self,
        took: &Histogram,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let asked_at = Instant::now();
        let done = work.await.inspect_err(|error| self.count_refusal(error))?;
        took.observe(asked_at.elapsed());
        Ok(done)
    }

    fn count_refusal(&self, error: &Error) {
        if let Error::Busy { .. } = error {
            self.metrics.refusals.add();
        }
    }
}

#[cfg(test)]
mod tests;
