//! What mails say, as plain text and as a page that loads nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::{Language, Text, Translated, text};
use crate::public_url::PublicUrl;

mod address;
mod notices;
mod sign_up;

pub use address::Undo;
pub use notices::Login;

/// Who writes.
#[derive(Clone, Debug)]
pub struct Site {
    /// The name of the site.
    pub name: String,
    /// What links begin with.
    pub public_url: PublicUrl,
}

/// What is written to a user. May hold a link with a token, so it has no `Debug`.
pub struct Message {
    language: Language,
    site: String,
    subject: String,
    parts: Vec<Part>,
}

enum Part {
    Paragraph(String),
    Button { label: &'static str, url: String },
}

const RESET_SUBJECT: Subject = Translated {
    en: |site| format!("Reset your {site} password"),
    fr: |site| format!("Réinitialisez votre mot de passe {site}"),
};
const RESET_ASKED: Asked = Translated {
    en: |user, site| {
        format!(
            "Someone asked to reset the password of {user} at {site}. If it was you, choose a new one:"
        )
    },
    fr: |user, site| {
        format!(
            "Quelqu’un a demandé à réinitialiser le mot de passe de {user} sur {site}. Si c’est vous, \
             choisissez‑en un nouveau\u{A0}:"
        )
    },
};
const CHOOSE_PASSWORD: Text = text("Choose a new password", "Choisir un nouveau mot de passe");
const LINK_ENDS: Translated<fn(&str) -> String> = Translated {
    en: |moment| {
        format!("The link works once, until {moment}. A newer email like this one replaces it.")
    },
    fr: |moment| {
        format!(
            "Le lien sert une seule fois, jusqu’au {moment}. Un e‑mail plus récent comme celui‑ci le \
             remplace."
        )
    },
};
const NOT_YOU: Text = text(
    "If you did not ask for this, you can ignore this email: nothing has changed.",
    "Si vous n’avez rien demandé, ignorez cet e‑mail\u{A0}: rien n’a changé.",
);
const RESET_PASSWORD: Text = text("Reset your password", "Réinitialiser le mot de passe");

/// A link that works once.
struct Link {
    url: String,
    label: Text,
    /// Until when it works.
    ends_at: UnixTime,
}

/// A subject, with the name of the site.
type Subject = Translated<fn(&str) -> String>;

/// What was asked for, with the address and what the site is called.
type Asked = Translated<fn(&Email, &str) -> String>;

impl Part {
    fn paragraph(language: Language, text: Text) -> Self {
        Self::Paragraph(text.in_language(language).to_owned())
    }

    /// The way to another password.
    fn reset_button(site: &Site, language: Language) -> Self {
        Self::Button {
            label: RESET_PASSWORD.in_language(language),
            url: site.public_url.link("/reset_password", &[]),
        }
    }
}

impl Message {
    fn new(site: &Site, language: Language, subject: &Subject, parts: Vec<Part>) -> Self {
        Self {
            language,
            site: site.name.clone(),
            subject: subject.in_language(language)(&site.name),
            parts,
        }
    }

    /// A link that was asked for, until when it works, and what to do for who has not asked.
    fn with_link(
        site: &Site,
        language: Language,
        user: &Email,
        subject: &Subject,
        asked: &Asked,
        link: Link,
        unasked: Text,
    ) -> Self {
        let ends_at = MOMENT.in_language(language)(link.ends_at);
        let parts = vec![
            Part::Paragraph(asked.in_language(language)(user, &site.described())),
            Part::Button {
                label: link.label.in_language(language),
                url: link.url,
            },
            Part::Paragraph(LINK_ENDS.in_language(language)(&ends_at)),
            Part::paragraph(language, unasked),
        ];
        Self::new(site, language, subject, parts)
    }

    /// The link by which a user chooses a new password, and until when it works.
    pub fn reset_link(
        site: &Site,
        language: Language,
        user: &Email,
        link: String,
        ends_at: UnixTime,
    ) -> Self {
        let link = Link {
            url: link,
            label: CHOOSE_PASSWORD,
            ends_at,
        };
        Self::with_link(
            site,
            language,
            user,
            &RESET_SUBJECT,
            &RESET_ASKED,
            link,
            NOT_YOU,
        )
    }

