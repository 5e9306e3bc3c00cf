//! Session ids and other secrets of users: random UUIDs that their owner sees once, and the digests of them
//! that are stored.
//!
//! Two types for each, so that a plain token cannot reach the database and a digest cannot reach a
//! client. Neither shows itself in `Debug`.

use std::fmt;
use std::marker::PhantomData;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Marks tokens that stand for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Session {}

/// Marks tokens that allow one password reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reset {}

/// Marks tokens that allow one sign-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignUp {}

/// Marks tokens that allow one change of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressChange {}

/// Marks tokens that undo one change of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressUndo {}

/// Marks tokens that stand for a session at an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum App {}

/// Marks tokens that hand a user over to an app, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandOver {}

/// Marks tokens by which an app's host knows the browser again that it has sent to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppLogin {}

/// What a logged-in client presents in its cookie.
pub type SessionId = Token<Session>;
/// What is stored of a [`SessionId`].
pub type SessionDigest = TokenDigest<Session>;
/// By which a session is named in a list of sessions: 16 hexadecimal digits. Who has it can present no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedSessionId([u8; 8]);

/// What allows its holder to choose a new password, once.
pub type ResetToken = Token<Reset>;
/// What is stored of a [`ResetToken`].
pub type ResetTokenDigest = TokenDigest<Reset>;
/// What allows its holder to sign up with an address, once.
pub type SignUpToken = Token<SignUp>;
/// What is stored of a [`SignUpToken`].
pub type SignUpTokenDigest = TokenDigest<SignUp>;
/// What allows its holder, in a session of their own, to give their account another address, once.
pub type EmailToken = Token<AddressChange>;
/// What is stored of an [`EmailToken`].
pub type EmailTokenDigest = TokenDigest<AddressChange>;
/// What allows its holder to take their account back to the address that it had, once.
pub type UndoToken = Token<AddressUndo>;
/// What is stored of an [`UndoToken`].
pub type UndoTokenDigest = TokenDigest<AddressUndo>;

/// What a client that is logged in presents to an app, in a cookie of the app's host. It opens nothing else.
pub type AppSessionId = Token<App>;
/// What is stored of an [`AppSessionId`].
pub type AppSessionDigest = TokenDigest<App>;
/// What an app's host is given for an app session, once.
pub type Ticket = Token<HandOver>;
/// What is stored of a [`Ticket`].
pub type TicketDigest = TokenDigest<HandOver>;
/// What a browser keeps while it logs in for an app.
pub type AppLoginToken = Token<AppLogin>;
/// By which a ticket is bound to the browser that asked for it: what others learn of its [`AppLoginToken`].
pub type AppLoginState = TokenDigest<AppLogin>;

/// Where tokens come from; from outside, so that tests can repeat themselves.
pub trait TokenSource: Send + Sync {
    /// A UUID that cannot be guessed.
    fn uuid(&self) -> Uuid;
}

/// The operating system's random number generator: 122 random bits a token (RFC 9562, 5.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsRandom;

impl TokenSource for OsRandom {
    fn uuid(&self) -> Uuid {
        Uuid::new_v4()
    }
}

/// A secret in the hands of its owner.
#[derive(Clone)]
pub struct Token<Kind> {
    uuid: Uuid,
    kind: PhantomData<Kind>,
}

impl<Kind> Token<Kind> {
    /// A new token.
    pub fn new(source: &dyn TokenSource) -> Self {
        Self {
            uuid: source.uuid(),
            kind: PhantomData,
        }
    }

    /// Reads a token that a client presents; `None` if the text was never a token of ours.
    pub fn parse(text: &str) -> Option<Self> {
        /// 32 hexadecimal digits and four hyphens: the only one of a UUID's forms that we hand out.
        const LENGTH: usize = 36;
        if text.len() != LENGTH {
            return None;
        }
        Some(Self {
            uuid: Uuid::try_parse(text).ok()?,
            kind: PhantomData,
        })
    }

    /// The text that is given to the owner alone.
    pub fn reveal(&self) -> String {
        self.uuid.hyphenated().to_string()
    }

