//! Passwords: what may be one, how they are hashed, and how they are checked.
//!
//! bcrypt costs a quarter of a second on purpose, so it never runs on the threads that serve
//! requests, and as many hashes run at once as the machine has cores.

use std::fmt;
use std::num::NonZero;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;

use bcrypt::HashParts;
use tokio::sync::Semaphore;

use crate::user::HashedPassword;

/// The longest password, in bytes. bcrypt ignores what comes after, and an ignored ending would
/// let two passwords open one account.
pub const MAX_BYTES: usize = 72;

/// A password as its owner typed it: not trimmed, not normalized, any characters but NUL
/// (NIST SP 800-63B, 3.1.1.2; OWASP ASVS 6.2.8).
#[derive(Clone)]
pub struct Password(String);

/// Why a text cannot be a [`Password`]; reads on after the name of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPassword {
    /// Nothing was typed.
    #[error("is empty")]
    Empty,
    /// bcrypt would ignore the end of it.
    #[error("is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Other programs' bcrypt ends a password at the first NUL, so a hash that moved in from
    /// there would accept whatever follows (CVE-2024-3096).
    #[error("contains a nul character")]
    Nul,
}

impl FromStr for Password {
    type Err = InvalidPassword;

    fn from_str(text: &str) -> Result<Self, InvalidPassword> {
        if text.is_empty() {
            Err(InvalidPassword::Empty)
        } else if text.len() > MAX_BYTES {
            Err(InvalidPassword::TooLong)
        } else if text.contains('\0') {
            Err(InvalidPassword::Nul)
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(redacted)")
    }
}

/// bcrypt's cost: a hash takes 2 to the power of it rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u32);

impl Cost {
    /// The least that bcrypt knows. Good for tests alone.
    pub const MIN: Self = Self(4);
    /// A quarter of a second on a core of 2026.
    pub const DEFAULT: Self = Self(12);
    /// Four seconds on a core of 2026. A stored hash that claims a higher cost is taken for
    /// malformed: checking one of cost 31 would hold a core for a day and a half.
    pub const MAX: Self = Self(16);
    /// The least that OWASP's Password Storage Cheat Sheet allows.
    pub const RECOMMENDED_MIN: Self = Self(10);

    /// The cost of this number; `None` outside of [`Cost::MIN`] to [`Cost::MAX`].
    #[must_use]
    pub fn new(cost: u32) -> Option<Self> {
        let cost = Self(cost);
        (Self::MIN..=Self::MAX).contains(&cost).then_some(cost)
    }

    /// The cost of a stored hash; `None` for anything that we do not check: not bcrypt, malformed,
    /// of a cost out of bounds, or `$2x$`, which marks hashes of a broken implementation.
    fn of(stored: &HashedPassword) -> Option<Self> {
        let text = stored.as_str();
        let is_known = ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|version| text.starts_with(version));
        if !is_known {
            return None;
        }
        Self::new(HashParts::from_str(text).ok()?.get_cost())
    }

    fn rounds(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
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
    /// bcrypt failed, for want of random numbers.
    #[error("bcrypt failed")]
    Bcrypt(#[from] bcrypt::BcryptError),
    /// The hashing thread went down.
    #[error("the hashing thread went down")]
    Thread(#[from] tokio::task::JoinError),
}

/// Hashes and checks passwords, away from the threads that serve.
#[derive(Clone, Debug)]
pub struct Passwords {
    cost: Cost,
    cores: Arc<Semaphore>,
    rounds: Arc<AtomicU64>,
}

impl Passwords {
    /// Hashes at `cost`, on as many threads as the machine has cores.
    #[must_use]
    pub fn new(cost: Cost) -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self {
            cost,
            cores: Arc::new(Semaphore::new(cores)),
            rounds: Arc::default(),
        }
    }

    /// The bcrypt rounds spent since the start: what shows, without a stopwatch, that two requests
    /// cost the same.
    #[must_use]
    pub fn rounds_spent(&self) -> u64 {
        self.rounds.load(Ordering::Relaxed)
    }

    /// Hashes a password at today's cost, as `$2b$`.
    ///
    /// # Errors
    ///
    /// Whatever keeps bcrypt from running.
    pub async fn hash(&self, password: Password) -> Result<HashedPassword, Error> {
        self.run(move |bench| bench.hash(&password)).await
    }

    /// Checks a password against a stored hash.
    ///
    /// Without one, with an unreadable one and with a cheaper one, a wrong password costs the same
    /// work: one bcrypt at today's cost. So the time of an answer does not tell whether an account
    /// exists (CWE-208).
    ///
    /// # Errors
    ///
    /// Whatever keeps bcrypt from running. A malformed hash is not an error but
    /// [`Verdict::Wrong`].
    pub async fn verify(
        &self,
        password: Password,
        stored: Option<HashedPassword>,
    ) -> Result<Verdict, Error> {
        self.run(move |bench| bench.verify(&password, stored.as_ref()))
            .await
    }

    /// Runs `work` on a thread of its own as soon as a core is free. A caller who stops waiting
    /// before that gives up the place.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Bench) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let bench = Bench {
            cost: self.cost,
            rounds: Arc::clone(&self.rounds),
        };
        // The semaphore is never closed, so there always is a permit to wait for.
        let core = Arc::clone(&self.cores).acquire_owned().await.ok();
        tokio::task::spawn_blocking(move || {
            let outcome = work(&bench);
            drop(core);
            outcome
        })
        .await?
    }
}

