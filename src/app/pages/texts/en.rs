//! English.

use super::{Texts, rounded};

pub(super) const TEXTS: Texts = Texts {
    tag: "en",

    email: "Email address",
    password: "Password",
    new_password: "New password",
    email_missing: "Enter your email address.",
    email_malformed: "This is not an email address. One looks like name@example.org.",
    email_too_long: |most| format!("This address is too long: {most} characters are the most."),
    email_taken: "This address already has an account. Log in, or choose another address.",
    email_unknown: "No account has this address. Look for a typing error, or sign up.",
    password_hint: |least| format!("{least} characters or more."),
    password_missing: "Enter a password.",
    password_too_long: |most| {
        format!(
            "This password is too long: {most} characters are the most, fewer with accents or emoji."
        )
    },
    password_nul: "This password contains a character that cannot be used.",
    password_short: |least| format!("This password is too short: use {least} characters or more."),
    password_common: "This is too close to one of the most used passwords, which are tried first. \
                      Choose another.",
    password_is_address: "This is too close to your email address. Choose another password.",
    password_is_site: "This is too close to the name or address of this site. Choose another password.",

    log_in: "Log in",
    sign_up: "Sign up",
    log_out: "Log out",
    go_on: "Continue",
    save_password: "Save password",
    to_sign_up: "No account yet? Sign up",
    to_log_in: "Already have an account? Log in",
    to_reset: "Forgot your password?",
    to_profile: "Your profile",
    to_home: "Go to the home page",

    home_title: "Welcome",
    logged_in_as: "You are logged in as",
    log_in_title: "Log in",
    sign_up_title: "Create an account",
    profile_title: "Your profile",
    ask_for_reset_title: "Forgot your password?",
    ask_for_reset_text: "Enter the address of your account to choose a new password.",
    link_sent_title: "Check your mail",
    link_sent_text: "If the address is registered, a link to choose a new password is on its way. \
                     It works once, and not for long. Nothing came? Look among the spam.",
    new_password_title: "Choose a new password",
    new_password_text: "You will be logged out on all your devices.",
    password_updated: "Your password has been changed. Log in with the new one.",

    error: "Error",
    bad_credentials: "Wrong email address or password.",
    log_in_first: "You are not logged in. Log in to go on.",
    bad_reset_token: "This link is not valid any more: it works once, and not for long. \
                      Ask for a new one here.",
    unusable_field: "The form did not arrive as it should have. Open the page again.",
    busy: "Too many people are logging in just now.",
    throttled: "Too many attempts.",
    come_back: |time| match rounded(time) {
        (1, false) => "Try again in a second.".to_owned(),
        (seconds, false) => format!("Try again in {seconds} seconds."),
        (minutes, true) => format!("Try again in {minutes} minutes."),
    },
    not_found_title: "Page not found",
    not_found: "There is nothing at this address. Look for a typing error.",
    bad_request_title: "This did not work",
    method_not_allowed: "This page cannot be used in this way.",
    unsupported_media_type: "The form came in a format that cannot be read.",
    bad_host: "The address of this page arrived garbled. Type it again.",
    cross_site: "This form was sent from another site. Open the page here and send it again.",
    body_too_slow: "The form took too long to arrive. Send it again.",
    body_too_large: "That is more text than any form here needs.",
    body_unreadable: "The form arrived incomplete or garbled. Send it again.",
    refused_title: "Not allowed",
    unavailable_title: "Back in a moment",
    unavailable: "The service cannot answer just now. Nothing is lost.",
    internal_title: "Something went wrong",
    internal: "The mistake is ours, and it has been noted. Try again later.",
};
