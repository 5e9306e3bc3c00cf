//! How passwords are hashed and checked: by bcrypt.
//!
//! bcrypt costs a quarter of a second on purpose, so it never runs on the threads that serve
//! requests. A few threads of the lowest priority, one a core, hash what waits, several passwords at
//! once (`interleaved`), those who ask in turn (`schedule`); what would wait too long is
//! refused at once (`queue`).

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bcrypt::{BASE_64, HashParts};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha384;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::received::Password;
use crate::user::HashedPassword;

mod blowfish_tables;
mod cost;
mod interleaved;
mod job;
mod queue;
mod schedule;

pub use cost::Cost;
pub use job::Asker;

use interleaved::{Hash, Input, Output};
use queue::{NotHashed, Queue};

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
    /// It is not the password, or there is nothing that it could match.
    Wrong,
    /// It is the password.
    Right {
        /// The same password hashed at today's cost; `None` if the stored hash has it already.
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
}

impl Passwords {
    /// Hashes at `cost`. Who would wait longer than `login_wait` is refused.
    pub fn new(cost: Cost, login_wait: Duration) -> Self {
        Self {
            cost,
            queue: Arc::new(Queue::start(login_wait)),
            rounds: Arc::default(),
        }
    }

    /// The bcrypt rounds spent since the start: what shows, without a stopwatch, that two
    /// requests cost the same.
    pub fn rounds_spent(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Says at once, before any other work, if a password could not be hashed or checked in time
    /// for this asker.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`].
    pub fn ensure_room(&self, asker: impl Into<Asker>) -> Result<(), Error> {
        Ok(self.queue.ensure_room(asker, self.cost)?)
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
        let mut salt = [0; 16];
        getrandom::fill(&mut salt)?;
        let output = self.bcrypt(self.cost, self.cost, password, salt, asker.into());
        Ok(text(self.cost, salt, output.await?.at_the_end))
    }

    /// Checks a password against a stored hash.
    ///
    /// Without one, with an unreadable one and with a cheaper one, it is one job of the same work: one
    /// bcrypt at today's cost, right or wrong. So the time of an answer does not tell whether an
    /// account exists (CWE-208). A dearer one, left from when today's cost was higher, takes longer.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`], and whatever keeps bcrypt from running. A malformed hash is not an error
    /// but [`Verdict::Wrong`].
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&HashedPassword>,
        asker: impl Into<Asker>,
    ) -> Result<Verdict, Error> {
        let asker = asker.into();
        let Some((stored_cost, stored)) = stored.and_then(readable) else {
            self.bcrypt(self.cost, self.cost, password, [0; 16], asker)
                .await?;
            return Ok(Verdict::Wrong);
        };
        let (salt, all) = (stored.get_salt_raw(), stored_cost.max(self.cost));
        let output = self.bcrypt(all, stored_cost, password, salt, asker).await?;
        let hash = text(stored_cost, salt, output.at_own_cost);
        let is_right = hash
            .as_str()
            .as_bytes()
            .ct_eq(stored.to_string().as_bytes());
        if !bool::from(is_right) {
            return Ok(Verdict::Wrong);
        }
        // The salt stays: it is the same password, and the work was done with it.
        let stronger = (stored_cost < all).then(|| text(all, salt, output.at_the_end));
        Ok(Verdict::Right { stronger })
    }

    /// The hashes of a password at two costs, made by the hashing threads in the rounds of the higher
    /// one.
    async fn bcrypt(
        &self,
        all: Cost,
        own: Cost,
        password: &Password,
        salt: [u8; 16],
        asker: Asker,
    ) -> Result<Output, Error> {
        let input = Input::new(&bcrypt_bytes(password), salt, own);
        let output = self.queue.hash(asker, all, input).await?;
        self.rounds.fetch_add(all.rounds(), Ordering::Relaxed);
        Ok(output)
    }
}

/// A hash as text.
fn text(cost: Cost, salt: [u8; 16], hash: Hash) -> HashedPassword {
    let (salt, hash) = (BASE_64.encode(salt), BASE_64.encode(hash));
    HashedPassword::new(format!("$2b${:02}${salt}{hash}", cost.0))
}

