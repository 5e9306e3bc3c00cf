//! The texts of refusals.

use std::time::Duration;

use crate::app::error::seconds_to_wait;
use crate::language::{Text, Translated, text};

/// A text with a number in it.
type Numbered = Translated<fn(usize) -> String>;

pub const EMAIL_MISSING: Text = text(
    "Enter your email address.",
    "Saisissez votre adresse e‑mail.",
);
pub const EMAIL_MALFORMED: Text = text(
    "This is not an email address. One looks like name@example.org.",
    "Ce n’est pas une adresse e‑mail. Exemple\u{A0}: nom@example.org.",
);
pub const EMAIL_NOT_ASCII: Text = text(
    "Addresses with accents or other special letters are not supported here. Use another address.",
    "Les adresses avec des accents ou d’autres lettres spéciales ne sont pas acceptées ici. Utilisez une \
     autre adresse.",
);
pub const EMAIL_TOO_LONG: Numbered = Translated {
    en: |most| format!("This address is too long. Use one of at most {most} characters."),
    fr: |most| format!("Cette adresse est trop longue\u{A0}: {most} caractères au plus."),
};
pub const EMAIL_TAKEN: Text = text(
    "There is already an account with this address. Log in, or use another address.",
    "Il existe déjà un compte avec cette adresse. Connectez‑vous ou utilisez une autre adresse.",
);
pub const OWN_ADDRESS: Text = text(
    "This is the address of your account already.",
    "C’est déjà l’adresse de votre compte.",
);
pub const EMAIL_UNKNOWN: Text = text(
    "There is no account with this address. Check the spelling.",
    "Aucun compte n’a cette adresse. Vérifiez la saisie.",
);

pub const PASSWORD_MISSING: Text = text("Enter a password.", "Saisissez un mot de passe.");
/// The number is of bytes, of which accents and emoji take several.
pub const PASSWORD_TOO_LONG: Numbered = Translated {
    en: |most| {
        format!(
            "This password is too long. Use at most {most} characters, fewer if some are accented \
             letters or emoji."
        )
    },
    fr: |most| {
        format!(
            "Ce mot de passe est trop long\u{A0}: {most} caractères au plus, moins avec des accents \
             ou des émojis."
        )
    },
};
pub const PASSWORD_NUL: Text = text(
    "This password contains a character that cannot be used.",
    "Ce mot de passe contient un caractère inutilisable.",
);
pub const PASSWORD_SHORT: Numbered = Translated {
    en: |least| format!("This password is too short. Use at least {least} characters."),
    fr: |least| format!("Ce mot de passe est trop court\u{A0}: {least} caractères au moins."),
};
pub const PASSWORD_COMMON: Text = text(
    "This is one of the most common passwords, or very close to one. Choose another.",
    "Ce mot de passe ressemble trop à l’un des plus répandus. Choisissez‑en un autre.",
);
pub const PASSWORD_IS_ADDRESS: Text = text(
    "This is too close to your email address. Choose another password.",
    "Ce mot de passe ressemble trop à votre adresse. Choisissez‑en un autre.",
);
pub const PASSWORD_IS_SITE: Text = text(
    "This is too close to the name or address of this site. Choose another password.",
    "Ce mot de passe ressemble trop au nom ou à l’adresse de ce site. Choisissez‑en un autre.",
);

