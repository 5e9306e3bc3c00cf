//! What it takes to send mails to users.

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::Notify;

use crate::mail::{Mailer, Site};

/// At most one reset link in this time goes to an address, however often it is asked for: nobody's
/// mailbox can be flooded through us.
pub const MAIL_PAUSE: Duration = Duration::from_mins(5);

/// How long a worker may take for a mail that it claims. When it dies over it, others take it after
/// this. Far above [`mail::TIME_LIMIT`](crate::mail::TIME_LIMIT) and the time until a worker writes down
/// what became of a mail, together, so that no mail is sent by two.
pub const CLAIM: Duration = Duration::from_mins(2);

/// How mails are sent, and what is known of those that wait.
pub struct MailSetup {
    pub mailer: Mailer,
    /// Who writes, and what links in mails begin with.
    pub site: Site,
    /// Told when a mail was asked for.
    pub asked: Notify,
    /// Whether too many mails waited when they were last counted.
    pub is_full: AtomicBool,
}

impl MailSetup {
    pub fn new(mailer: Mailer, site: Site) -> Self {
        Self {
            mailer,
            site,
            asked: Notify::new(),
            is_full: AtomicBool::new(false),
        }
    }
}
