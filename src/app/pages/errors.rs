//! What is said to people whose request is refused: the words for each error, and a page for those
//! that no form can show.

use std::borrow::Cow;

use maud::html;

use super::forms::{self, Notice, Typed};
use super::layout::{Page, View};
use super::next::Next;
use super::texts::Texts;
use crate::app::error::Error;
use crate::app::fields::Problem;
use crate::auth;
use crate::email::{self, InvalidEmail};
use crate::password::{self, InvalidPassword, WeakPassword};

/// A refusal in the words of a language.
pub(super) struct Refusal {
    /// What the page is called that says nothing else.
    title: &'static str,
    /// What is wrong, and what one can do about it.
    text: Cow<'static, str>,
    /// The field that it is about; `None` for the whole form, or one that nobody sees.
    field: Option<&'static str>,
}

impl Refusal {
    /// The words for each error stand here, and only here.
    pub(super) fn new(error: &Error, texts: &'static Texts) -> Self {
        let bad_request = |text: &'static str| (texts.bad_request_title, text.into());
        let (title, text) = match error {
            Error::NotFound => (texts.not_found_title, texts.not_found.into()),
            Error::MethodNotAllowed => bad_request(texts.method_not_allowed),
            Error::UnsupportedMediaType => bad_request(texts.unsupported_media_type),
            Error::BadHost => bad_request(texts.bad_host),
            Error::CrossSite => (texts.refused_title, texts.cross_site.into()),
            Error::BodyTooLarge | Error::TooManyFields => bad_request(texts.body_too_large),
            Error::BodyTooSlow => bad_request(texts.body_too_slow),
            Error::BadTransferEncoding | Error::BrokenBody(_) | Error::MalformedBody { .. } => {
                bad_request(texts.body_unreadable)
            }
            Error::BadField { name, problem } => {
                (texts.bad_request_title, words_for(*problem, name, texts))
            }
            Error::Auth(error) => match error {
                auth::Error::EmailTaken => bad_request(texts.email_taken),
                auth::Error::WeakPassword(weakness) => (
                    texts.bad_request_title,
                    words_for_weakness(*weakness, texts),
                ),
                auth::Error::BadCredentials => (texts.refused_title, texts.bad_credentials.into()),
                auth::Error::NoSession => (texts.refused_title, texts.log_in_first.into()),
                auth::Error::UnknownEmail => (texts.refused_title, texts.email_unknown.into()),
                auth::Error::BadResetToken => (texts.refused_title, texts.bad_reset_token.into()),
                auth::Error::Unavailable(_) => (texts.unavailable_title, texts.unavailable.into()),
                auth::Error::Busy { retry_after } => (
                    texts.unavailable_title,
                    format!("{} {}", texts.busy, (texts.come_back)(*retry_after)).into(),
                ),
                auth::Error::Throttled { retry_after } => (
                    texts.refused_title,
                    format!("{} {}", texts.throttled, (texts.come_back)(*retry_after)).into(),
                ),
                auth::Error::Internal(_) => (texts.internal_title, texts.internal.into()),
            },
            Error::Panicked => (texts.internal_title, texts.internal.into()),
        };
        let field = match error {
            Error::BadField {
                name: name @ ("email" | "password" | "new_password"),
                ..
            } => Some(*name),
            Error::Auth(auth::Error::EmailTaken | auth::Error::UnknownEmail) => Some("email"),
            _ => None,
        };
        Self { title, text, field }
    }

    /// What is wrong with this field.
    pub(super) fn about(&self, field: &str) -> Option<&str> {
        (self.field == Some(field)).then_some(&*self.text)
    }

    /// What is wrong with the form as a whole.
    pub(super) fn about_no_field(&self) -> Option<&str> {
        self.field.is_none().then_some(&*self.text)
    }
}

/// What is wrong with a field, in the words of its own kind.
fn words_for(problem: Problem, field: &str, texts: &Texts) -> Cow<'static, str> {
    match (problem, field) {
        (Problem::Missing | Problem::Empty, "email") => texts.email_missing.into(),
        (Problem::Missing | Problem::Empty, "password" | "new_password") => {
            texts.password_missing.into()
        }
        // Only a program sends these, or a form that somebody tampered with.
        (
            Problem::Missing
            | Problem::Empty
            | Problem::Repeated
            | Problem::NotText
            | Problem::NotMethod,
            _,
        ) => texts.unusable_field.into(),
        (Problem::Email(InvalidEmail::TooLong), _) => {
            (texts.email_too_long)(email::MAX_BYTES).into()
        }
        (Problem::Email(InvalidEmail::Malformed), _) => texts.email_malformed.into(),
        (Problem::Password(InvalidPassword::Empty), _) => texts.password_missing.into(),
        (Problem::Password(InvalidPassword::TooLong), _) => {
            (texts.password_too_long)(password::MAX_BYTES).into()
        }
        (Problem::Password(InvalidPassword::Nul), _) => texts.password_nul.into(),
        (Problem::Weak(weakness), _) => words_for_weakness(weakness, texts),
    }
}

