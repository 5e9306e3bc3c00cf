//! Every text that people read, once in each language.
//!
//! A new language is a file like `texts/en.rs` and its name in [`LANGUAGES`]. A text that is missing
//! there does not compile, and one that is used nowhere is a warning.

use std::time::Duration;

use crate::app::error::seconds_to_wait;

mod en;
mod fr;

/// The languages of the pages; the first is for those who read none of them.
pub(super) const LANGUAGES: [&Texts; 2] = [&en::TEXTS, &fr::TEXTS];

/// The texts in one language.
pub(super) struct Texts {
    /// The language (RFC 5646), such as `en`.
    pub(super) tag: &'static str,

    // Fields and what is said beside them.
    pub(super) email: &'static str,
    pub(super) password: &'static str,
    pub(super) new_password: &'static str,
    pub(super) email_missing: &'static str,
    pub(super) email_malformed: &'static str,
    /// The address is longer than so many bytes, which are letters.
    pub(super) email_too_long: fn(usize) -> String,
    pub(super) email_taken: &'static str,
    pub(super) email_unknown: &'static str,
    /// A password needs so many characters: told before one is chosen.
    pub(super) password_hint: fn(usize) -> String,
    pub(super) password_missing: &'static str,
    /// The password is longer than so many bytes.
    pub(super) password_too_long: fn(usize) -> String,
    pub(super) password_nul: &'static str,
    /// The password has fewer than so many characters.
    pub(super) password_short: fn(usize) -> String,
    pub(super) password_common: &'static str,
    pub(super) password_is_address: &'static str,
    pub(super) password_is_site: &'static str,

    // Buttons and links.
    pub(super) log_in: &'static str,
    pub(super) sign_up: &'static str,
    pub(super) log_out: &'static str,
    pub(super) go_on: &'static str,
    pub(super) save_password: &'static str,
    pub(super) to_sign_up: &'static str,
    pub(super) to_log_in: &'static str,
    pub(super) to_reset: &'static str,
    pub(super) to_profile: &'static str,
    pub(super) to_home: &'static str,

    // Pages.
    pub(super) home_title: &'static str,
    /// Stands before the address.
    pub(super) logged_in_as: &'static str,
    pub(super) log_in_title: &'static str,
    pub(super) sign_up_title: &'static str,
    pub(super) profile_title: &'static str,
    pub(super) ask_for_reset_title: &'static str,
    pub(super) ask_for_reset_text: &'static str,
    pub(super) link_sent_title: &'static str,
    pub(super) link_sent_text: &'static str,
    pub(super) new_password_title: &'static str,
    pub(super) new_password_text: &'static str,
    pub(super) password_updated: &'static str,

    // Refusals.
    /// Stands before the title of a page that says no.
    pub(super) error: &'static str,
    pub(super) bad_credentials: &'static str,
    pub(super) log_in_first: &'static str,
    pub(super) bad_reset_token: &'static str,
    pub(super) unusable_field: &'static str,
    pub(super) busy: &'static str,
    pub(super) throttled: &'static str,
    /// Come back after this time.
    pub(super) come_back: fn(Duration) -> String,
    pub(super) not_found_title: &'static str,
    pub(super) not_found: &'static str,
    pub(super) bad_request_title: &'static str,
    pub(super) method_not_allowed: &'static str,
    pub(super) unsupported_media_type: &'static str,
    pub(super) bad_host: &'static str,
    pub(super) cross_site: &'static str,
    pub(super) body_too_large: &'static str,
    pub(super) body_too_slow: &'static str,
    pub(super) body_unreadable: &'static str,
    pub(super) refused_title: &'static str,
    pub(super) unavailable_title: &'static str,
    pub(super) unavailable: &'static str,
    pub(super) internal_title: &'static str,
    pub(super) internal: &'static str,
}

/// A wait in seconds or, if it is longer than two minutes, minutes, rounded up: how many, and whether
/// they are minutes.
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

    #[test]
    fn times_are_told_as_people_tell_them() {
        let told = |seconds| LANGUAGES.map(|texts| (texts.come_back)(Duration::from_secs(seconds)));
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
