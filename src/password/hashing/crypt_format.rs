//! bcrypt's hashes as text, in the modular crypt format: `$2b$12$`, the salt and the hash.

use std::str::FromStr;

use base64::Engine;
use bcrypt::{BASE_64, HashParts};
use subtle::ConstantTimeEq;

use super::bounds::{self, UnusableHash};
use super::cost::Cost;
use super::interleaved::Hash;
use crate::user::HashedPassword;

/// A hash that was read.
pub struct BcryptHash {
    pub cost: Cost,
    parts: HashParts,
}

impl BcryptHash {
    /// Whether a text claims to be a hash of bcrypt: `$2a$`, `$2b$` or `$2y$`, three names of the same
    /// function. Not `$2x$`, which marks hashes of a broken implementation.
    pub fn is_claimed_by(text: &str) -> bool {
        ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|version| text.starts_with(version))
    }

    pub fn salt(&self) -> [u8; 16] {
        self.parts.get_salt_raw()
    }

    /// Whether this is the hash; takes the same time whatever it is.
    pub fn is(&self, hash: Hash) -> bool {
        let hash = write(self.cost, self.salt(), hash);
        let own = self.parts.to_string();
        hash.as_str().as_bytes().ct_eq(own.as_bytes()).into()
    }
}

impl FromStr for BcryptHash {
    type Err = UnusableHash;

    fn from_str(text: &str) -> Result<Self, UnusableHash> {
        if !Self::is_claimed_by(text) {
            return Err(UnusableHash::UnknownForm);
        }
        let parts = HashParts::from_str(text).map_err(|_| {
            UnusableHash::Malformed("bcrypt has a cost of two digits and 53 letters in its base64")
        })?;
        let cost = bounds::BCRYPT_COST.check(parts.get_cost().into())?;
        Ok(Self {
            cost: Cost(cost),
            parts,
        })
    }
}

/// A hash as text.
pub fn write(cost: Cost, salt: [u8; 16], hash: Hash) -> HashedPassword {
    let (salt, hash) = (BASE_64.encode(salt), BASE_64.encode(hash));
    HashedPassword::new(format!("$2b${:02}${salt}{hash}", cost.0))
}
