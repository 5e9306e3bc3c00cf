//! What programs can ask for and how they are answered, as an OpenAPI 3.1 document.
//!
//! It is written by hand: handlers that answer forms, JSON and multipart alike would need annotations, and
//! nothing checks those either. Tests compare it with the service: the ones below its paths, refusals and
//! version, `tests/service/openapi.rs` its methods and answers, and in `.ci/run` schemathesis.

/// The document, in JSON. It is the same however the service is set up.
pub fn openapi() -> &'static str {
    include_str!("openapi.json")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use axum::response::IntoResponse;
    use serde_json::Value;

    use super::*;
    use crate::app::error::{Error, FieldError, FieldProblem};
    use crate::app::route_table;
    use crate::email::InvalidEmail;
    use crate::password::{InvalidPassword, PasswordRule, WeakPassword};
    use crate::{auth, db};

    /// The header fields by which proxies tell what they ask about.
    const PROXY_HEADERS: [&str; 6] = [
        "x-forwarded-method",
        "x-forwarded-proto",
        "x-forwarded-host",
        "x-forwarded-uri",
        "x-original-method",
        "x-original-url",
    ];

    /// Values of all variants of an enum. Does not compile while a variant is missing.
    macro_rules! of_each_variant {
        ($($variant:pat => $values:expr,)+) => {{
            let is_complete = |value: &_| match value { $($variant => ()),+ };
            let values: Vec<_> = [$(Vec::from($values)),+].into_iter().flatten().collect();
            values.iter().for_each(is_complete);
            values
        }};
    }

    /// Every refusal that a program can get.
    fn refusals() -> Vec<Error> {
        let bodies = [
            "application/x-www-form-urlencoded",
            "json object",
            "multipart/form-data",
        ];
        of_each_variant! {
            Error::NotFound => [Error::NotFound],
            Error::MethodNotAllowed => [Error::MethodNotAllowed],
            Error::BadHost => [Error::BadHost],
            Error::BadTransferEncoding => [Error::BadTransferEncoding],
            Error::CrossSite => [Error::CrossSite],
            Error::NoTrustedProxy => [Error::NoTrustedProxy],
            Error::BadProxyHeader(_) => PROXY_HEADERS.map(Error::BadProxyHeader),
            Error::NotLoggedIn { .. } => [Error::NotLoggedIn { login: None }],
            Error::UnsupportedMediaType => [Error::UnsupportedMediaType],
            Error::BodyTooLarge => [Error::BodyTooLarge],
            Error::BodyTooSlow => [Error::BodyTooSlow],
            Error::BrokenBody(_) => [Error::BrokenBody(axum::Error::new("reset"))],
            Error::MalformedBody { .. } => bodies.map(|expected| Error::MalformedBody { expected }),
            Error::TooManyFields => [Error::TooManyFields],
            Error::BadFields(_) => field_refusals(),
            Error::Auth(_) => auth_refusals(),
            Error::Panicked => [Error::Panicked],
        }
    }

    fn auth_refusals() -> Vec<Error> {
        let retry_after = Duration::from_secs(1);
        let errors = of_each_variant! {
            auth::Error::SignUpClosed => [auth::Error::SignUpClosed],
            auth::Error::BadSignUpToken => [auth::Error::BadSignUpToken],
            auth::Error::EmailTaken => [auth::Error::EmailTaken],
            auth::Error::OwnAddress => [auth::Error::OwnAddress],
            // Refused by the name of its field.
            auth::Error::WeakPassword(_) => [],
            auth::Error::BadCredentials => [auth::Error::BadCredentials],
            auth::Error::Locked => [auth::Error::Locked],
            auth::Error::NoSession => [auth::Error::NoSession],
            auth::Error::NotFresh => [auth::Error::NotFresh],
            auth::Error::UnknownSession => [auth::Error::UnknownSession],
            auth::Error::UnknownApp => [auth::Error::UnknownApp],
            auth::Error::NotAllowed => [auth::Error::NotAllowed],
            auth::Error::BadTicket => [auth::Error::BadTicket],
            auth::Error::WrongPassword => [auth::Error::WrongPassword],
            auth::Error::UnknownEmail => [auth::Error::UnknownEmail],
            auth::Error::BadResetToken => [auth::Error::BadResetToken],
            auth::Error::BadEmailToken => [auth::Error::BadEmailToken],
            auth::Error::BadUndoToken => [auth::Error::BadUndoToken],
            auth::Error::AddressChangedLately => [auth::Error::AddressChangedLately],
            auth::Error::Throttled { .. } => [auth::Error::Throttled { retry_after }],
            auth::Error::Unavailable(_) => [auth::Error::Unavailable(db::Error::Closed)],
            auth::Error::Busy { .. } => [auth::Error::Busy { retry_after }],
            auth::Error::Internal(_) => [auth::Error::Internal("disk".into())],
        };
        errors.into_iter().map(Error::from).collect()
    }

    fn field_refusals() -> Vec<Error> {
        let addresses = of_each_variant! {
            InvalidEmail::TooLong => [InvalidEmail::TooLong],
            InvalidEmail::Malformed => [InvalidEmail::Malformed],
            InvalidEmail::NotAscii => [InvalidEmail::NotAscii],
        };
        let passwords = of_each_variant! {
            InvalidPassword::Empty => [InvalidPassword::Empty],
            InvalidPassword::TooLong => [InvalidPassword::TooLong],
            InvalidPassword::Nul => [InvalidPassword::Nul],
        };
        let weaknesses = of_each_variant! {
            WeakPassword::Short(_) => [WeakPassword::Short(PasswordRule::LOWEST_MIN)],
            WeakPassword::Common => [WeakPassword::Common],
            WeakPassword::Address => [WeakPassword::Address],
            WeakPassword::Site => [WeakPassword::Site],
        };
        let problems = of_each_variant! {
            FieldProblem::Missing => [FieldProblem::Missing],
            FieldProblem::Empty => [FieldProblem::Empty],
            FieldProblem::Repeated => [FieldProblem::Repeated],
            FieldProblem::NotText => [FieldProblem::NotText],
            FieldProblem::NotMethod => [FieldProblem::NotMethod],
            FieldProblem::Email(_) => addresses.into_iter().map(FieldProblem::from).collect::<Vec<_>>(),
            FieldProblem::Password(_) => passwords.into_iter().map(FieldProblem::from).collect::<Vec<_>>(),
            FieldProblem::Weak(_) => weaknesses.into_iter().map(FieldProblem::from).collect::<Vec<_>>(),
        };
        let errors = problems.into_iter().flat_map(|problem| {
            let fields = fields_with(problem).iter();
            fields.map(move |name| FieldError { name, problem }.into())
        });
        errors.collect()
    }

    /// The fields of programs in which there can be such a problem.
    fn fields_with(problem: FieldProblem) -> &'static [&'static str] {
        match problem {
            FieldProblem::Missing
            | FieldProblem::Empty
            | FieldProblem::Repeated
            | FieldProblem::NotText => &[
                "email",
                "password",
                "sign_up_token",
                "reset_token",
                "email_token",
                "undo_token",
                "new_password",
            ],
            FieldProblem::Email(_) => &["email"],
            FieldProblem::Password(_) | FieldProblem::Weak(_) => &["password", "new_password"],
            // Of forms that people send.
            FieldProblem::NotMethod => &[],
        }
    }

    fn document() -> Value {
        serde_json::from_str(openapi()).unwrap()
    }

    /// The status and the text of every refusal in the responses of the document.
    fn documented(document: &Value) -> BTreeSet<(u16, String)> {
        let resolve = |value: &Value| match value["$ref"].as_str() {
            Some(name) => document.pointer(&name[1..]).unwrap().clone(),
            None => value.clone(),
        };
        let mut refusals = BTreeSet::new();
        let paths = document["paths"].as_object().unwrap();
        let operations = paths
            .values()
            .flat_map(|path| path.as_object().unwrap().values());
        for (status, response) in operations
            .filter_map(|it| it["responses"].as_object())
            .flatten()
        {
            let content = &resolve(response)["content"]["application/json"];
            for example in content["examples"]
                .as_object()
                .into_iter()
                .flat_map(|it| it.values())
            {
                let text = resolve(example)["value"]["message"]
                    .as_str()
                    .unwrap()
                    .to_owned();
                refusals.insert((status.parse().unwrap(), text));
            }
        }
        refusals
    }

    #[test]
    fn the_document_has_each_refusal_with_its_status_and_text_and_no_other() {
        let document = document();
        let about = document["info"]["description"].as_str().unwrap();
        let mut of_operations = BTreeSet::new();
        for error in refusals() {
            let text = error.to_string();
            let is_of_other_paths = matches!(error, Error::NotFound);
            let status = error.into_response().status().as_u16();
            if is_of_other_paths {
                let told = format!("{status} `{text}`");
                assert!(about.contains(&told), "{told}");
            } else {
                of_operations.insert((status, text));
            }
        }
        assert_eq!(documented(&document), of_operations);
    }

    #[test]
    fn the_document_has_the_paths_of_the_route_table() {
        let document = document();
        let described: BTreeSet<&str> = document["paths"]
            .as_object()
            .unwrap()
            .keys()
            .map(|path| &**path)
            .collect();
        let routed: BTreeSet<&str> = route_table().iter().map(|(path, ..)| *path).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn the_document_has_the_version_of_the_program() {
        assert_eq!(document()["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