pub const BAD_CREDENTIALS: Text = text(
    "Wrong email address or password.",
    "Adresse e‑mail ou mot de passe incorrect.",
);
pub const LOCKED: Text = text(
    "This account is locked. Ask those who run this site.",
    "Ce compte est bloqué. Adressez‑vous aux responsables de ce site.",
);
pub const NO_SESSION: Text = text("You are not logged in.", "Vous n’êtes pas connecté.");
pub const NOT_FRESH: Text = text(
    "Log in again to do this.",
    "Connectez‑vous de nouveau pour faire cela.",
);
pub const UNKNOWN_SESSION: Text = text(
    "This session has ended already.",
    "Cette session est déjà terminée.",
);
pub const NO_APP: Text = text(
    "This app is not set up to be used with this log-in. Tell those who run it.",
    "Cette application n’est pas configurée pour cette connexion. Signalez‑le à ses responsables.",
);
pub const NOT_ALLOWED: Text = text(
    "You are logged in, but your account may not use this app. Ask those who run it.",
    "Vous êtes connecté, mais votre compte n’a pas accès à cette application. Adressez‑vous à ses \
     responsables.",
);
pub const BAD_TICKET: Text = text(
    "You could not be logged in to this app: it took too long, or began in another browser.",
    "Vous n’avez pas pu être connecté à cette application\u{A0}: cela a pris trop de temps, ou a commencé dans \
     un autre navigateur.",
);
pub const WRONG_PASSWORD: Text = text(
    "This is not your current password.",
    "Ce n’est pas votre mot de passe actuel.",
);
pub const BAD_RESET_TOKEN: Text = text(
    "This link no longer works: it can be used once, and not for long. Ask for a new one here.",
    "Ce lien n’est plus valable\u{A0}: il sert une seule fois et expire vite. Demandez‑en un autre \
         ici.",
);
pub const SIGN_UP_CLOSED_TITLE: Text = text("Sign-up is closed", "Inscriptions fermées");
pub const SIGN_UP_CLOSED: Text = text(
    "New accounts cannot be created here. If you need one, ask those who run this site.",
    "On ne peut pas créer de compte ici. S’il vous en faut un, adressez‑vous aux responsables de ce site.",
);
pub const BAD_SIGN_UP_TOKEN: Text = text(
    "This link no longer works: it can be used once, for a day, and a newer one replaces it. Ask for another \
     here or, if your account is created, log in.",
    "Ce lien n’est plus valable\u{A0}: il sert une seule fois, pendant un jour, et un plus récent le remplace. \
     Demandez‑en un autre ici ou, si votre compte est créé, connectez‑vous.",
);
pub const BAD_EMAIL_TOKEN: Text = text(
    "This link does not work for this account, or no longer: it can be used once, for an hour, in the account \
     for which it was asked, and a newer one replaces it.",
    "Ce lien n’est pas valable pour ce compte, ou ne l’est plus\u{A0}: il sert une seule fois, pendant une \
     heure, dans le compte pour lequel il a été demandé, et un plus récent le remplace.",
);
pub const BAD_UNDO_TOKEN: Text = text(
    "This link no longer works: it can be used once, for 7 days after the address was changed.",
    "Ce lien n’est plus valable\u{A0}: il sert une seule fois, pendant les 7 jours qui suivent le changement \
     d’adresse.",
);
pub const ADDRESS_CHANGED_LATELY: Text = text(
    "The address of this account was changed less than 7 days ago. Until those are over, the account cannot be \
     deleted, so that nobody who has taken it can do so before its owner takes it back.",
    "L’adresse de ce compte a été changée il y a moins de 7 jours. D’ici là, le compte ne peut pas être \
     supprimé, pour que personne ne le fasse après l’avoir pris à son propriétaire.",
);
pub const BUSY: Text = text(
    "Too many people are logging in right now.",
    "Trop de personnes se connectent en ce moment.",
);
pub const THROTTLED: Text = text("Too many attempts.", "Trop de tentatives.");
pub const RETRY_AFTER: Translated<fn(Duration) -> String> = Translated {
    en: |wait| match rounded(wait) {
        (1, false) => "Try again in a second.".to_owned(),
        (seconds, false) => format!("Try again in {seconds} seconds."),
        (minutes, true) => format!("Try again in {minutes} minutes."),
    },
    fr: |wait| match rounded(wait) {
        (1, false) => "Réessayez dans une seconde.".to_owned(),
        (seconds, false) => format!("Réessayez dans {seconds} secondes."),
        (minutes, true) => format!("Réessayez dans {minutes} minutes."),
    },
};