    /// What is stored: the SHA-256 of the revealed text. No salt and no stretching, since
    /// 122 random bits cannot be searched.
    pub fn digest(&self) -> TokenDigest<Kind> {
        let mut text = Uuid::encode_buffer();
        let text = self.uuid.hyphenated().encode_lower(&mut text);
        TokenDigest {
            bytes: Sha256::digest(text).into(),
            kind: PhantomData,
        }
    }
}

impl<Kind> fmt::Debug for Token<Kind> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(redacted)")
    }
}

/// A token as the database knows it. Who reads it has nothing to present.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest<Kind> {
    bytes: [u8; 32],
    kind: PhantomData<Kind>,
}

impl<Kind> TokenDigest<Kind> {
    /// The 32 bytes to store or to look up.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<Kind> TokenDigest<Kind> {
    /// The digest that was stored as these bytes; `None` if none is.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            bytes: bytes.try_into().ok()?,
            kind: PhantomData,
        })
    }
}

impl AppLoginState {
    /// How it is written in a URL: 64 hexadecimal digits.
    pub fn to_text(self) -> String {
        let digits = self.bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect()
    }

    /// Reads what [`to_text`](Self::to_text) writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 64 || !text.bytes().all(is_digit) {
            return None;
        }
        let bytes = (0..32).map(|index| u8::from_str_radix(&text[2 * index..2 * index + 2], 16));
        let bytes: Vec<u8> = bytes.collect::<Result<_, _>>().ok()?;
        Self::from_bytes(&bytes)
    }
}

impl SessionDigest {
    /// By which the session is named in a list: the first 64 bits of a SHA-256 of the digest.
    pub fn listed_id(&self) -> ListedSessionId {
        let mut digest = Sha256::new();
        digest.update("session list\0");
        digest.update(self.bytes);
        let mut first = [0; 8];
        first.copy_from_slice(&digest.finalize()[..8]);
        ListedSessionId(first)
    }
}

impl ListedSessionId {
    /// Reads what [`Display`](fmt::Display) writes; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return None;
        }
        let number = u64::from_str_radix(text, 16).ok()?;
        Some(Self(number.to_be_bytes()))
    }
}

impl fmt::Display for ListedSessionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl<Kind> fmt::Debug for TokenDigest<Kind> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("TokenDigest(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revealed_token_is_parsed_back_to_the_same_digest() {
        let token = SessionId::new(&OsRandom);
        let presented = SessionId::parse(&token.reveal()).unwrap();
        assert_eq!(presented.digest(), token.digest());
    }

    #[test]
    fn a_digest_is_the_sha_256_of_the_revealed_text() {
        let token = ResetToken::parse("a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44").unwrap();
        let expected: [u8; 32] = Sha256::digest(b"a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44").into();
        assert_eq!(token.digest().as_bytes(), expected);
    }

    #[test]
    fn only_the_form_that_is_handed_out_is_a_token() {
        for text in [
            "",
            "null",
            "a4d19e2f88f14bc489f77d39b98a3d44",
            "{a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44}",
            "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d4g",
            "a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44 ",
        ] {
            assert!(SessionId::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn a_session_is_listed_by_an_id_of_its_own_that_is_read_back() {
        let session = SessionId::parse("a4d19e2f-88f1-4bc4-89f7-7d39b98a3d44").unwrap();
        let id = session.digest().listed_id();
        let mut hashed = b"session list\0".to_vec();
        hashed.extend(session.digest().as_bytes());
        let first: [u8; 8] = Sha256::digest(hashed)[..8].try_into().unwrap();
        let expected = format!("{:016x}", u64::from_be_bytes(first));
        assert_eq!(id.to_string(), expected);
        assert_eq!(ListedSessionId::parse(&expected), Some(id));
        let stored = SessionDigest::from_bytes(session.digest().as_bytes());
        assert_eq!(stored.unwrap().listed_id(), id);
        for text in [
            "",
            "0",
            &expected.to_uppercase(),
            &format!("{expected}0"),
            "+123456789abcdef",
        ] {
            assert_eq!(ListedSessionId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_and_digests_hide_themselves() {
        let token = SessionId::new(&OsRandom);
        assert_eq!(format!("{token:?}"), "Token(redacted)");
        assert_eq!(format!("{:?}", token.digest()), "TokenDigest(redacted)");
    }
}
