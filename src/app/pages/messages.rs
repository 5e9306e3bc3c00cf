//! What people are told about a refusal: on the form that was refused, or on a page of its own.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
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
        let mut messages = Self {
            title: view.text(title_of(error)),
            general: None,
            fields: Vec::new(),
        };
        let text = match error {
            Error::BadFields(errors) => {
                messages.add_fields(errors.iter(), view);
                return messages;
            }
            Error::Auth(error) => of_auth(error, view),
            Error::NotFound => view.text(texts::NOT_FOUND).into(),
            Error::CrossSite => view.text(texts::CROSS_SITE).into(),
            Error::NoTrustedProxy | Error::BadProxyHeader(_) => view.text(texts::NO_APP).into(),
            Error::NotLoggedIn { .. } => view.text(texts::NO_SESSION).into(),
            Error::Panicked => view.text(texts::INTERNAL).into(),
            Error::MethodNotAllowed => view.text(texts::METHOD_NOT_ALLOWED).into(),
            Error::UnsupportedMediaType => view.text(texts::UNSUPPORTED_MEDIA_TYPE).into(),
            Error::BadHost => view.text(texts::BAD_HOST).into(),
            Error::BodyTooLarge | Error::TooManyFields => view.text(texts::BODY_TOO_LARGE).into(),
            Error::BodyTooSlow => view.text(texts::BODY_TOO_SLOW).into(),
            Error::BadTransferEncoding | Error::BrokenBody(_) | Error::MalformedBody { .. } => {
                view.text(texts::BODY_UNREADABLE).into()
            }
        };
        match field_of(error) {
            Some(name) => messages.fields.push((name, text)),
            None => messages.general = Some(text),
        }
        messages
    }

    fn add_fields<'a>(&mut self, errors: impl Iterator<Item = &'a FieldError>, view: &View) {
        for error in errors {
            let text = of_field(error, view);
            match error.name {
                "email" | "password" | "new_password" => self.fields.push((error.name, text)),
                // People do not see the field, so they cannot correct it.
                _ => self.general = Some(text),
            }
        }
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

/// The heading of a page that shows a refusal alone: by its status, but for two that say less so.
fn title_of(error: &Error) -> Text {
    match error {
        Error::Auth(auth::Error::SignUpClosed) => return texts::SIGN_UP_CLOSED_TITLE,
        Error::Auth(auth::Error::BadTicket) => return texts::BAD_REQUEST_TITLE,
        _ => {}
    }
    match error.status_code() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => texts::REFUSED_TITLE,
        StatusCode::NOT_FOUND => texts::NOT_FOUND_TITLE,
        StatusCode::TOO_MANY_REQUESTS => texts::TOO_MANY_TITLE,
        StatusCode::INTERNAL_SERVER_ERROR => texts::INTERNAL_TITLE,
        StatusCode::SERVICE_UNAVAILABLE => texts::UNAVAILABLE_TITLE,
        _ => texts::BAD_REQUEST_TITLE,
    }
}

/// The field that a refusal by `Auth` is about; `None` if it is about none that people see.
fn field_of(error: &Error) -> Option<&'static str> {
    match error {
        Error::Auth(
            auth::Error::EmailTaken | auth::Error::OwnAddress | auth::Error::UnknownEmail,
        ) => Some("email"),
        Error::Auth(auth::Error::WrongPassword) => Some("password"),
        _ => None,
    }
}

fn of_auth(error: &auth::Error, view: &View) -> Cow<'static, str> {
    let text = match error {
        auth::Error::WeakPassword(weakness) => return of_weakness(*weakness, view),
        auth::Error::Busy { retry_after } => return with_wait(texts::BUSY, *retry_after, view),
        auth::Error::Throttled { retry_after } => {
            return with_wait(texts::THROTTLED, *retry_after, view);
        }
        auth::Error::EmailTaken => texts::EMAIL_TAKEN,
        auth::Error::OwnAddress => texts::OWN_ADDRESS,
        auth::Error::UnknownEmail => texts::EMAIL_UNKNOWN,
        auth::Error::BadCredentials => texts::BAD_CREDENTIALS,
        auth::Error::Locked => texts::LOCKED,
        auth::Error::NoSession => texts::NO_SESSION,
        auth::Error::NotFresh => texts::NOT_FRESH,
        auth::Error::UnknownSession => texts::UNKNOWN_SESSION,
        auth::Error::UnknownApp => texts::NO_APP,
        auth::Error::NotAllowed => texts::NOT_ALLOWED,
        auth::Error::BadTicket => texts::BAD_TICKET,
        auth::Error::WrongPassword => texts::WRONG_PASSWORD,
        auth::Error::BadResetToken => texts::BAD_RESET_TOKEN,
        auth::Error::SignUpClosed => texts::SIGN_UP_CLOSED,
        auth::Error::BadSignUpToken => texts::BAD_SIGN_UP_TOKEN,
        auth::Error::BadEmailToken => texts::BAD_EMAIL_TOKEN,
        auth::Error::BadUndoToken => texts::BAD_UNDO_TOKEN,
        auth::Error::AddressChangedLately => texts::ADDRESS_CHANGED_LATELY,
        auth::Error::Unavailable(_) => texts::UNAVAILABLE,
        auth::Error::Internal(_) => texts::INTERNAL,
    };
    view.text(text).into()
}

fn with_wait(text: Text, wait: Duration, view: &View) -> Cow<'static, str> {
    let retry_after = view.text(texts::RETRY_AFTER)(wait);
    format!("{} {retry_after}", view.text(text)).into()
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
    use std::collections::{HashMap, HashSet};
    use std::sync::Arc;

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
            auth::Error::OwnAddress.into(),
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
    fn the_heading_of_a_refusal_is_that_of_its_status() {
        let mut titles: HashMap<StatusCode, &str> = HashMap::new();
        let [view, _] = &views();
        for error in errors() {
            if matches!(error, Error::Auth(auth::Error::SignUpClosed)) {
                continue;
            }
            let title = Messages::new(&error, view).title;
            let first = *titles.entry(error.status_code()).or_insert(title);
            assert_eq!(first, title, "{error}");
        }
        assert_eq!(titles[&StatusCode::TOO_MANY_REQUESTS], "Too many requests");
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
