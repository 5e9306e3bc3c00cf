//! Hashes that other programs have made by other functions than bcrypt. They are checked, never made: at
//! the first login bcrypt takes their place.

use std::fmt;

use argon2::{Algorithm, Argon2, Block, Version};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::bounds::{self, UnusableHash};

/// The length of the hashes that Werkzeug and Django make by scrypt.
const SCRYPT_BYTES: usize = 64;

/// A hash within the [`bounds`].
pub struct ForeignHash {
    function: Function,
    salt: Vec<u8>,
    hash: Vec<u8>,
    rounds: u64,
}

/// What makes a hash of a password and a salt.
#[derive(Debug)]
pub enum Function {
    /// scrypt (RFC 7914).
    Scrypt(scrypt::Params),
    /// PBKDF2 (RFC 8018, 5.2) with HMAC.
    Pbkdf2 { digest: Digest, iterations: u32 },
    /// Argon2 (RFC 9106).
    Argon2(Argon2<'static>),
}

/// The hash function within PBKDF2. Werkzeug writes the first three, Django the first two.
#[derive(Clone, Copy, Debug)]
pub enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl ForeignHash {
    /// A hash by scrypt.
    pub fn scrypt([n, r, p]: [u64; 3], salt: Vec<u8>, hash: Vec<u8>) -> Result<Self, UnusableHash> {
        /// How much of N × r × p takes as long as a round of bcrypt.
        const PER_ROUND: u64 = 50;

        bounds::SALT.check_length(&salt)?;
        let (r, p) = (
            bounds::SCRYPT_BLOCK_SIZE.check(r)?,
            bounds::SCRYPT_PARALLELISM.check(p)?,
        );
        let memory = bounds::SCRYPT_MEMORY.check(n.saturating_mul(r.into()))?;
        let work = u64::from(bounds::SCRYPT_WORK.check(u64::from(memory) * u64::from(p))?);
        let log_n = n.checked_ilog2().filter(|_| n > 1 && n.is_power_of_two());
        let params = log_n
            .and_then(|log_n| u8::try_from(log_n).ok())
            .and_then(|log_n| scrypt::Params::new(log_n, r, p).ok())
            .ok_or(UnusableHash::Malformed("scrypt's N is no power of two"))?;
        Self::new(Function::Scrypt(params), salt, hash, work / PER_ROUND).of_length(SCRYPT_BYTES)
    }

    /// A hash by PBKDF2.
    pub fn pbkdf2(
        digest: Digest,
        iterations: u64,
        salt: Vec<u8>,
        hash: Vec<u8>,
    ) -> Result<Self, UnusableHash> {
        bounds::SALT.check_length(&salt)?;
        let iterations = bounds::PBKDF2_ITERATIONS.check(iterations)?;
        // How many iterations take as long as a round of bcrypt; of SHA-1 and SHA-256 between those with
        // and without the processor's own instructions for them.
        let (length, per_round) = match digest {
            Digest::Sha1 => (20, 100),
            Digest::Sha256 => (32, 100),
            Digest::Sha512 => (64, 45),
        };
        let rounds = u64::from(iterations / per_round);
        Self::new(Function::Pbkdf2 { digest, iterations }, salt, hash, rounds).of_length(length)
    }

    /// A hash by Argon2, which takes `memory` KiB.
    pub fn argon2(
        algorithm: Algorithm,
        version: Version,
        [memory, passes, lanes]: [u64; 3],
        salt: Vec<u8>,
        hash: Vec<u8>,
    ) -> Result<Self, UnusableHash> {
        /// How many KiB of how many passes take as long as a round of bcrypt.
        const PER_ROUND: u64 = 20;

        bounds::ARGON2_SALT.check_length(&salt)?;
        bounds::ARGON2_HASH.check_length(&hash)?;
        let memory = bounds::ARGON2_MEMORY.check(memory)?;
        let lanes = bounds::ARGON2_LANES.check(lanes)?;
        let work = bounds::ARGON2_WORK.check(passes.saturating_mul(memory.into()))?;
        let params = argon2::Params::new(memory, work / memory, lanes, Some(hash.len()))
            .map_err(|_| UnusableHash::Malformed("Argon2 takes 8 KiB for each lane"))?;
        let function = Function::Argon2(Argon2::new(algorithm, version, params));
        Ok(Self::new(function, salt, hash, u64::from(work) / PER_ROUND))
    }

    fn new(function: Function, salt: Vec<u8>, hash: Vec<u8>, rounds: u64) -> Self {
        Self {
            function,
            salt,
            hash,
            rounds: rounds.max(1),
        }
    }

    fn of_length(self, bytes: usize) -> Result<Self, UnusableHash> {
        if self.hash.len() == bytes {
            Ok(self)
        } else {
            Err(UnusableHash::Malformed("the hash is too short or too long"))
        }
    }

    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The work of a check, in rounds of bcrypt that take as long where all lanes are in use: some 20 µs
    /// each. Measured once; an estimate on other processors.
    pub fn rounds(&self) -> u64 {
        self.rounds
    }

    /// Whether it is the hash of this password. Takes the time and the memory that the hash asks for.
    ///
    /// The memory of Argon2 is wiped. That of scrypt is not: its library keeps it to itself.
    pub fn is_of(&self, password: &[u8]) -> bool {
        let mut hash = Zeroizing::new(vec![0; self.hash.len()]);
        let is_made = match &self.function {
            Function::Scrypt(params) => {
                scrypt::scrypt(password, &self.salt, params, &mut hash).is_ok()
            }
            Function::Pbkdf2 { digest, iterations } => {
                let pbkdf2 = match digest {
                    Digest::Sha1 => pbkdf2_hmac::<Sha1>,
                    Digest::Sha256 => pbkdf2_hmac::<Sha256>,
                    Digest::Sha512 => pbkdf2_hmac::<Sha512>,
                };
                pbkdf2(password, &self.salt, *iterations, &mut hash);
                true
            }
            Function::Argon2(argon2) => {
                let blocks = vec![Block::new(); argon2.params().block_count()];
                let mut blocks = Zeroizing::new(blocks);
                argon2
                    .hash_password_into_with_memory(password, &self.salt, &mut hash, &mut **blocks)
                    .is_ok()
            }
        };
        is_made && bool::from(hash.ct_eq(&self.hash))
    }
}

/// Without the salt and the hash.
impl fmt::Debug for ForeignHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.function.fmt(formatter)
    }
}
