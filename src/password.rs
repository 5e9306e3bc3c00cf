//! Passwords.
//!
//! - `received`: a password as it is received, and what cannot be one.
//! - `policy`: which passwords are too weak to be chosen.
//! - `hashing`: how they are hashed and checked, on threads of its own.

mod hashing;
mod policy;
mod received;

pub use hashing::{Asker, Cost, Error, HashKind, Passwords, UnusableHash, Verdict};
pub use policy::{PasswordRule, WeakPassword};
pub use received::{InvalidPassword, MAX_BYTES, Password};
