//! What it takes to send mails to users.

use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;

use crate::mail::{Mailer, Site};

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