/// Why a new password is too weak.
fn words_for_weakness(weakness: WeakPassword, texts: &Texts) -> Cow<'static, str> {
    match weakness {
        WeakPassword::Short(least) => (texts.password_short)(least).into(),
        WeakPassword::Common => texts.password_common.into(),
        WeakPassword::Address => texts.password_is_address.into(),
        WeakPassword::Site => texts.password_is_site.into(),
    }
}

/// The page for a refusal that no form can show. Whoever is not logged in can do so at once, and
/// goes on to what they asked for.
pub(super) fn page(view: &View, error: &Error, asked_for: &Next) -> Page {
    let refusal = Refusal::new(error, view.texts);
    if let Error::Auth(auth::Error::NoSession) = error {
        let typed = Typed::nothing(asked_for.clone());
        return forms::log_in(view, &typed, Some(&Notice::Refusal(&refusal)));
    }
    view.page(
        refusal.title,
        &html! {
            h1 { (refusal.title) }
            p { (refusal.text) }
            p { a href="/" { (view.texts.to_home) } }
        },
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::super::texts::LANGUAGES;
    use super::*;

    /// One error of each kind that reads differently.
    fn errors() -> Vec<Error> {
        let retry_after = Duration::from_secs(7);
        let fields = [
            ("email", Problem::Empty),
            ("email", InvalidEmail::TooLong.into()),
            ("email", InvalidEmail::Malformed.into()),
            ("password", Problem::Missing),
            ("password", InvalidPassword::TooLong.into()),
            ("password", InvalidPassword::Nul.into()),
            ("password", WeakPassword::Short(8).into()),
            ("password", WeakPassword::Common.into()),
            ("password", WeakPassword::Address.into()),
            ("password", WeakPassword::Site.into()),
            ("reset_token", Problem::Repeated),
        ];
        let fields = fields.map(|(name, problem)| Error::BadField { name, problem });
        let mut errors = vec![
            Error::NotFound,
            Error::MethodNotAllowed,
            Error::UnsupportedMediaType,
            Error::BadHost,
            Error::CrossSite,
            Error::BodyTooLarge,
            Error::BodyTooSlow,
            Error::MalformedBody { form: "form" },
            auth::Error::EmailTaken.into(),
            auth::Error::BadCredentials.into(),
            auth::Error::NoSession.into(),
            auth::Error::UnknownEmail.into(),
            auth::Error::BadResetToken.into(),
            auth::Error::Internal("on fire".into()).into(),
            auth::Error::Busy { retry_after }.into(),
            auth::Error::Throttled { retry_after }.into(),
        ];
        errors.extend(fields);
        errors
    }

    #[test]
    fn every_error_has_words_of_its_own_in_every_language() {
        let errors = errors();
        let texts: HashSet<String> = LANGUAGES
            .into_iter()
            .flat_map(|texts| errors.iter().map(|error| Refusal::new(error, texts)))
            .map(|refusal| refusal.text.into_owned())
            .collect();
        assert_eq!(texts.len(), LANGUAGES.len() * errors.len());
    }

    #[test]
    fn whoever_comes_too_soon_is_told_when_to_come_back() {
        let retry_after = Duration::from_secs(7);
        let busy = auth::Error::Busy { retry_after }.into();
        for texts in LANGUAGES {
            let refusal = Refusal::new(&busy, texts);
            assert!(refusal.text.contains(" 7 "), "{}", refusal.text);
        }
    }

    #[test]
    fn only_fields_that_people_see_have_problems_beside_them() {
        for (name, is_seen) in [
            ("email", true),
            ("new_password", true),
            ("reset_token", false),
            ("_method", false),
        ] {
            let problem = Problem::Empty;
            let refusal = Refusal::new(&Error::BadField { name, problem }, LANGUAGES[0]);
            assert_eq!(refusal.about(name).is_some(), is_seen, "{name}");
            assert_eq!(refusal.about_no_field().is_none(), is_seen, "{name}");
        }
    }
}
