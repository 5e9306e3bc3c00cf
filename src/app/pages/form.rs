//! Forms.
//!
//! Nothing is checked in the browser: what is wrong is said by the service, in the language of the
//! page, beside the field, and stays there while it is put right.

use maud::{Markup, html};

use super::layout::{Page, View};
use super::messages::Messages;
use crate::language::{Text, Translated, text};

pub const EMAIL: Text = text("Email address", "Adresse e-mail");
pub const NEW_EMAIL: Text = text("New email address", "Nouvelle adresse e-mail");
pub const PASSWORD: Text = text("Password", "Mot de passe");
const CURRENT_PASSWORD: Text = text("Current password", "Mot de passe actuel");
/// Stands before the title of a page whose form was refused.
const ERROR: Text = text("Error", "Erreur");
const PASSWORD_HINT: Translated<fn(usize) -> String> = Translated {
    en: |least| format!("{least} characters or more."),
    fr: |least| format!("{least} caractères au moins."),
};

/// A page under a heading, with what is wrong with its form as a whole. A refusal is the first word of
/// the title, which a screen reader says first.
pub fn titled(view: &View, heading: Text, messages: Option<&Messages>, content: &Markup) -> Page {
    let heading = view.text(heading);
    let content = html! {
        h1 { (heading) }
        @if let Some(text) = messages.and_then(Messages::about_form) {
            p.problem.notice #form-problem role="alert" { (text) }
        }
        (content)
    };
    match messages {
        Some(_) => view.page(&format!("{} – {heading}", view.text(ERROR)), &content),
        None => view.page(heading, &content),
    }
}

/// That something was done, which is read out when the page comes.
pub fn done(view: &View, text: Text) -> Markup {
    html! {
        p.success.notice role="status" { (view.text(text)) }
    }
}

/// Links below a form.
pub fn links(view: &View, links: &[(&str, Text)]) -> Markup {
    html! {
        p.more {
            @for (path, text) in links {
                a href=(path) { (view.text(*text)) }
            }
        }
    }
}

/// A form that is posted.
pub struct Form<'a> {
    /// The path that it is posted to.
    pub action: &'a str,
    /// Names and texts of what goes along unseen, `_method` among them.
    pub hidden: &'a [(&'a str, &'a str)],
    pub fields: &'a [Field<'a>],
    /// Whether the first empty field has the focus from the start.
    pub has_focus: bool,
    pub button: Button,
}

/// The button that sends a form.
pub enum Button {
    /// What people come to a page for.
    Primary(Text),
    /// What they can also do.
    Secondary(Text),
    /// What cannot be undone.
    Danger(Text),
}

impl Form<'_> {
    /// The form with what is wrong with each field beside it. The first such field has the focus, so
    /// that its problem is read out; if the form as a whole was refused, the first empty field has it.
    pub fn markup(&self, view: &View, messages: Option<&Messages>) -> Markup {
        let of_form = messages.and_then(Messages::about_form);
        let about = |field: &Field| messages.and_then(|messages| messages.about(field.name));
        let focus = (self.fields.iter().position(|field| about(field).is_some())).or_else(|| {
            let is_empty = |field: &Field| field.value.is_empty() && !field.is_checkbox();
            let first_empty = || self.fields.iter().position(is_empty);
            (self.has_focus || of_form.is_some()).then(first_empty)?
        });
        html! {
            form method="post" action=(self.action) novalidate {
                @for (name, text) in self.hidden {
                    input type="hidden" name=(name) value=(text);
                }
                @for (index, field) in self.fields.iter().enumerate() {
                    (field.markup(view, about(field), of_form.is_some(), focus == Some(index)))
                }
                @match self.button {
                    Button::Primary(text) => button { (view.text(text)) },
                    Button::Secondary(text) => button.secondary { (view.text(text)) },
                    Button::Danger(text) => button.danger { (view.text(text)) },
                }
            }
        }
    }
}

