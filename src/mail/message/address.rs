//! What is written when the address of an account changes.

use super::notices::WAS_YOU;
use super::{Asked, Link, MOMENT, Message, NOT_YOU, Part, Site, Subject};
use crate::clock::UnixTime;
use crate::email::Email;
use crate::language::{Language, Text, Translated, text};

const CONFIRM_SUBJECT: Subject = Translated {
    en: |site| format!("Confirm your new address for {site}"),
    fr: |site| format!("Confirmez votre nouvelle adresse pour {site}"),
};
const CONFIRM_ASKED: Asked = Translated {
    en: |user, site| {
        format!(
            "Someone asked to make {user} the address of their account at {site}. If it was you, open this \
             link in a browser in which you are logged in:"
        )
    },
    fr: |user, site| {
        format!(
            "Quelqu’un a demandé à donner l’adresse {user} à son compte sur {site}. Si c’est vous, ouvrez ce \
             lien dans un navigateur où vous êtes connecté\u{A0}:"
        )
    },
};
const CONFIRM: Text = text("Confirm the address", "Confirmer l’adresse");
const NOT_CONFIRMED: Text = text(
    "If you did not ask for this, you can ignore this email: without the link, nothing changes.",
    "Si vous n’avez rien demandé, ignorez cet e‑mail\u{A0}: sans le lien, rien ne change.",
);
const TAKEN: Asked = Translated {
    en: |user, site| {
        format!(
            "Someone asked to make {user} the address of another account at {site}, but you already have one \
             with it. If it was you, log in to this one:"
        )
    },
    fr: |user, site| {
        format!(
            "Quelqu’un a demandé à donner l’adresse {user} à un autre compte sur {site}, mais vous en avez \
             déjà un avec elle. Si c’est vous, connectez‑vous à celui‑ci\u{A0}:"
        )
    },
};
const CHANGED_SUBJECT: Subject = Translated {
    en: |site| format!("The address of your {site} account was changed"),
    fr: |site| format!("L’adresse de votre compte {site} a été changée"),
};
const CHANGED: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "Your account at {site} had the address {user} until {moment}, when it was given another one. \
             You log in with that one now. All other devices were logged out."
        )
    },
    fr: |user, site, moment| {
        format!(
            "Votre compte sur {site} avait l’adresse {user} jusqu’au {moment}, où il en a reçu une autre. \
             C’est avec celle‑ci que vous vous connectez désormais. Tous les autres appareils ont été \
             déconnectés."
        )
    },
};
const WAS_NOT_YOU: Text = text(
    "If it was not you, take your account back and choose a new password here:",
    "Sinon, récupérez votre compte et choisissez un nouveau mot de passe ici\u{A0}:",
);
const TAKE_BACK: Text = text("Take the account back", "Récupérer le compte");
const UNDO_ENDS: Translated<fn(&str) -> String> = Translated {
    en: |moment| {
        format!("The link works once, until {moment}. Until then nobody else can use this address.")
    },
    fr: |moment| {
        format!(
            "Le lien sert une seule fois, jusqu’au {moment}. D’ici là, personne d’autre ne peut utiliser \
             cette adresse."
        )
    },
};
const TAKEN_BACK_SUBJECT: Subject = Translated {
    en: |site| format!("Your {site} account has an earlier address again"),
    fr: |site| format!("Votre compte {site} a retrouvé une adresse antérieure"),
};
const TAKEN_BACK: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "Your account at {site} had the address {user} until {moment}. Since then it has an earlier address \
             again, and cannot be taken back to this one."
        )
    },
    fr: |user, site, moment| {
        format!(
            "Votre compte sur {site} avait l’adresse {user} jusqu’au {moment}. Depuis, il a de nouveau une \
             adresse antérieure et ne peut plus retrouver celle‑ci."
        )
    },
};
const TAKEN_FROM_YOU: Translated<fn(&str) -> String> = Translated {
    en: |site| {
        format!("If it was not you and the account is yours, write to those who run {site}.")
    },
    fr: |site| {
        format!(
            "Si ce n’est pas vous et que le compte est le vôtre, écrivez aux responsables de {site}."
        )
    },
};
const UNDONE_SUBJECT: Subject = Translated {
    en: |site| format!("Your {site} account has this address again"),
    fr: |site| format!("Votre compte {site} a de nouveau cette adresse"),
};
const UNDONE: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "On {moment}, your account at {site} was taken back to the address {user} by the link that we sent \
             here. It has the password that was chosen then, and no longer the one before. All devices were \
             logged out, and later changes of the address were undone."
        )
    },
    fr: |user, site, moment| {
        format!(
            "Le {moment}, votre compte sur {site} a retrouvé l’adresse {user} par le lien que nous avions envoyé \
             ici. Il a le mot de passe choisi à ce moment‑là, et plus le précédent. Tous les appareils ont été \
             déconnectés, et les changements d’adresse ultérieurs annulés."
        )
    },
};
const NOT_UNDONE_BY_YOU: Text = text(
    "If it was not you, someone else reads your email: change the password of your mailbox first, then choose a \
     new one here:",
    "Sinon, quelqu’un d’autre lit vos e‑mails\u{A0}: changez d’abord le mot de passe de votre messagerie, puis \
     choisissez‑en un nouveau ici\u{A0}:",
);
const KEPT_SUBJECT: Subject = Translated {
    en: |site| format!("Your {site} account has another address"),
    fr: |site| format!("Votre compte {site} a une autre adresse"),
};
const KEPT: Translated<fn(&Email, &str, &str) -> String> = Translated {
    en: |user, site, moment| {
        format!(
            "Someone tried to use {user} at {site}. But the account with this address was given another one \
             on {moment}. If you changed it, log in with the new one."
        )
    },
    fr: |user, site, moment| {
        format!(
            "Quelqu’un a essayé d’utiliser {user} sur {site}. Mais le compte qui avait cette adresse en a \
             reçu une autre le {moment}. Si c’est vous qui l’avez changée, connectez‑vous avec la nouvelle."
        )
    },
};
const KEPT_UNTIL: Translated<fn(&str) -> String> = Translated {
    en: |moment| {
        format!(
            "If you did not change it, take the account back by the link in the email that we sent to this \
             address then. It works until {moment}. After that, a new account can be created with this \
             address."
        )
    },
    fr: |moment| {
        format!(
            "Sinon, récupérez le compte par le lien de l’e‑mail que nous avons alors envoyé à cette adresse. \
             Il est valable jusqu’au {moment}. Ensuite, un nouveau compte pourra être créé avec cette adresse."
        )
    },
};

