//! What owners are told of what was done with their accounts. No notice has a token in it, and nothing that
//! the one who did it could choose.

use super::{MOMENT, Message, Part, Site, Subject};
use crate::client::ClientName;
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::{Language, Text, Translated, text};
use crate::source::Source;

pub const WAS_YOU: Text = text(
    "If this was you, there is nothing to do.",
    "Si c’est vous, il n’y a rien à faire.",
);

const CHANGED_SUBJECT: Subject = Translated {
    en: |site| format!("Your {site} password was changed"),
    fr: |site| format!("Votre mot de passe {site} a été changé"),
};
const CHANGED: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "The password of {user} at {site} was changed on {moment}. All other devices were logged out."
        )
    },
    fr: |user, site, moment| {
        format!(
            "Le mot de passe de {user} sur {site} a été changé le {moment}. Tous les autres appareils \
             ont été déconnectés."
        )
    },
};
const NOT_CHANGED_BY_YOU: Text = text(
    "If it was not you, someone else knows your password or reads your email: change the password of your \
     mailbox first, then choose a new one here:",
    "Sinon, quelqu’un d’autre connaît votre mot de passe ou lit vos e‑mails\u{A0}: changez d’abord le mot de \
     passe de votre messagerie, puis choisissez‑en un nouveau ici\u{A0}:",
);

const LOGIN_SUBJECT: Subject = Translated {
    en: |site| format!("New login to your {site} account"),
    fr: |site| format!("Nouvelle connexion à votre compte {site}"),
};
const LOGGED_IN: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "Someone logged in as {user} at {site} on {moment}, from where you have not logged in for 30 days:"
        )
    },
    fr: |user, site, moment| {
        format!(
            "Quelqu’un s’est connecté au compte {user} sur {site} le {moment}, d’un endroit d’où vous ne vous \
             étiez pas connecté depuis 30 jours\u{A0}:"
        )
    },
};
const BROWSER: Translated<fn(&str, &str) -> String> = Translated {
    en: |browser, system| format!("{browser} on {system}"),
    fr: |browser, system| format!("{browser} sur {system}"),
};
const OTHER_PROGRAM: Text = text("a program unknown here", "un programme inconnu ici");
const FROM: Translated<fn(&str, Source) -> String> = Translated {
    en: |client, source| format!("{client}, IP address {source}"),
    fr: |client, source| format!("{client}, adresse IP {source}"),
};
const NOT_LOGGED_IN_BY_YOU: Text = text(
    "If it was not you, someone else knows your password. Choose a new one here, which logs out all devices:",
    "Sinon, quelqu’un d’autre connaît votre mot de passe. Choisissez‑en un nouveau ici, ce qui déconnecte \
     tous les appareils\u{A0}:",
);

const DELETED_SUBJECT: Subject = Translated {
    en: |site| format!("Your {site} account was deleted"),
    fr: |site| format!("Votre compte {site} a été supprimé"),
};
const DELETED: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "The account of {user} at {site} was deleted on {moment}. It cannot be brought back."
        )
    },
    fr: |user, site, moment| {
        format!(
            "Le compte de {user} sur {site} a été supprimé le {moment}. Il ne peut pas être rétabli."
        )
    },
};
const NOT_DELETED_BY_YOU: Text = text(
    "If it was not you, someone else knew your password: change it wherever else you use it. Your address is \
     free for a new account.",
    "Sinon, quelqu’un d’autre connaissait votre mot de passe\u{A0}: changez‑le partout où vous l’utilisez. \
     Votre adresse est libre pour un nouveau compte.",
);

/// A login that its user is told of.
pub struct Login<'a> {
    /// When it was.
    pub at: UnixTime,
    /// What it was made with; `None` if that did not say. Only browsers are told by name: the name of
    /// another program is a text that whoever logs in can choose.
    pub client: Option<&'a ClientName>,
    /// From where; `None` if that is not known.
    pub source: Option<Source>,
}

impl Message {
    /// The notice that a user's password was changed at this moment, and how to get another.
    pub fn password_changed(
        site: &Site,
        language: Language,
        user: &Email,
        changed_at: UnixTime,
    ) -> Self {
        let moment = MOMENT.in_language(language)(changed_at);
        let changed = CHANGED.in_language(language)(user, &site.described(), &moment);
        let parts = vec![
            Part::Paragraph(changed),
            Part::paragraph(language, WAS_YOU),
            Part::paragraph(language, NOT_CHANGED_BY_YOU),
            Part::reset_button(site, language),
        ];
        Self::new(site, language, &CHANGED_SUBJECT, parts)
    }

    /// The notice of a login from a source that was not familiar to the user, and how to end it.
    pub fn login(site: &Site, language: Language, user: &Email, login: &Login) -> Self {
        let moment = MOMENT.in_language(language)(login.at);
        let browser = login.client.and_then(ClientName::browser_and_system);
        let client = match browser {
            Some((browser, Some(system))) => BROWSER.in_language(language)(browser, system),
            Some((browser, None)) => browser.to_owned(),
            None => OTHER_PROGRAM.in_language(language).to_owned(),
        };
        let from = match login.source {
            Some(source) => FROM.in_language(language)(&client, source),
            None => client,
        };
        let parts = vec![
            Part::Paragraph(LOGGED_IN.in_language(language)(
                user,
                &site.described(),
                &moment,
            )),
            Part::Paragraph(from),
            Part::paragraph(language, WAS_YOU),
            Part::paragraph(language, NOT_LOGGED_IN_BY_YOU),
            Part::reset_button(site, language),
        ];
        Self::new(site, language, &LOGIN_SUBJECT, parts)
    }

    /// The notice that an account was deleted at this moment.
    pub fn account_deleted(
        site: &Site,
        language: Language,
        user: &Email,
        deleted_at: UnixTime,
    ) -> Self {
        let moment = MOMENT.in_language(language)(deleted_at);
        let deleted = DELETED.in_language(language)(user, &site.described(), &moment);
        let parts = vec![
            Part::Paragraph(deleted),
            Part::paragraph(language, WAS_YOU),
            Part::paragraph(language, NOT_DELETED_BY_YOU),
        ];
        Self::new(site, language, &DELETED_SUBJECT, parts)
    }
}
