//! What people are told about a refusal: on the form that was refused, or on a page of its own.

use std::borrow::Cow;

use maud::html;

use super::layout::{Page, TO_HOME, View};
use crate::app::error::{Error, FieldError, FieldProblem};
use crate::auth;
use crate::email::{self, InvalidEmail};
use crate::language::Text;
use crate::password::{self, InvalidPassword, WeakPassword};

mod texts;

/// A refusal in the language of a page.
pub struct Messages {
    /// The heading of the page that shows nothing else.
    title: &'static str,
    /// What is wrong with the request or the form as a whole; `None` if it is about fields.
    general: Option<Cow<'static, str>>,
    /// What is wrong with fields that people see.
    fields: Vec<(&'static str, Cow<'static, str>)>,
}

impl Messages {
    pub fn new(error: &Error, view: &View) -> Self {
        let (title, general) = match error {
            Error::BadFields(errors) => return Self::about_fields(errors.iter(), view),
            Error::Auth(auth::Error::EmailTaken) => {
                return Self::about_field("email", texts::EMAIL_TAKEN, view);
            }
            Error::Auth(auth::Error::UnknownEmail) => {
                return Self::about_field("email", texts::EMAIL_UNKNOWN, view);
            }
            Error::Auth(auth::Error::WrongPassword) => {
                return Self::about_field("password", texts::WRONG_PASSWORD, view);
            }
            Error::Auth(error) => of_auth(error, view),
            Error::NotFound => said(view, texts::NOT_FOUND_TITLE, texts::NOT_FOUND),
            Error::CrossSite => said(view, texts::REFUSED_TITLE, texts::CROSS_SITE),
            Error::NoTrustedProxy | Error::BadProxyHeader(_) => {
                said(view, texts::REFUSED_TITLE, texts::NO_APP)
            }
            Error::NotLoggedIn { .. } => said(view, texts::REFUSED_TITLE, texts::NO_SESSION),
            Error::Panicked => said(view, texts::INTERNAL_TITLE, texts::INTERNAL),
            Error::MethodNotAllowed => bad_request(view, texts::METHOD_NOT_ALLOWED),
            Error::UnsupportedMediaType => bad_request(view, texts::UNSUPPORTED_MEDIA_TYPE),
            Error::BadHost => bad_request(view, texts::BAD_HOST),
            Error::BodyTooLarge | Error::TooManyFields => bad_request(view, texts::BODY_TOO_LARGE),
            Error::BodyTooSlow => bad_request(view, texts::BODY_TOO_SLOW),
            Error::BadTransferEncoding | Error::BrokenBody(_) | Error::MalformedBody { .. } => {
                bad_request(view, texts::BODY_UNREADABLE)
            }
        };
        Self {
            title,
            general: Some(general),
            fields: Vec::new(),
        }
    }

    fn about_field(name: &'static str, text: Text, view: &View) -> Self {
        Self {
            title: view.text(texts::BAD_REQUEST_TITLE),
            general: None,
            fields: vec![(name, view.text(text).into())],
        }
    }

    fn about_fields<'a>(errors: impl Iterator<Item = &'a FieldError>, view: &View) -> Self {
        let mut messages = Self {
            title: view.text(texts::BAD_REQUEST_TITLE),
            general: None,
            fields: Vec::new(),
        };
        for error in errors {
            let text = of_field(error, view);
            match error.name {
                "email" | "password" | "new_password" => messages.fields.push((error.name, text)),
                // People do not see the field, so they cannot correct it.
                _ => messages.general = Some(text),
            }
        }
        messages
    }

    /// What is wrong with this field.
    pub fn about(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields.find_map(|(field, text)| (*field == name).then_some(&**text))
    }

    /// What is wrong with the form as a whole.
    pub fn about_form(&self) -> Option<&str> {
        self.general.as_deref()
    }

    /// The page of a refusal that no form shows, with the id by which a failure is found in the log.
    pub fn page(&self, view: &View, request_id: Option<&str>) -> Page {
        let fields = self.fields.iter().map(|(_, text)| &**text);
        let content = html! {
            h1 { (self.title) }
            @for text in self.about_form().into_iter().chain(fields) {
                p { (text) }
            }
            @if let Some(id) = request_id {
                p { (view.text(texts::REPORT_ID)) " " code { (id) } }
            }
            p { a href="/" { (view.text(TO_HOME)) } }
        };
        view.page(self.title, &content)
    }
}