/// A labelled field.
pub struct Field<'a> {
    name: &'static str,
    label: Text,
    kind: &'static str,
    /// What a password manager may fill in (HTML, 4.10.18.7.1).
    autocomplete: &'static str,
    /// What is in it from the start; never a password.
    value: &'a str,
    is_read_only: bool,
    /// What is asked of its text (WCAG 2.2, 3.3.2).
    hint: Option<String>,
}

impl<'a> Field<'a> {
    pub fn email(value: &'a str) -> Self {
        Self {
            name: "email",
            label: EMAIL,
            kind: "email",
            autocomplete: "username",
            value,
            is_read_only: false,
            hint: None,
        }
    }

    /// The same, to be read only.
    pub fn fixed_email(value: &'a str) -> Self {
        Self {
            is_read_only: true,
            ..Self::email(value)
        }
    }

    /// An address that is to take the place of the one that is logged in with.
    pub fn new_email(value: &'a str) -> Self {
        Self {
            label: NEW_EMAIL,
            autocomplete: "email",
            ..Self::email(value)
        }
    }

    pub fn password() -> Self {
        Self {
            name: "password",
            label: PASSWORD,
            kind: "password",
            autocomplete: "current-password",
            value: "",
            is_read_only: false,
            hint: None,
        }
    }

    /// The password that a user has now, beside a new one.
    pub fn current_password() -> Self {
        Self {
            label: CURRENT_PASSWORD,
            ..Self::password()
        }
    }

    /// A password to be chosen, of at least so many characters.
    pub fn new_password(
        view: &View,
        name: &'static str,
        label: Text,
        least: Option<usize>,
    ) -> Self {
        Self {
            name,
            label,
            autocomplete: "new-password",
            hint: least.map(|least| view.text(PASSWORD_HINT)(least)),
            ..Self::password()
        }
    }

    /// A box to tick.
    pub fn checkbox(name: &'static str, label: Text, is_checked: bool) -> Self {
        Self {
            name,
            label,
            kind: "checkbox",
            value: if is_checked { "on" } else { "" },
            ..Self::password()
        }
    }

    fn is_checkbox(&self) -> bool {
        self.kind == "checkbox"
    }

    fn markup(&self, view: &View, problem: Option<&str>, of_form: bool, focus: bool) -> Markup {
        if self.is_checkbox() {
            let is_checked = !self.value.is_empty();
            return html! {
                div.field.choice {
                    input #(self.name) name=(self.name) type="checkbox" checked[is_checked];
                    label for=(self.name) { (view.text(self.label)) }
                }
            };
        }
        let is_email = self.kind == "email";
        let hint_id = self.hint.as_ref().map(|_| format!("{}-hint", self.name));
        let problem_id = match (problem, of_form) {
            (Some(_), _) => Some(format!("{}-problem", self.name)),
            (None, true) => Some("form-problem".to_owned()),
            (None, false) => None,
        };
        let ids: Vec<&str> = [&problem_id, &hint_id]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        let described_by = (!ids.is_empty()).then(|| ids.join(" "));
        html! {
            div.field {
                label for=(self.name) { (view.text(self.label)) }
                @if let (Some(hint), Some(id)) = (&self.hint, &hint_id) {
                    p.hint #(id) { (hint) }
                }
                @if let (Some(problem), Some(id)) = (problem, &problem_id) {
                    p.problem #(id) role="alert" { (problem) }
                }
                input #(self.name) name=(self.name) type=(self.kind) required
                    autocomplete=(self.autocomplete)
                    inputmode=[is_email.then_some("email")]
                    autocapitalize=[is_email.then_some("none")]
                    spellcheck=[is_email.then_some("false")]
                    value=[is_email.then_some(self.value)]
                    readonly[self.is_read_only]
                    aria-invalid=[problem.map(|_| "true")]
                    aria-describedby=[&described_by]
                    autofocus[focus];
            }
        }
    }
}