    /// The name of the site that writes.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The subject.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The message as plain text. A link stands alone on its line, so that no sign after it is taken for
    /// a part of it.
    pub fn text(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Paragraph(text) => format!("{text}\n"),
            Part::Button { url, .. } => format!("{url}\n"),
        });
        parts.collect::<Vec<_>>().join("\n")
    }

    /// The message as a page.
    pub fn html(&self) -> String {
        let page: Markup = html! {
            (DOCTYPE)
            html lang=(self.language.tag()) {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.subject) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    div.sheet {
                        p.site { (self.site) }
                        @for part in &self.parts {
                            @match part {
                                Part::Paragraph(text) => p { (text) },
                                Part::Button { label, url } => {
                                    p { a.button href=(url) style=(BUTTON) { (label) } }
                                },
                            }
                        }
                    }
                }
            }
        };
        page.into_string() + "\n"
    }
}

/// For mail programs that ignore style sheets.
const BUTTON: &str = "display:inline-block;padding:12px 20px;border-radius:6px;background:#1f4fbf;\
                      color:#ffffff;font-weight:600;text-decoration:none";

const STYLE: &str = "
body { margin: 0; padding: 16px; background: #f3f4f7; color: #1a2230;
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', sans-serif; }
.sheet { max-width: 520px; margin: 0 auto; padding: 24px; background: #ffffff; border-radius: 12px;
  overflow-wrap: anywhere; }
.site { margin: 0 0 16px; font-size: 18px; font-weight: 650; }
p { margin: 0 0 16px; }
@media (prefers-color-scheme: dark) {
  body { background: #12151b; color: #e9ecf2; }
  .sheet { background: #1c2028; }
}
";

impl Site {
    /// The name with the host, so that a reader can tell which site it is. Without a scheme, so that no
    /// mail program makes a link of it.
    fn described(&self) -> String {
        let host = self.public_url.authority();
        if self.name == host {
            self.name.clone()
        } else {
            format!("{} ({host})", self.name)
        }
    }
}

/// A moment as `lettre` wants it; 1970 for what was before.
pub fn system_time(moment: UnixTime) -> SystemTime {
    let seconds = u64::try_from(moment.0).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A moment written out, such as `20 November 2026, 20:47 UTC`.
const MOMENT: Translated<fn(UnixTime) -> String> = Translated {
    en: |moment| {
        let Moment {
            day,
            month,
            year,
            time,
        } = Moment::of(
            moment,
            [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ],
        );
        format!("{day} {month} {year}, {time} UTC")
    },
    fr: |moment| {
        let Moment {
            day,
            month,
            year,
            time,
        } = Moment::of(
            moment,
            [
                "janvier",
                "février",
                "mars",
                "avril",
                "mai",
                "juin",
                "juillet",
                "août",
                "septembre",
                "octobre",
                "novembre",
                "décembre",
            ],
        );
        let day = if day == "1" { "1er" } else { &day };
        format!("{day} {month} {year} à {time} UTC")
    },
};

struct Moment {
    day: String,
    month: &'static str,
    year: String,
    time: String,
}

impl Moment {
    /// Takes a moment apart, with these names of months.
    fn of(moment: UnixTime, months: [&'static str; 12]) -> Self {
        let text = humantime::format_rfc3339_seconds(system_time(moment)).to_string();
        let month: usize = text[5..7].parse().unwrap_or(1);
        Self {
            day: text[8..10].trim_start_matches('0').to_owned(),
            month: months[(month - 1) % 12],
            year: text[..4].to_owned(),
            time: text[11..16].to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_with_signs_of_html_shows_as_it_is() {
        let site = Site {
            name: "Caf\u{E9} & <Co>".to_owned(),
            public_url: "https://auth.example.org".parse().unwrap(),
        };
        let user = "o'brien&co@example.org".parse().unwrap();
        let changed_at = UnixTime(1_800_000_000);
        for (language, moment) in [
            (Language::English, "15 January 2027, 08:00 UTC"),
            (Language::French, "15 janvier 2027 à 08:00 UTC"),
        ] {
            let message = Message::password_changed(&site, language, &user, changed_at);
            let described = "o'brien&co@example.org";
            assert!(message.text().contains(described), "{}", message.text());
            assert!(
                message
                    .text()
                    .contains("Caf\u{E9} & <Co> (auth.example.org)")
            );
            assert!(message.html().contains("o'brien&amp;co@example.org"));
            assert!(message.html().contains("Caf\u{E9} &amp; &lt;Co&gt;"));
            assert!(message.text().contains(moment));
            assert!(
                message
                    .html()
                    .contains(&format!("lang=\"{}\"", language.tag()))
            );
        }
    }
}