/// A stored hash with its cost; `None` for what we do not check: not bcrypt, malformed, of a cost
/// out of bounds, or `$2x$`, which marks hashes of a broken implementation.
fn readable(stored: &HashedPassword) -> Option<(Cost, HashParts)> {
    let text = stored.as_str();
    let is_known = ["$2a$", "$2b$", "$2y$"]
        .iter()
        .any(|version| text.starts_with(version));
    if !is_known {
        return None;
    }
    let parts = HashParts::from_str(text).ok()?;
    Some((Cost::new(parts.get_cost())?, parts))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::pin::pin;
    use std::sync::atomic::AtomicUsize;
    use std::task::{Context, Wake};
    use std::thread::{self, Thread};

    use super::*;
    use crate::source::Source;

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    fn passwords(cost: Cost) -> Passwords {
        Passwords::new(cost, Duration::from_secs(5))
    }

    fn stored(text: &str) -> HashedPassword {
        HashedPassword::new(text.to_owned())
    }

    fn home() -> Source {
        IpAddr::from(Ipv4Addr::LOCALHOST).into()
    }

    /// Checks `text` against `hash` and returns the verdict with the rounds that it took.
    async fn verify_at(cost: u32, text: &str, hash: Option<HashedPassword>) -> (Verdict, u64) {
        let passwords = passwords(Cost::new(cost).unwrap());
        let verdict = passwords
            .verify(&password(text), hash.as_ref(), home())
            .await
            .unwrap();
        (verdict, passwords.rounds_spent())
    }

    #[tokio::test]
    async fn a_hash_is_2b_at_the_given_cost_and_verifies() {
        let passwords = passwords(Cost::new(5).unwrap());
        let hash = passwords.hash(&password("b4l0u"), home()).await.unwrap();
        assert!(hash.as_str().starts_with("$2b$05$"));

        let right = passwords
            .verify(&password("b4l0u"), Some(&hash), home())
            .await;
        assert!(matches!(right.unwrap(), Verdict::Right { stronger: None }));
        let wrong = passwords
            .verify(&password("b4l0U"), Some(&hash), home())
            .await;
        assert!(matches!(wrong.unwrap(), Verdict::Wrong));
    }

    #[tokio::test]
    async fn every_byte_counts() {
        let passwords = passwords(Cost::MIN);
        for length in [72, 73, 200, 1024] {
            let start = "x".repeat(length - 1);
            let chosen = password(&(start.clone() + "y"));
            let hash = passwords.hash(&chosen, home()).await.unwrap();
            for (text, is_right) in [
                (start.clone() + "y", true),
                (start.clone() + "z", false),
                (start, false),
            ] {
                let text = password(&text);
                let verdict = passwords.verify(&text, Some(&hash), home()).await;
                assert_eq!(
                    matches!(verdict.unwrap(), Verdict::Right { .. }),
                    is_right,
                    "{length}"
                );
            }
        }
    }

    #[tokio::test]
    async fn hashes_of_72_bytes_and_less_are_those_of_any_bcrypt() {
        for length in [1, 71, 72] {
            let text = "x".repeat(length);
            let hash = stored(&bcrypt::hash(&text, 4).unwrap());
            let (verdict, _) = verify_at(4, &text, Some(hash)).await;
            assert!(matches!(verdict, Verdict::Right { .. }), "{length}");
            let hash = passwords(Cost::MIN).hash(&password(&text), home()).await;
            assert!(bcrypt::verify(&text, hash.unwrap().as_str()).unwrap());
        }
    }

    #[tokio::test]
    async fn a_longer_password_is_hashed_by_its_hmac_as_documented() {
        // Made with Python's hmac and base64, as the documentation of the key says.
        let text = "tartiflette ".repeat(7);
        let letters = "X83f7pVohydZRCbjHR1cYojW/ujGAGDwKOInpYiKY+kOOrNMJfC1yaDgUYwlBk8c";
        let hash = passwords(Cost::MIN).hash(&password(&text), home()).await;
        assert!(bcrypt::verify(letters, hash.unwrap().as_str()).unwrap());
    }

    #[tokio::test]
    async fn hashes_from_elsewhere_are_read() {
        // The same 23 bytes under the three names that other programs write.
        for version in ["2a", "2b", "2y"] {
            let parts = bcrypt::hash_with_salt("t4rt1fl3tt3", 4, [7; 16]).unwrap();
            let hash = parts.to_string().replacen("2b", version, 1);
            let (verdict, _) = verify_at(4, "t4rt1fl3tt3", Some(stored(&hash))).await;
            assert!(matches!(verdict, Verdict::Right { .. }), "{version}");
        }
    }

    #[tokio::test]
    async fn a_published_vector_verifies() {
        // From the test suite of OpenBSD's bcrypt, as other implementations carry it.
        let hash = "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i";
        let (verdict, _) = verify_at(6, "abc", Some(stored(hash))).await;
        assert!(matches!(verdict, Verdict::Right { stronger: None }));
    }

    #[tokio::test]
    async fn a_cheaper_hash_is_made_anew_when_the_password_is_right() {
        let hash = bcrypt::hash("b4l0u", 4).unwrap();
        let (verdict, rounds) = verify_at(6, "b4l0u", Some(stored(&hash))).await;
        let Verdict::Right {
            stronger: Some(stronger),
        } = verdict
        else {
            panic!("{verdict:?}")
        };
        assert!(stronger.as_str().starts_with("$2b$06$"));
        assert!(bcrypt::verify("b4l0u", stronger.as_str()).unwrap());
        assert_eq!(rounds, 64);
    }

    #[tokio::test]
    async fn a_wrong_password_costs_one_bcrypt_whatever_is_stored() {
        let sound = bcrypt::hash("b4l0u", 8).unwrap();
        let cheap = bcrypt::hash("b4l0u", 4).unwrap();
        let stored_hashes = [
            stored(&sound),
            stored(&cheap),
            stored(""),
            stored("x"),
            stored("b4l0u"),
            stored(&"\u{E9}".repeat(30)),
            stored(&sound[..59]),
            stored(&format!("{sound}=")),
            stored(&sound.replacen("$08$", "$xx$", 1)),
            stored(&sound.replacen("$08$", "$03$", 1)),
            stored(&sound.replacen("$08$", "$31$", 1)),
            stored(&sound.replacen("$2b$", "$2x$", 1)),
            stored(&sound.replacen("$2b$", "$1$$", 1)),
        ];
        for hash in stored_hashes.into_iter().map(Some).chain([None]) {
            let case = format!("{:?}", hash.as_ref().map(HashedPassword::as_str));
            let (verdict, rounds) = verify_at(8, "wrong", hash).await;
            assert!(matches!(verdict, Verdict::Wrong), "{case}");
            assert_eq!(rounds, 256, "{case}");
        }
    }

    #[test]
    fn a_check_waits_for_one_turn_whatever_is_stored() {
        let cheap = stored(&bcrypt::hash("b4l0u", 4).unwrap());
        let sound = stored(&bcrypt::hash("b4l0u", 8).unwrap());
        for text in ["wrong", "b4l0u"] {
            for hash in [None, Some(&cheap), Some(&sound)] {
                let passwords = passwords(Cost(8));
                let password = password(text);
                let check = passwords.verify(&password, hash, home());
                assert_eq!(times_woken(check), 1, "{hash:?}");
            }
        }
    }

    /// Runs a future to its end and counts how often it had to wait.
    fn times_woken<T>(future: impl Future<Output = T>) -> usize {
        struct Counter(Thread, AtomicUsize);
        impl Wake for Counter {
            fn wake(self: Arc<Self>) {
                self.1.fetch_add(1, Ordering::Relaxed);
                self.0.unpark();
            }
        }
        let counter = Arc::new(Counter(thread::current(), AtomicUsize::new(0)));
        let waker = Arc::clone(&counter).into();
        let mut future = pin!(future);
        while future
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
        {
            thread::park();
        }
        counter.1.load(Ordering::Relaxed)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_thread_that_serves_does_not_hash() {
        let passwords = passwords(Cost::MIN);
        let b4l0u = password("b4l0u");
        // One thread serves here. If it hashed, the hash would be done at the first look.
        tokio::select! {
            biased;
            _ = passwords.hash(&b4l0u, home()) => panic!("hashed on the serving thread"),
            () = std::future::ready(()) => {}
        }
    }
}