/// When an address was changed, and until when that can be undone.
#[derive(Clone, Copy, Debug)]
pub struct Undo {
    /// When it was changed.
    pub changed_at: UnixTime,
    /// Until when that can be undone.
    pub ends_at: UnixTime,
}

impl Message {
    /// The link by which an account gets the address that this goes to, and until when it works. Says nothing
    /// of the account, since the address may be a stranger's.
    pub fn address_link(
        site: &Site,
        language: Language,
        user: &Email,
        link: String,
        ends_at: UnixTime,
    ) -> Self {
        let link = Link {
            url: link,
            label: CONFIRM,
            ends_at,
        };
        let (subject, asked) = (&CONFIRM_SUBJECT, &CONFIRM_ASKED);
        Self::with_link(site, language, user, subject, asked, link, NOT_CONFIRMED)
    }

    /// The notice of a try to give the address of a user to another account, with the ways into theirs.
    pub fn address_taken(site: &Site, language: Language, user: &Email) -> Self {
        Self::with_ways_in(site, language, user, &TAKEN)
    }

    /// The news, to the address that an account had, that it has another one, with the link that takes it back.
    /// Does not say which: the mailbox may be another's by now.
    pub fn address_changed(
        site: &Site,
        language: Language,
        user: &Email,
        link: String,
        undo: Undo,
    ) -> Self {
        let [changed_at, ends_at] =
            [undo.changed_at, undo.ends_at].map(MOMENT.in_language(language));
        let changed = CHANGED.in_language(language)(user, &site.described(), &changed_at);
        let parts = vec![
            Part::Paragraph(changed),
            Part::paragraph(language, WAS_YOU),
            Part::paragraph(language, WAS_NOT_YOU),
            Part::Button {
                label: TAKE_BACK.in_language(language),
                url: link,
            },
            Part::Paragraph(UNDO_ENDS.in_language(language)(&ends_at)),
        ];
        Self::new(site, language, &CHANGED_SUBJECT, parts)
    }

    /// The news, to the address that an account had until this moment, that it has an earlier one again. Does
    /// not say which: the mailbox may be a thief's.
    pub fn address_taken_back(
        site: &Site,
        language: Language,
        user: &Email,
        taken_back_at: UnixTime,
    ) -> Self {
        let described = site.described();
        let moment = MOMENT.in_language(language)(taken_back_at);
        let taken_back = TAKEN_BACK.in_language(language)(user, &described, &moment);
        let parts = vec![
            Part::Paragraph(taken_back),
            Part::paragraph(language, WAS_YOU),
            Part::Paragraph(TAKEN_FROM_YOU.in_language(language)(&described)),
        ];
        Self::new(site, language, &TAKEN_BACK_SUBJECT, parts)
    }

    /// The news, to the address that an account has again, that it was taken back to it at this moment, and how
    /// to get another password.
    pub fn address_change_undone(
        site: &Site,
        language: Language,
        user: &Email,
        undone_at: UnixTime,
    ) -> Self {
        let moment = MOMENT.in_language(language)(undone_at);
        let undone = UNDONE.in_language(language)(user, &site.described(), &moment);
        let parts = vec![
            Part::Paragraph(undone),
            Part::paragraph(language, WAS_YOU),
            Part::paragraph(language, NOT_UNDONE_BY_YOU),
            Part::reset_button(site, language),
        ];
        Self::new(site, language, &UNDONE_SUBJECT, parts)
    }

    /// The notice, to the address that an account had, that it can be neither reset nor used otherwise yet.
    pub fn address_kept(site: &Site, language: Language, user: &Email, undo: Undo) -> Self {
        let [changed_at, ends_at] =
            [undo.changed_at, undo.ends_at].map(MOMENT.in_language(language));
        let kept = KEPT.in_language(language)(user, &site.described(), &changed_at);
        let parts = vec![
            Part::Paragraph(kept),
            Part::Paragraph(KEPT_UNTIL.in_language(language)(&ends_at)),
            Part::paragraph(language, NOT_YOU),
        ];
        Self::new(site, language, &KEPT_SUBJECT, parts)
    }
}
