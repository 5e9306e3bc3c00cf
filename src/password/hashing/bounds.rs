//! What a stored hash may take, checked before anything is hashed: a row of the database, or a line of an
//! import, must not hold a thread or the memory.
//!
//! Together the bounds keep one hash within 128 MiB and within two seconds of a core of 2026, the time of
//! two hashes of bcrypt at cost 14. Each lets the defaults of the programs pass that write such hashes.

use super::cost::Cost;

/// Why a stored text cannot be checked against a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableHash {
    /// It begins like none of the hashes that are checked here. So do passwords in plain text and Django's
    /// `!…`, which stands for no password.
    #[error(
        "of no known form; known are bcrypt, Argon2id and Argon2i, and scrypt and PBKDF2 as Werkzeug and \
         Django write them"
    )]
    UnknownForm,
    /// It begins like a hash that is checked here, and does not go on like one.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A parameter is below what its function takes, or beyond what one hash may take of this machine.
    #[error("out of bounds: {what} must be from {least} to {most}")]
    OutOfBounds {
        /// The parameter, with its unit.
        what: &'static str,
        /// The least that is accepted.
        least: u32,
        /// The most that is accepted.
        most: u32,
    },
}

/// From where to where a parameter may go.
pub struct Bound {
    what: &'static str,
    least: u32,
    most: u32,
}

/// The whole text, so that what reads it reads little. The longest that is written, by Werkzeug with a
/// salt of 64 letters, has some 220 bytes.
pub const TEXT: Bound = bound("the length in bytes", 1, 512);

/// [`Cost`] says why.
pub const BCRYPT_COST: Bound = bound("the bcrypt cost", Cost::MIN.0, Cost::MAX.0);

/// The salt of Werkzeug (8 to 16 letters, or as many as the caller asks for) and of Django (12 to 22).
pub const SALT: Bound = bound("the length of the salt in bytes", 1, 64);

/// The block size r of scrypt. All programs take 8; the cost of a block is proportional to it.
pub const SCRYPT_BLOCK_SIZE: Bound = bound("scrypt's r", 1, 32);

/// The parallelism p of scrypt, whose blocks are hashed one after another. Werkzeug takes 1, Django 5, and
/// OWASP's Password Storage Cheat Sheet goes up to 10.
pub const SCRYPT_PARALLELISM: Bound = bound("scrypt's p", 1, 16);

/// The memory of scrypt: 128 bytes for each N × r, hence 128 MiB. Werkzeug takes 32 MiB, Django 16, and
/// OWASP goes up to 128.
pub const SCRYPT_MEMORY: Bound = bound("scrypt's N × r", 2, 1 << 20);

/// The work of scrypt: twice of what OWASP recommends, one second.
pub const SCRYPT_WORK: Bound = bound("scrypt's N × r × p", 2, 1 << 21);

/// The iterations of PBKDF2. Werkzeug 3.1 takes 1,000,000 and Django 6.1 takes 1,500,000, earlier ones
/// less; OWASP asks for 1,300,000 of SHA-1, fewer of the others. Three million of SHA-512 are two seconds.
pub const PBKDF2_ITERATIONS: Bound = bound("the number of PBKDF2 iterations", 1, 3_000_000);

/// The memory of Argon2, hence 128 MiB. argon2-cffi takes 64, Django 100.
pub const ARGON2_MEMORY: Bound = bound("the Argon2 memory in KiB", 8, 128 << 10);

/// The work of Argon2: a pass over its memory takes as long as that is large, and 1 GiB takes one second.
/// argon2-cffi does three passes, Django two.
pub const ARGON2_WORK: Bound = bound("the Argon2 memory in KiB × passes", 8, 1 << 20);

/// The lanes of Argon2, hashed one after another, so that they cost nothing; Go's library takes a byte.
pub const ARGON2_LANES: Bound = bound("the number of Argon2 lanes", 1, 255);

/// The salt of Argon2: RFC 9106, 3.1, asks for 8 bytes at least.
pub const ARGON2_SALT: Bound = bound("the length of the Argon2 salt in bytes", 8, 64);

/// The hash itself. argon2-cffi makes 32 bytes, its older versions made 16; a much shorter one would be
/// that of other passwords too.
pub const ARGON2_HASH: Bound = bound("the length of the Argon2 hash in bytes", 16, 64);

const fn bound(what: &'static str, least: u32, most: u32) -> Bound {
    Bound { what, least, most }
}

impl Bound {
    /// The value, if it is within the bound.
    pub fn check(&self, value: u64) -> Result<u32, UnusableHash> {
        let within = u32::try_from(value).ok();
        let within = within.filter(|value| (self.least..=self.most).contains(value));
        within.ok_or(UnusableHash::OutOfBounds {
            what: self.what,
            least: self.least,
            most: self.most,
        })
    }

    /// The text or the bytes, if their length is within the bound.
    pub fn check_length(&self, bytes: impl AsRef<[u8]>) -> Result<(), UnusableHash> {
        self.check(bytes.as_ref().len() as u64).map(drop)
    }
}
