//! From whom mails come.

use std::fmt;
use std::str::FromStr;

use lettre::Address;
use lettre::message::Mailbox;

/// The name and the address in the `From` of mails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(Mailbox);

/// Why a text is no [`Sender`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("give an address such as noreply@example.org or \"Example <noreply@example.org>\"")]
pub struct InvalidSender;

impl Sender {
    /// The sender with its own name, else with this one.
    pub fn mailbox(&self, site: &str) -> Mailbox {
        let mut mailbox = self.0.clone();
        mailbox.name.get_or_insert_with(|| site.to_owned());
        mailbox
    }

    /// The domain of its address.
    pub fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// A sender for mails that are put into a folder.
impl Default for Sender {
    fn default() -> Self {
        Self(Address::new_dangerous("bienvenue", "localhost").into())
    }
}

impl FromStr for Sender {
    type Err = InvalidSender;

    fn from_str(text: &str) -> Result<Self, InvalidSender> {
        if text.contains(char::is_control) {
            return Err(InvalidSender);
        }
        Ok(Self(text.trim().parse().map_err(|_| InvalidSender)?))
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_and_without_a_name() {
        for text in [
            "noreply@example.org",
            "Example <noreply@example.org>",
            "\"Example, Inc.\" <noreply@example.org>",
            "<noreply@example.org>",
        ] {
            let sender: Sender = text.parse().unwrap();
            assert_eq!(sender.domain(), "example.org", "{text}");
        }
    }

    #[test]
    fn the_default_is_an_address_too() {
        let text = Sender::default().to_string();
        assert_eq!(text.parse(), Ok(Sender::default()));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "Example",
            "noreply@",
            "a@b c@d",
            "a@b, c@d",
            "A <a@b",
            "A <a@b>\r\nBcc: c@d",
        ] {
            assert_eq!(text.parse::<Sender>(), Err(InvalidSender), "{text:?}");
        }
    }
}