/// A title and a text.
type Said = (&'static str, Cow<'static, str>);

fn said(view: &View, title: Text, text: Text) -> Said {
    (view.text(title), view.text(text).into())
}

fn bad_request(view: &View, text: Text) -> Said {
    said(view, texts::BAD_REQUEST_TITLE, text)
}

fn of_auth(error: &auth::Error, view: &View) -> Said {
    let with_wait = |title, text, wait| {
        let text = format!(
            "{} {}",
            view.text(text),
            view.text(texts::RETRY_AFTER)(wait)
        );
        (view.text(title), text.into())
    };
    match error {
        auth::Error::EmailTaken => bad_request(view, texts::EMAIL_TAKEN),
        auth::Error::UnknownEmail => said(view, texts::REFUSED_TITLE, texts::EMAIL_UNKNOWN),
        auth::Error::WeakPassword(weakness) => {
            let text = of_weakness(*weakness, view);
            (view.text(texts::BAD_REQUEST_TITLE), text)
        }
        auth::Error::BadCredentials => said(view, texts::REFUSED_TITLE, texts::BAD_CREDENTIALS),
        auth::Error::Locked => said(view, texts::REFUSED_TITLE, texts::LOCKED),
        auth::Error::NoSession => said(view, texts::REFUSED_TITLE, texts::NO_SESSION),
        auth::Error::NotFresh => said(view, texts::REFUSED_TITLE, texts::NOT_FRESH),
        auth::Error::UnknownSession => said(view, texts::NOT_FOUND_TITLE, texts::UNKNOWN_SESSION),
        auth::Error::UnknownApp => said(view, texts::REFUSED_TITLE, texts::NO_APP),
        auth::Error::NotAllowed => said(view, texts::REFUSED_TITLE, texts::NOT_ALLOWED),
        auth::Error::BadTicket => said(view, texts::BAD_REQUEST_TITLE, texts::BAD_TICKET),
        auth::Error::WrongPassword => said(view, texts::REFUSED_TITLE, texts::WRONG_PASSWORD),
        auth::Error::BadResetToken => said(view, texts::REFUSED_TITLE, texts::BAD_RESET_TOKEN),
        auth::Error::SignUpClosed => said(view, texts::SIGN_UP_CLOSED_TITLE, texts::SIGN_UP_CLOSED),
        auth::Error::BadSignUpToken => said(view, texts::REFUSED_TITLE, texts::BAD_SIGN_UP_TOKEN),
        auth::Error::BadEmailToken => said(view, texts::REFUSED_TITLE, texts::BAD_EMAIL_TOKEN),
        auth::Error::BadUndoToken => said(view, texts::REFUSED_TITLE, texts::BAD_UNDO_TOKEN),
        auth::Error::AddressChangedLately => {
            said(view, texts::REFUSED_TITLE, texts::ADDRESS_CHANGED_LATELY)
        }
        auth::Error::Unavailable(_) => said(view, texts::UNAVAILABLE_TITLE, texts::UNAVAILABLE),
        auth::Error::Busy { retry_after } => {
            with_wait(texts::UNAVAILABLE_TITLE, texts::BUSY, *retry_after)
        }
        auth::Error::Throttled { retry_after } => {
            with_wait(texts::REFUSED_TITLE, texts::THROTTLED, *retry_after)
        }
        auth::Error::Internal(_) => said(view, texts::INTERNAL_TITLE, texts::INTERNAL),
    }
}

fn of_field(error: &FieldError, view: &View) -> Cow<'static, str> {
    match (error.problem, error.name) {
        (FieldProblem::Missing | FieldProblem::Empty, "email") => {
            view.text(texts::EMAIL_MISSING).into()
        }
        (FieldProblem::Missing | FieldProblem::Empty, "password" | "new_password")
        | (FieldProblem::Password(InvalidPassword::Empty), _) => {
            view.text(texts::PASSWORD_MISSING).into()
        }
        // Only programs send these, and forms that were tampered with.
        (
            FieldProblem::Missing
            | FieldProblem::Empty
            | FieldProblem::Repeated
            | FieldProblem::NotText
            | FieldProblem::NotMethod,
            _,
        ) => view.text(texts::UNUSABLE_FIELD).into(),
        (FieldProblem::Email(InvalidEmail::TooLong), _) => {
            view.text(texts::EMAIL_TOO_LONG)(email::MAX_BYTES).into()
        }
        (FieldProblem::Email(InvalidEmail::NotAscii), _) => {
            view.text(texts::EMAIL_NOT_ASCII).into()
        }
        (FieldProblem::Email(InvalidEmail::Malformed), _) => {
            view.text(texts::EMAIL_MALFORMED).into()
        }
        (FieldProblem::Password(InvalidPassword::TooLong), _) => {
            view.text(texts::PASSWORD_TOO_LONG)(password::MAX_BYTES).into()
        }
        (FieldProblem::Password(InvalidPassword::Nul), _) => view.text(texts::PASSWORD_NUL).into(),
        (FieldProblem::Weak(weakness), _) => of_weakness(weakness, view),
    }
}

