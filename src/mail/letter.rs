//! The words of the mails, once for both forms in which they are sent.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::clock::UnixTime;
use crate::email::Email;
use crate::public_url::PublicUrl;

/// What is written to a user. May hold a link with a token, so it has no `Debug`.
pub struct Letter {
    subject: String,
    parts: Vec<Part>,
}

enum Part {
    Paragraph(String),
    Link { label: &'static str, url: String },
}

impl Letter {
    /// The link by which the user chooses a new password, and until when.
    pub fn reset_link(site: &PublicUrl, user: &Email, link: String, ends_at: UnixTime) -> Self {
        Self {
            subject: format!("Reset your password at {}", site.authority()),
            parts: vec![
                Part::Paragraph(format!(
                    "Somebody, most likely you, asked to reset the password of {user} at {site}."
                )),
                Part::Link {
                    label: "Choose a new password",
                    url: link,
                },
                Part::Paragraph(format!(
                    "The link works once, until {}. A newer mail like this one makes it void.",
                    in_words(ends_at)
                )),
                Part::Paragraph(
                    "Nothing has changed yet. If you did not ask for this, do nothing: your password \
                     stays as it is."
                        .to_owned(),
                ),
            ],
        }
    }

    /// The news that the user's password was changed at this moment, and where to get another.
    pub fn password_changed(site: &PublicUrl, user: &Email, at: UnixTime) -> Self {
        Self {
            subject: format!("Your password at {} was changed", site.authority()),
            parts: vec![
                Part::Paragraph(format!(
                    "The password of {user} at {site} was changed on {}. Whoever was logged in is \
                     logged out.",
                    in_words(at)
                )),
                Part::Paragraph("If it was you, there is nothing to do.".to_owned()),
                Part::Paragraph(
                    "If it was not you, somebody else may be reading your mail: change the password \
                     of your mailbox first. Then choose a new one here."
                        .to_owned(),
                ),
                Part::Link {
                    label: "Ask for a new password",
                    url: site.link("/reset_password", &[]),
                },
            ],
        }
    }

    pub(super) fn subject(&self) -> &str {
        &self.subject
    }

    /// The letter as plain text.
    pub(super) fn text(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Paragraph(text) => format!("{text}\n"),
            Part::Link { label, url } => format!("{label}:\n{url}\n"),
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The letter as a page that loads nothing.
    pub(super) fn html(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Paragraph(text) => format!("<p>{}</p>\n", escape(text)),
            Part::Link { label, url } => {
                format!("<p><a href=\"{}\">{label}</a></p>\n", escape(url))
            }
        });
        let body: String = parts.collect();
        let title = escape(&self.subject);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <title>{title}</title>\n{body}</html>\n"
        )
    }
}

/// A moment as `lettre` wants it; the beginning of time for what was before.
pub(super) fn system_time(moment: UnixTime) -> SystemTime {
    let seconds = u64::try_from(moment.0).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A moment as people read it, such as `2026-11-20 20:47 UTC`.
fn in_words(moment: UnixTime) -> String {
    let text = humantime::format_rfc3339_seconds(system_time(moment)).to_string();
    format!("{} {} UTC", &text[..10], &text[11..16])
}

/// Makes of a text one that stands for itself in HTML, between tags and in a quoted attribute. An
/// address may hold `&` and `'`.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_signs_of_html_shows_as_it_is() {
        let site = "https://auth.example.org".parse().unwrap();
        let user = "o'brien&co@example.org".parse().unwrap();
        let letter = Letter::password_changed(&site, &user, UnixTime(1_800_000_000));
        assert!(letter.text().contains("o'brien&co@example.org"));
        assert!(letter.html().contains("o&#39;brien&amp;co@example.org"));
        assert!(letter.text().contains("2027-01-15 08:00 UTC"));
    }
}
