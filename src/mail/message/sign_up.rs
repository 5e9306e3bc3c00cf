//! What is written to who signs up.

use super::{LINK_ENDS, MOMENT, Message, Part, RESET_PASSWORD, Site};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::{Language, Text, Translated, text};

const FINISH_SUBJECT: Translated<fn(&str) -> String> = Translated {
    en: |site| format!("Finish creating your {site} account"),
    fr: |site| format!("Terminez la création de votre compte {site}"),
};
const SIGN_UP_ASKED: Translated<fn(&Email, &str) -> String> = Translated {
    en: |user, site| {
        format!(
            "Someone asked to create an account for {user} at {site}. If it was you, choose a password to \
             finish:"
        )
    },
    fr: |user, site| {
        format!(
            "Quelqu’un a demandé à créer un compte avec {user} sur {site}. Si c’est vous, choisissez un mot \
             de passe pour terminer\u{A0}:"
        )
    },
};
const CHOOSE_PASSWORD: Text = text("Choose a password", "Choisir un mot de passe");
const NO_ACCOUNT_YET: Text = text(
    "If you did not ask for this, you can ignore this email: without the link, no account is created.",
    "Si vous n’avez rien demandé, ignorez cet e‑mail\u{A0}: sans le lien, aucun compte n’est créé.",
);
pub const EXISTS_SUBJECT: Translated<fn(&str) -> String> = Translated {
    en: |site| format!("You already have a {site} account"),
    fr: |site| format!("Vous avez déjà un compte {site}"),
};
const EXISTS: Translated<fn(&Email, &str) -> String> = Translated {
    en: |user, site| {
        format!(
            "Someone tried to create an account for {user} at {site}, but you already have one. If it was \
             you, log in:"
        )
    },
    fr: |user, site| {
        format!(
            "Quelqu’un a essayé de créer un compte avec {user} sur {site}, mais vous en avez déjà un. Si \
             c’est vous, connectez‑vous\u{A0}:"
        )
    },
};
pub const LOG_IN: Text = text("Log in", "Se connecter");
pub const FORGOTTEN: Text = text(
    "If you have forgotten your password, choose a new one:",
    "Si vous avez oublié votre mot de passe, choisissez‑en un nouveau\u{A0}:",
);
pub const NOTHING_CHANGED: Text = text(
    "If it was not you, there is nothing to do: nothing has changed, and they were not told that you have \
     an account.",
    "Sinon, il n’y a rien à faire\u{A0}: rien n’a changé, et cette personne n’a pas appris que vous avez un \
     compte.",
);

impl Message {
    /// The link by which the owner of an address signs up, and until when it works.
    pub fn sign_up_link(
        site: &Site,
        language: Language,
        user: &Email,
        link: String,
        ends_at: UnixTime,
    ) -> Self {
        let url = link;
        let label = CHOOSE_PASSWORD.in_language(language);
        let asked = SIGN_UP_ASKED.in_language(language)(user, &site.described());
        let ends = LINK_ENDS.in_language(language)(&MOMENT.in_language(language)(ends_at));
        Self {
            language,
            site: site.name.clone(),
            subject: FINISH_SUBJECT.in_language(language)(&site.name),
            parts: vec![
                Part::Paragraph(asked),
                Part::Button { label, url },
                Part::Paragraph(ends),
                Part::Paragraph(NO_ACCOUNT_YET.in_language(language).to_owned()),
            ],
        }
    }

    /// The notice of a try to sign up with the address of a user, with the ways into the account.
    pub fn account_exists(site: &Site, language: Language, user: &Email) -> Self {
        let query = [("email", user.as_str())];
        Self {
            language,
            site: site.name.clone(),
            subject: EXISTS_SUBJECT.in_language(language)(&site.name),
            parts: vec![
                Part::Paragraph(EXISTS.in_language(language)(user, &site.described())),
                Part::Button {
                    label: LOG_IN.in_language(language),
                    url: site.public_url.link("/sessions", &query),
                },
                Part::Paragraph(FORGOTTEN.in_language(language).to_owned()),
                Part::Button {
                    label: RESET_PASSWORD.in_language(language),
                    url: site.public_url.link("/reset_password", &[]),
                },
                Part::Paragraph(NOTHING_CHANGED.in_language(language).to_owned()),
            ],
        }
    }
}
