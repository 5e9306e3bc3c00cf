//! What a stored text is: which of the hashes that are checked here, or why none.

use std::str::FromStr;

use argon2::{Algorithm, Version};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};

use super::bounds::{self, UnusableHash};
use super::crypt_format::BcryptHash;
use super::foreign::{Digest, ForeignHash, Function};

/// A stored hash that was read, within the [`bounds`].
pub enum StoredHash {
    /// By bcrypt.
    Bcrypt(BcryptHash),
    /// By another function.
    Foreign(ForeignHash),
}

/// By which function a stored hash was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashKind {
    /// bcrypt. It stays; the others are replaced by it at the next login.
    Bcrypt,
    /// scrypt, as Werkzeug or Django writes it.
    Scrypt,
    /// PBKDF2, as Werkzeug or Django writes it.
    Pbkdf2,
    /// Argon2id or Argon2i.
    Argon2,
}

impl HashKind {
    /// What a stored text is, without hashing anything. With one that is unusable, no password opens the
    /// account, until a reset stores another.
    ///
    /// # Errors
    ///
    /// Why it cannot be checked. The error shows nothing of the text.
    pub fn of(text: &str) -> Result<Self, UnusableHash> {
        Ok(text.parse::<StoredHash>()?.kind())
    }
}

impl StoredHash {
    fn kind(&self) -> HashKind {
        match self {
            Self::Bcrypt(_) => HashKind::Bcrypt,
            Self::Foreign(hash) => match hash.function() {
                Function::Scrypt(_) => HashKind::Scrypt,
                Function::Pbkdf2 { .. } => HashKind::Pbkdf2,
                Function::Argon2(_) => HashKind::Argon2,
            },
        }
    }
}

/// Reads a text in the forms of
///
/// - bcrypt: `$2b$cost$…`, also `$2a$` and `$2y$`;
/// - Argon2 (its reference implementation): `$argon2id$v=19$m=…,t=…,p=…$salt$hash`, also `$argon2i$`;
/// - Werkzeug: `scrypt:N:r:p$salt$hash` and `pbkdf2:digest:iterations$salt$hash`;
/// - Django: `pbkdf2_sha256$iterations$salt$hash`, also `pbkdf2_sha1$`; `scrypt$N$salt$r$p$hash`;
///   `argon2$argon2id$…`.
impl FromStr for StoredHash {
    type Err = UnusableHash;

    fn from_str(text: &str) -> Result<Self, UnusableHash> {
        bounds::TEXT.check_length(text)?;
        if BcryptHash::is_claimed_by(text) {
            return text.parse().map(Self::Bcrypt);
        }
        let (scheme, rest) = text.split_once('$').ok_or(UnusableHash::UnknownForm)?;
        let mut scheme = scheme.split(':');
        let name = scheme.next().unwrap_or_default();
        let parameters: Vec<&str> = scheme.collect();
        let foreign = match (name, &*parameters) {
            ("" | "argon2", []) => argon2(rest),
            ("scrypt", []) => django_scrypt(rest),
            ("pbkdf2_sha1", []) => django_pbkdf2(Digest::Sha1, rest),
            ("pbkdf2_sha256", []) => django_pbkdf2(Digest::Sha256, rest),
            ("scrypt", _) => werkzeug_scrypt(&parameters, rest),
            ("pbkdf2", _) => werkzeug_pbkdf2(&parameters, rest),
            _ => Err(UnusableHash::UnknownForm),
        };
        foreign.map(Self::Foreign)
    }
}