fn of_weakness(weakness: WeakPassword, view: &View) -> Cow<'static, str> {
    match weakness {
        WeakPassword::Short(least) => view.text(texts::PASSWORD_SHORT)(least).into(),
        WeakPassword::Common => view.text(texts::PASSWORD_COMMON).into(),
        WeakPassword::Address => view.text(texts::PASSWORD_IS_ADDRESS).into(),
        WeakPassword::Site => view.text(texts::PASSWORD_IS_SITE).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::super::{Brand, Theme};
    use super::*;
    use crate::language::Language;

    fn views() -> [View; 2] {
        let theme = Arc::new(Theme::new(&Brand::default()));
        Language::ALL.map(|language| View::new(language, Arc::clone(&theme), true))
    }

    /// One error of each kind that reads differently.
    fn errors() -> Vec<Error> {
        let retry_after = Duration::from_secs(7);
        let fields = [
            ("email", FieldProblem::Empty),
            ("email", InvalidEmail::TooLong.into()),
            ("email", InvalidEmail::Malformed.into()),
            ("email", InvalidEmail::NotAscii.into()),
            ("password", FieldProblem::Missing),
            ("password", InvalidPassword::TooLong.into()),
            ("password", InvalidPassword::Nul.into()),
            ("password", WeakPassword::Short(8).into()),
            ("password", WeakPassword::Common.into()),
            ("password", WeakPassword::Address.into()),
            ("password", WeakPassword::Site.into()),
            ("reset_token", FieldProblem::Repeated),
        ];
        let fields = fields.map(|(name, problem)| FieldError { name, problem }.into());
        let mut errors = vec![
            Error::NotFound,
            Error::MethodNotAllowed,
            Error::UnsupportedMediaType,
            Error::BadHost,
            Error::CrossSite,
            Error::BodyTooLarge,
            Error::BodyTooSlow,
            Error::MalformedBody { expected: "form" },
            auth::Error::EmailTaken.into(),
            auth::Error::BadCredentials.into(),
            auth::Error::Locked.into(),
            auth::Error::NoSession.into(),
            auth::Error::NotFresh.into(),
            auth::Error::UnknownSession.into(),
            auth::Error::WrongPassword.into(),
            auth::Error::UnknownEmail.into(),
            auth::Error::BadResetToken.into(),
            auth::Error::SignUpClosed.into(),
            auth::Error::BadSignUpToken.into(),
            auth::Error::Internal("on fire".into()).into(),
            auth::Error::Busy { retry_after }.into(),
            auth::Error::Throttled { retry_after }.into(),
        ];
        errors.extend(fields);
        errors
    }

    fn texts_of(messages: Messages) -> Vec<String> {
        let fields = messages.fields.into_iter().map(|(_, text)| text);
        let texts = messages.general.into_iter().chain(fields);
        texts.map(Cow::into_owned).collect()
    }

    #[test]
    fn every_error_has_words_of_its_own_in_every_language() {
        let errors = errors();
        let texts: HashSet<Vec<String>> = views()
            .iter()
            .flat_map(|view| errors.iter().map(|error| Messages::new(error, view)))
            .map(texts_of)
            .collect();
        assert_eq!(texts.len(), views().len() * errors.len());
    }

    #[test]
    fn a_refusal_for_a_time_says_for_how_long() {
        let retry_after = Duration::from_secs(7);
        let busy = auth::Error::Busy { retry_after }.into();
        for view in &views() {
            let text = texts_of(Messages::new(&busy, view)).concat();
            assert!(text.contains(" 7 "), "{text}");
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
            let problem = FieldProblem::Empty;
            let messages = Messages::new(&FieldError { name, problem }.into(), &views()[0]);
            assert_eq!(messages.about(name).is_some(), is_seen, "{name}");
            assert_eq!(messages.about_form().is_none(), is_seen, "{name}");
        }
    }
}
