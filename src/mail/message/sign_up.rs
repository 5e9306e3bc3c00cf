//! What is written to who signs up.

use super::{Asked, Link, Message, Part, Site, Subject};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::{Language, Text, Translated, text};

const FINISH_SUBJECT: Subject = Translated {
    en: |site| format!("Finish creating your {site} account"),
    fr: |site| format!("Terminez la création de votre compte {site}"),
};
const SIGN_UP_ASKED: Asked = Translated {
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
const EXISTS_SUBJECT: Subject = Translated {
    en: |site| format!("You already have a {site} account"),
    fr: |site| format!("Vous avez déjà un compte {site}"),
};
const EXISTS: Asked = Translated {
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
const LOG_IN: Text = text("Log in", "Se connecter");
const FORGOTTEN: Text = text(
    "If you have forgotten your password, choose a new one:",
    "Si vous avez oublié votre mot de passe, choisissez‑en un nouveau\u{A0}:",
);
const NOTHING_CHANGED: Text = text(
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
        let link = Link {
            url: link,
            label: CHOOSE_PASSWORD,
            ends_at,
        };
        let (subject, asked) = (&FINISH_SUBJECT, &SIGN_UP_ASKED);
        Self::with_link(site, language, user, subject, asked, link, NO_ACCOUNT_YET)
    }

    /// The notice of a try to sign up with the address of a user, with the ways into the account.
    pub fn account_exists(site: &Site, language: Language, user: &Email) -> Self {
        Self::with_ways_in(site, language, user, &EXISTS)
    }

    /// The notice of a try to use the address of a user for another account, with the ways into theirs.
    pub(super) fn with_ways_in(
        site: &Site,
        language: Language,
        user: &Email,
        tried: &Asked,
    ) -> Self {
        let query = [("email", user.as_str())];
        let parts = vec![
            Part::Paragraph(tried.in_language(language)(user, &site.described())),
            Part::Button {
                label: LOG_IN.in_language(language),
                url: site.public_url.link("/sessions", &query),
            },
            Part::paragraph(language, FORGOTTEN),
            Part::reset_button(site, language),
            Part::paragraph(language, NOTHING_CHANGED),
        ];
        Self::new(site, language, &EXISTS_SUBJECT, parts)
    }
}