/// Argon2's own form, after the first `$`. Argon2d is not for passwords (RFC 9106, 4).
fn argon2(rest: &str) -> Result<ForeignHash, UnusableHash> {
    let (variant, rest) = rest.split_once('$').ok_or(UnusableHash::UnknownForm)?;
    let algorithm = match variant {
        "argon2id" => Algorithm::Argon2id,
        "argon2i" => Algorithm::Argon2i,
        _ => return Err(UnusableHash::UnknownForm),
    };
    // Before version 19 there was none in the text.
    let (version, rest) = match rest.split_once('$') {
        Some(("v=19", rest)) => (Version::V0x13, rest),
        Some(("v=16", rest)) => (Version::V0x10, rest),
        _ => (Version::V0x10, rest),
    };
    let [parameters, salt, hash] = fields(rest.split('$'))?;
    let [memory, passes, lanes] = fields(parameters.split(','))?;
    let parameter = |text: &str, name| number(text.strip_prefix(name).unwrap_or_default());
    let parameters = [
        parameter(memory, "m=")?,
        parameter(passes, "t=")?,
        parameter(lanes, "p=")?,
    ];
    let bytes = |text| BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| NOT_BASE64);
    ForeignHash::argon2(algorithm, version, parameters, bytes(salt)?, bytes(hash)?)
}

fn werkzeug_scrypt(parameters: &[&str], rest: &str) -> Result<ForeignHash, UnusableHash> {
    let [n, r, p] = fields(parameters.iter().copied())?;
    let [salt, hash] = fields(rest.split('$'))?;
    let parameters = [number(n)?, number(r)?, number(p)?];
    ForeignHash::scrypt(parameters, letters(salt)?, hexadecimal(hash)?)
}

/// Werkzeug always writes the iterations, also where its caller has named none (0.9 to 3.1).
fn werkzeug_pbkdf2(parameters: &[&str], rest: &str) -> Result<ForeignHash, UnusableHash> {
    let [digest, iterations] = fields(parameters.iter().copied())?;
    let digest = match digest {
        "sha1" => Digest::Sha1,
        "sha256" => Digest::Sha256,
        "sha512" => Digest::Sha512,
        _ => return Err(UnusableHash::UnknownForm),
    };
    let [salt, hash] = fields(rest.split('$'))?;
    ForeignHash::pbkdf2(
        digest,
        number(iterations)?,
        letters(salt)?,
        hexadecimal(hash)?,
    )
}

fn django_scrypt(rest: &str) -> Result<ForeignHash, UnusableHash> {
    let [n, salt, r, p, hash] = fields(rest.split('$'))?;
    let parameters = [number(n)?, number(r)?, number(p)?];
    ForeignHash::scrypt(parameters, letters(salt)?, padded_base64(hash)?)
}

fn django_pbkdf2(digest: Digest, rest: &str) -> Result<ForeignHash, UnusableHash> {
    let [iterations, salt, hash] = fields(rest.split('$'))?;
    ForeignHash::pbkdf2(
        digest,
        number(iterations)?,
        letters(salt)?,
        padded_base64(hash)?,
    )
}

const NOT_BASE64: UnusableHash = UnusableHash::Malformed("the salt or the hash is not in base64");

/// Exactly so many fields.
fn fields<'a, const N: usize>(
    fields: impl Iterator<Item = &'a str>,
) -> Result<[&'a str; N], UnusableHash> {
    let fields: Vec<&str> = fields.collect();
    let wrong = UnusableHash::Malformed("a field is missing, or is one too many");
    fields.try_into().map_err(|_| wrong)
}

/// A number in decimal digits. One that is too large for any type is out of every bound.
fn number(text: &str) -> Result<u64, UnusableHash> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(UnusableHash::Malformed("a parameter is not a number"));
    }
    Ok(text.parse().unwrap_or(u64::MAX))
}

/// A salt that is used as it is written.
fn letters(salt: &str) -> Result<Vec<u8>, UnusableHash> {
    if salt.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(salt.into())
    } else {
        Err(UnusableHash::Malformed("the salt is not printable ASCII"))
    }
}

fn padded_base64(hash: &str) -> Result<Vec<u8>, UnusableHash> {
    BASE64_STANDARD.decode(hash).map_err(|_| NOT_BASE64)
}

fn hexadecimal(hash: &str) -> Result<Vec<u8>, UnusableHash> {
    let wrong = UnusableHash::Malformed("the hash is not in hexadecimal digits");
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = hash.as_bytes().as_chunks();
    let bytes = pairs.iter().map(|[high, low]| {
        let byte = digit(*high)? * 16 + digit(*low)?;
        u8::try_from(byte).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.filter(|_| rest.is_empty()).ok_or(wrong)
}

#[cfg(test)]
mod tests;
