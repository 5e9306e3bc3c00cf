//! The tokens of mails that are not done, in memory, so that each try of a mail sends the same link.
//!
//! A mail server can take a mail and break off before it says so. If each try had a token of its own, a next one
//! that is refused would void the link that was delivered.
//!
//! They stay in this process: after a restart, and by another instance, the next try has a new token.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::UnixTime;
use crate::token::{EmailToken, ResetToken, SignUpToken, UndoToken};

/// How many are remembered, in less than 1 MB. Without an outage of the mail server, a few dozen are.
const MOST: usize = 4096;

/// When a mail was asked for, and its row: who asks for a mail anew gets another token.
pub type MailId = (UnixTime, i64);

/// The token in the link of a mail.
#[derive(Clone, Debug)]
pub enum IssuedToken {
    /// To choose a new password.
    Reset(ResetToken),
    /// To sign up.
    SignUp(SignUpToken),
    /// To have another address.
    Email(EmailToken),
    /// To undo a change of an address.
    Undo(UndoToken),
}

/// The tokens of mails that are under way or are tried again.
#[derive(Default)]
pub struct IssuedTokens(Mutex<BTreeMap<MailId, IssuedToken>>);

impl IssuedTokens {
    /// The token that the last try of a mail sent. `None` if that had none, or it is forgotten.
    pub fn of(&self, mail: MailId) -> Option<IssuedToken> {
        self.lock().get(&mail).cloned()
    }

    /// Remembers the token of a mail. Those of the mails that were asked for first are forgotten if there are too
    /// many.
    pub fn remember(&self, mail: MailId, token: IssuedToken) {
        let mut tokens = self.lock();
        tokens.insert(mail, token);
        while tokens.len() > MOST {
            tokens.pop_first();
        }
    }

    /// Forgets a mail, which is done.
    pub fn forget(&self, mail: MailId) {
        self.lock().remove(&mail);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<MailId, IssuedToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::OsRandom;

    #[test]
    fn of_too_many_tokens_those_asked_for_first_are_forgotten() {
        let tokens = IssuedTokens::default();
        let token = IssuedToken::Reset(ResetToken::new(&OsRandom));
        let most = i64::try_from(MOST).unwrap();
        for second in (0..=most).rev() {
            tokens.remember((UnixTime(second), 1), token.clone());
        }
        assert_eq!(tokens.lock().len(), MOST);
        assert!(tokens.of((UnixTime(0), 1)).is_none());
        assert!(tokens.of((UnixTime(1), 1)).is_some());
        assert!(tokens.of((UnixTime(1), 2)).is_none(), "another mail");
    }
}