/// The blocking side: where bcrypt is really called.
struct Bench {
    cost: Cost,
    rounds: Arc<AtomicU64>,
}

impl Bench {
    fn hash(&self, password: &Password) -> Result<HashedPassword, Error> {
        self.count(self.cost);
        // Never truncates: a `Password` has at most 72 bytes.
        let text = bcrypt::hash(&password.0, self.cost.0)?;
        Ok(HashedPassword::new(text))
    }

    fn verify(
        &self,
        password: &Password,
        stored: Option<&HashedPassword>,
    ) -> Result<Verdict, Error> {
        let readable = stored.and_then(|stored| Some((stored, Cost::of(stored)?)));
        let Some((stored, stored_cost)) = readable else {
            self.pretend(password, self.cost)?;
            return Ok(Verdict::Wrong);
        };
        self.count(stored_cost);
        if bcrypt::verify(&password.0, stored.as_str())? {
            let stronger = (stored_cost < self.cost)
                .then(|| self.hash(password))
                .transpose()?;
            return Ok(Verdict::Right { stronger });
        }
        // 2^s + (2^s + 2^(s+1) + … + 2^(c-1)) = 2^c: the rounds of one hash at today's cost.
        for cost in stored_cost.0..self.cost.0 {
            self.pretend(password, Cost(cost))?;
        }
        Ok(Verdict::Wrong)
    }

    /// Does the work of checking a password, against nothing.
    fn pretend(&self, password: &Password, cost: Cost) -> Result<(), Error> {
        self.count(cost);
        bcrypt::hash_with_salt(&password.0, cost.0, [0; 16])?;
        Ok(())
    }

    fn count(&self, cost: Cost) {
        self.rounds.fetch_add(cost.rounds(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        text.parse().unwrap()
    }

    fn stored(text: &str) -> HashedPassword {
        HashedPassword::new(text.to_owned())
    }

    /// Checks `text` against `hash` and returns the verdict with the rounds that it took.
    async fn verify_at(cost: u32, text: &str, hash: Option<HashedPassword>) -> (Verdict, u64) {
        let passwords = Passwords::new(Cost::new(cost).unwrap());
        let verdict = passwords.verify(password(text), hash).await.unwrap();
        (verdict, passwords.rounds_spent())
    }

    #[test]
    fn a_password_is_taken_as_received() {
        for text in [
            "b4l0u",
            " a b ",
            "\r\n\t",
            "e\u{301}",
            &"\u{1F600}".repeat(18),
        ] {
            assert_eq!(password(text).0, text);
        }
    }

    #[test]
    fn a_password_has_1_to_72_bytes_and_no_nul() {
        assert_eq!("".parse::<Password>().unwrap_err(), InvalidPassword::Empty);
        assert!("x".repeat(72).parse::<Password>().is_ok());
        assert_eq!(
            "x".repeat(73).parse::<Password>().unwrap_err(),
            InvalidPassword::TooLong
        );
        assert_eq!(
            "a\0b".parse::<Password>().unwrap_err(),
            InvalidPassword::Nul
        );
    }

    #[tokio::test]
    async fn a_hash_is_2b_at_the_given_cost_and_verifies() {
        let passwords = Passwords::new(Cost::new(5).unwrap());
        let hash = passwords.hash(password("b4l0u")).await.unwrap();
        assert!(hash.as_str().starts_with("$2b$05$"));

        let right = passwords.verify(password("b4l0u"), Some(hash.clone()));
        assert!(matches!(
            right.await.unwrap(),
            Verdict::Right { stronger: None }
        ));
        let wrong = passwords.verify(password("b4l0U"), Some(hash));
        assert!(matches!(wrong.await.unwrap(), Verdict::Wrong));
    }

    #[tokio::test]
    async fn the_72nd_byte_counts() {
        let passwords = Passwords::new(Cost::MIN);
        let long = "x".repeat(71);
        let hash = passwords.hash(password(&(long.clone() + "y"))).await;
        let hash = Some(hash.unwrap());
        for (text, is_right) in [
            (long.clone() + "y", true),
            (long.clone() + "z", false),
            (long, false),
        ] {
            let verdict = passwords.verify(password(&text), hash.clone()).await;
            assert_eq!(
                matches!(verdict.unwrap(), Verdict::Right { .. }),
                is_right,
                "{text}"
            );
        }
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
        let (verdict, _) = verify_at(6, "b4l0u", Some(stored(&hash))).await;
        let Verdict::Right {
            stronger: Some(stronger),
        } = verdict
        else {
            panic!("{verdict:?}")
        };
        assert!(stronger.as_str().starts_with("$2b$06$"));
        assert!(bcrypt::verify("b4l0u", stronger.as_str()).unwrap());
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

    #[tokio::test(flavor = "current_thread")]
    async fn the_thread_that_serves_does_not_hash() {
        let passwords = Passwords::new(Cost::MIN);
        // One thread serves here. If it hashed, the hash would be done at the first look.
        tokio::select! {
            biased;
            _ = passwords.hash(password("b4l0u")) => panic!("hashed on the serving thread"),
            () = std::future::ready(()) => {}
        }
    }

    #[test]
    fn a_password_hides_itself() {
        assert_eq!(format!("{:?}", password("b4l0u")), "Password(redacted)");
    }
}
