//! French. A narrow space that does not break (U+202F) stands before `?`, a wide one (U+00A0)
//! before `:`.

use super::{Texts, rounded};

pub(super) const TEXTS: Texts = Texts {
    tag: "fr",

    email: "Adresse e-mail",
    password: "Mot de passe",
    new_password: "Nouveau mot de passe",
    email_missing: "Saisissez votre adresse e-mail.",
    email_malformed: "Ce n’est pas une adresse e-mail. Exemple\u{A0}: nom@example.org.",
    email_too_long: |most| {
        format!("Cette adresse est trop longue\u{A0}: {most} caractères au plus.")
    },
    email_taken: "Cette adresse a déjà un compte. Connectez-vous ou choisissez une autre adresse.",
    email_unknown: "Aucun compte n’a cette adresse. Vérifiez la saisie ou créez un compte.",
    password_hint: |least| format!("{least} caractères au moins."),
    password_missing: "Saisissez un mot de passe.",
    password_too_long: |most| {
        format!(
            "Ce mot de passe est trop long\u{A0}: {most} caractères au plus, moins avec des accents \
             ou des émojis."
        )
    },
    password_nul: "Ce mot de passe contient un caractère inutilisable.",
    password_short: |least| {
        format!("Ce mot de passe est trop court\u{A0}: {least} caractères au moins.")
    },
    password_common: "Ce mot de passe ressemble trop à l’un des plus répandus, qu’on essaie en \
                      premier. Choisissez-en un autre.",
    password_is_address: "Ce mot de passe ressemble trop à votre adresse. Choisissez-en un autre.",
    password_is_site: "Ce mot de passe ressemble trop au nom ou à l’adresse de ce site. \
                       Choisissez-en un autre.",

    log_in: "Se connecter",
    sign_up: "Créer le compte",
    log_out: "Se déconnecter",
    go_on: "Continuer",
    save_password: "Enregistrer le mot de passe",
    to_sign_up: "Pas encore de compte\u{202F}? Inscrivez-vous",
    to_log_in: "Déjà un compte\u{202F}? Connectez-vous",
    to_reset: "Mot de passe oublié\u{202F}?",
    to_profile: "Votre profil",
    to_home: "Aller à l’accueil",

    home_title: "Bienvenue",
    logged_in_as: "Session ouverte avec l’adresse",
    log_in_title: "Connexion",
    sign_up_title: "Créer un compte",
    profile_title: "Votre profil",
    ask_for_reset_title: "Mot de passe oublié\u{202F}?",
    ask_for_reset_text: "Saisissez l’adresse de votre compte pour choisir un nouveau mot de passe.",
    link_sent_title: "Consultez vos e-mails",
    link_sent_text: "Si l’adresse est enregistrée, un lien pour choisir un nouveau mot de passe est \
                     en route. Il sert une seule fois et expire vite. Rien reçu\u{202F}? Regardez \
                     parmi les indésirables.",
    new_password_title: "Choisissez un nouveau mot de passe",
    new_password_text: "Tous vos appareils seront déconnectés.",
    password_updated: "Votre mot de passe a été changé. Connectez-vous avec le nouveau.",

    error: "Erreur",
    bad_credentials: "Adresse e-mail ou mot de passe incorrect.",
    log_in_first: "Aucune session n’est ouverte. Connectez-vous pour continuer.",
    bad_reset_token: "Ce lien n’est plus valable\u{A0}: il sert une seule fois et expire vite. \
                      Demandez-en un autre ici.",
    unusable_field: "Le formulaire n’est pas arrivé comme prévu. Ouvrez de nouveau la page.",
    busy: "Trop de personnes se connectent en ce moment.",
    throttled: "Trop de tentatives.",
    come_back: |time| match rounded(time) {
        (1, false) => "Réessayez dans une seconde.".to_owned(),
        (seconds, false) => format!("Réessayez dans {seconds} secondes."),
        (minutes, true) => format!("Réessayez dans {minutes} minutes."),
    },
    not_found_title: "Page introuvable",
    not_found: "Il n’y a rien à cette adresse. Vérifiez la saisie.",
    bad_request_title: "Cela n’a pas marché",
    method_not_allowed: "Cette page ne s’utilise pas de cette façon.",
    unsupported_media_type: "Le formulaire est arrivé dans un format illisible.",
    bad_host: "L’adresse de cette page est arrivée brouillée. Saisissez-la de nouveau.",
    cross_site: "Ce formulaire vient d’un autre site. Ouvrez la page ici et envoyez-le de nouveau.",
    body_too_slow: "Le formulaire a mis trop de temps à arriver. Envoyez-le de nouveau.",
    body_too_large: "C’est plus de texte qu’il n’en faut ici.",
    body_unreadable: "Le formulaire est arrivé incomplet ou brouillé. Envoyez-le de nouveau.",
    refused_title: "Action refusée",
    unavailable_title: "De retour dans un instant",
    unavailable: "Le service ne peut pas répondre en ce moment. Rien n’est perdu.",
    internal_title: "Une erreur est survenue",
    internal: "La faute est nôtre, et elle a été notée. Réessayez plus tard.",
};