pub const NOT_FOUND_TITLE: Text = text("Page not found", "Page introuvable");
pub const NOT_FOUND: Text = text(
    "There is nothing at this address. Check it for typing mistakes.",
    "Il n’y a rien à cette adresse. Vérifiez la saisie.",
);
pub const REFUSED_TITLE: Text = text("Not allowed", "Action refusée");
pub const TOO_MANY_TITLE: Text = text("Too many requests", "Trop de demandes");
pub const CROSS_SITE: Text = text(
    "This form was sent from another site. Open the page here and send it again.",
    "Ce formulaire vient d’un autre site. Ouvrez la page ici et envoyez‑le de nouveau.",
);
pub const BAD_REQUEST_TITLE: Text = text("That did not work", "Cela n’a pas marché");
pub const UNUSABLE_FIELD: Text = text(
    "Part of the form was lost on the way. Open the page again.",
    "Une partie du formulaire s’est perdue. Ouvrez de nouveau la page.",
);
pub const METHOD_NOT_ALLOWED: Text = text(
    "This page cannot be used this way.",
    "Cette page ne s’utilise pas de cette façon.",
);
pub const UNSUPPORTED_MEDIA_TYPE: Text = text(
    "The form arrived in a format that this site cannot read.",
    "Le formulaire est arrivé dans un format illisible.",
);
pub const BAD_HOST: Text = text(
    "The address of this page arrived garbled. Type it again.",
    "L’adresse de cette page est arrivée brouillée. Saisissez‑la de nouveau.",
);
pub const BODY_TOO_SLOW: Text = text(
    "The form took too long to arrive. Send it again.",
    "Le formulaire a mis trop de temps à arriver. Envoyez‑le de nouveau.",
);
pub const BODY_TOO_LARGE: Text = text(
    "That is more text than any form here needs.",
    "C’est plus de texte qu’il n’en faut ici.",
);
pub const BODY_UNREADABLE: Text = text(
    "The form arrived incomplete or garbled. Send it again.",
    "Le formulaire est arrivé incomplet ou brouillé. Envoyez‑le de nouveau.",
);
pub const UNAVAILABLE_TITLE: Text = text("Back in a moment", "De retour dans un instant");
pub const UNAVAILABLE: Text = text(
    "The service cannot answer right now. Try again in a moment.",
    "Le service ne peut pas répondre en ce moment. Réessayez dans un instant.",
);
pub const INTERNAL_TITLE: Text = text("Something went wrong", "Une erreur est survenue");
pub const INTERNAL: Text = text(
    "The mistake is ours, and it has been logged. Try again later.",
    "L’erreur vient de nous et a été enregistrée. Réessayez plus tard.",
);

/// Stands before the id.
pub const REPORT_ID: Text = text(
    "If you report it, mention the number",
    "Si vous la signalez, indiquez le numéro",
);

/// A wait in seconds or, if it is longer than two minutes, in minutes, rounded up: how many, and
/// whether they are minutes.
fn rounded(time: Duration) -> (u64, bool) {
    let seconds = seconds_to_wait(time);
    if seconds > 120 {
        (seconds.div_ceil(60), true)
    } else {
        (seconds, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::Language;

    #[test]
    fn waits_are_told_in_seconds_or_minutes() {
        let told = |seconds| {
            let wait = Duration::from_secs(seconds);
            Language::ALL.map(|language| RETRY_AFTER.in_language(language)(wait))
        };
        assert_eq!(
            told(1),
            ["Try again in a second.", "Réessayez dans une seconde."]
        );
        assert_eq!(
            told(90),
            ["Try again in 90 seconds.", "Réessayez dans 90 secondes."]
        );
        assert_eq!(
            told(121),
            ["Try again in 3 minutes.", "Réessayez dans 3 minutes."]
        );
    }
}
