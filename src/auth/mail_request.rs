//! Recording a request for a mail.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Auth;
use super::audit::{MAILS_IN_ALL, MAILS_OF_NETWORK};
use super::error::{Error, Result};
use super::mail_setup::MailSetup;
use super::outbox::{CLAIM, mail_pause};
use crate::clock::CLOCK_TOLERANCE;
use crate::db::{MailKind, MailRequest, MailRequestOutcome};
use crate::email::Email;
use crate::language::Language;
use crate::source::Source;

/// When to ask again if too many mails wait. What keeps them is seldom over sooner.
const FULL_RETRY_AFTER: Duration = Duration::from_secs(10);

/// How many mails may wait that were asked for from one network, to known and unknown addresses. More
/// than a large company asks for before a worker has taken them up, which is a matter of seconds unless
/// the mail server is away.
const MOST_OF_NETWORK: u32 = 1_000;

impl Auth {
    /// Records that a mail to this address is asked for, known or not: the worker finds out what it is to
    /// say, and whether it is sent. None is recorded without an address.
    ///
    /// # Errors
    ///
    /// [`Throttled`](super::Error::Throttled) when too many mails wait, whatever the address.
    pub(super) async fn ask_for_mail(
        &self,
        mails: &MailSetup,
        kind: MailKind,
        email: Option<&Email>,
        language: Language,
        source: Source,
    ) -> Result<()> {
        self.ensure_mails_are_taken(mails, source)?;
        let Some(email) = email else {
            return Ok(());
        };
        let request = self.mail_request(kind, email, language, source);
        if self.db.outbox.ask(request).await? == MailRequestOutcome::TooManyWait {
            return Err(self.too_many_mails_of_network(source));
        }
        mails.asked.notify_one();
        Ok(())
    }

    /// Checks that not too many mails wait in all. A mail that is promised is sent, so what cannot be recorded
    /// is refused and not promised.
    pub(super) fn ensure_mails_are_taken(&self, mails: &MailSetup, source: Source) -> Result<()> {
        if mails.is_full.load(Ordering::Relaxed) {
            return Err(self.audit.throttled(source, MAILS_IN_ALL, FULL_RETRY_AFTER));
        }
        Ok(())
    }

    /// The refusal if too many mails wait that were asked for from the network of this source.
    pub(super) fn too_many_mails_of_network(&self, source: Source) -> Error {
        self.audit
            .throttled(source, MAILS_OF_NETWORK, FULL_RETRY_AFTER)
    }

    /// A request of this moment.
    pub(super) fn mail_request<'a>(
        &self,
        kind: MailKind,
        email: &'a Email,
        language: Language,
        source: Source,
    ) -> MailRequest<'a> {
        let now = self.clock.now();
        MailRequest {
            kind,
            email,
            language,
            network: source.network(),
            pause: mail_pause(now),
            latest_claim: now.after(CLAIM + CLOCK_TOLERANCE),
            most_of_network: MOST_OF_NETWORK,
        }
    }
}
