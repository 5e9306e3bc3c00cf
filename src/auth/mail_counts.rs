//! How many mails were sent to users, or not.

use crate::db::MailKind;
use crate::metrics::Counters;

/// What came of trying to send a mail, in a word for metrics.
pub const SENT: &str = "sent";
pub const POSTPONED: &str = "postponed";
pub const REFUSED: &str = "refused";
pub const GIVEN_UP: &str = "given_up";

/// How many times it was tried to send a mail, by its kind and by what came of it.
pub type MailCounts = Counters<(&'static str, &'static str)>;

/// Before any mail is sent.
pub fn no_mails() -> MailCounts {
    let outcomes = [SENT, POSTPONED, REFUSED, GIVEN_UP];
    let labels = MailKind::ALL.map(|kind| outcomes.map(|outcome| (kind.name(), outcome)));
    Counters::new(labels.into_iter().flatten())
}
