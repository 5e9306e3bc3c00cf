//! The pages that people fill in or read.
//!
//! Nothing is checked in the browser: what is wrong is said by the service, in the language of the
//! page, beside the field, and stays there while it is put right.

use maud::{Markup, html};

use super::errors::Refusal;
use super::layout::{Page, View};
use super::next::Next;
use super::texts::Texts;
use crate::app::fields::Fields;
use crate::email::Email;

/// What a page says before its form.
pub(super) enum Notice<'a> {
    /// Why the last attempt was refused.
    Refusal(&'a Refusal),
    /// The new password works.
    PasswordUpdated,
}

/// What was typed into a form that is shown again; never a password.
pub(super) struct Typed {
    email: String,
    pub(super) next: Next,
}

impl Typed {
    pub(super) fn nothing(next: Next) -> Self {
        Self {
            email: String::new(),
            next,
        }
    }

    pub(super) fn of(fields: &Fields) -> Self {
        Self {
            email: fields.text("email").unwrap_or_default().to_owned(),
            next: fields
                .text("next")
                .map_or_else(|_| Next::home(), Next::parse),
        }
    }
}

/// The home page of those who are not logged in.
pub(super) fn home(view: &View) -> Page {
    let content = log_in_form(view, &Typed::nothing(Next::home()), None);
    titled(view, view.texts.home_title, None, &content)
}

/// The home page of those who are.
pub(super) fn who_you_are(view: &View, email: &Email) -> Page {
    let texts = view.texts;
    let content = html! {
        p { (texts.logged_in_as) " " strong { (email.as_str()) } }
        (log_out_form(view))
        p.more { a href="/profile" { (texts.to_profile) } }
    };
    titled(view, texts.home_title, None, &content)
}

pub(super) fn profile(view: &View, email: &Email) -> Page {
    let texts = view.texts;
    let content = html! {
        dl {
            dt { (texts.email) }
            dd { (email.as_str()) }
        }
        (log_out_form(view))
        p.more { a href="/" { (texts.to_home) } }
    };
    titled(view, texts.profile_title, None, &content)
}

pub(super) fn log_in(view: &View, typed: &Typed, notice: Option<&Notice>) -> Page {
    let texts = view.texts;
    let refusal = match notice {
        Some(Notice::Refusal(refusal)) => Some(*refusal),
        _ => None,
    };
    let content = html! {
        @if let Some(Notice::PasswordUpdated) = notice {
            p.success.notice role="status" { (texts.password_updated) }
        }
        (log_in_form(view, typed, refusal))
    };
    titled(view, texts.log_in_title, refusal, &content)
}

pub(super) fn sign_up(view: &View, typed: &Typed, refusal: Option<&Refusal>) -> Page {
    let texts = view.texts;
    let content = form(
        "/users",
        &html! {
            (Field { value: &typed.email, ..Field::email(texts) }.markup(refusal))
            (Field::new_password(view, "password", texts.password).markup(refusal))
            (next_field(&typed.next))
            (button(texts.sign_up))
        },
    );
    let content = html! {
        (content)
        p.more { a href=(typed.next.after("/sessions")) { (texts.to_log_in) } }
    };
    titled(view, texts.sign_up_title, refusal, &content)
}

pub(super) fn ask_for_reset(view: &View, typed: &Typed, refusal: Option<&Refusal>) -> Page {
    let texts = view.texts;
    let form = form(
        "/reset_password",
        &html! {
            (Field { value: &typed.email, ..Field::email(texts) }.markup(refusal))
            (button(texts.go_on))
        },
    );
    let content = html! {
        p { (texts.ask_for_reset_text) }
        (form)
        p.more { a href="/users" { (texts.to_sign_up) } }
    };
    titled(view, texts.ask_for_reset_title, refusal, &content)
}

/// What follows where the token goes by mail.
pub(super) fn link_sent(view: &View) -> Page {
    let texts = view.texts;
    let content = html! {
        p { (texts.link_sent_text) }
        p.more { a href="/" { (texts.to_home) } }
    };
    titled(view, texts.link_sent_title, None, &content)
}

pub(super) fn new_password(
    view: &View,
    email: &str,
    reset_token: &str,
    refusal: Option<&Refusal>,
) -> Page {
    let texts = view.texts;
    let form = form(
        "/reset_password",
        &html! {
            input type="hidden" name="_method" value="PUT";
            input type="hidden" name="reset_token" value=(reset_token);
            // Shown, so that people and password managers know whose password it will be.
            (Field { value: email, is_fixed: true, ..Field::email(texts) }.markup(refusal))
            (Field::new_password(view, "new_password", texts.new_password).markup(refusal))
            (button(texts.save_password))
        },
    );
    let content = html! {
        p { (texts.new_password_text) }
        (form)
    };
    titled(view, texts.new_password_title, refusal, &content).holding_token()
}

/// A page under a heading, with what is wrong with its form as a whole. That something went wrong is
/// the first word of its title, which is what a screen reader says first.
fn titled(view: &View, heading: &str, refusal: Option<&Refusal>, content: &Markup) -> Page {
    let content = html! {
        h1 { (heading) }
        @if let Some(text) = refusal.and_then(Refusal::about_no_field) {
            p.problem.notice #form-problem role="alert" { (text) }
        }
        (content)
    };
    match refusal {
        Some(_) => view.page(&format!("{} – {heading}", view.texts.error), &content),
        None => view.page(heading, &content),
    }
}

fn log_in_form(view: &View, typed: &Typed, refusal: Option<&Refusal>) -> Markup {
    let texts = view.texts;
    let form = form(
        "/sessions",
        &html! {
            (Field { value: &typed.email, ..Field::email(texts) }.markup(refusal))
            (Field::password("password", texts.password).markup(refusal))
            (next_field(&typed.next))
            (button(texts.log_in))
        },
    );
    html! {
        (form)
        p.more {
            a href="/reset_password" { (texts.to_reset) }
            a href=(typed.next.after("/users")) { (texts.to_sign_up) }
        }
    }
}

fn log_out_form(view: &View) -> Markup {
    form(
        "/sessions",
        &html! {
            input type="hidden" name="_method" value="DELETE";
            (button(view.texts.log_out))
        },
    )
}

fn form(action: &str, content: &Markup) -> Markup {
    html! {
        form method="post" action=(action) novalidate { (content) }
    }
}

fn button(text: &str) -> Markup {
    html! { button { (text) } }
}

fn next_field(next: &Next) -> Markup {
    html! {
        @if !next.is_home() {
            input type="hidden" name="next" value=(next.as_str());
        }
    }
}

/// A labelled field.
struct Field<'a> {
    name: &'static str,
    label: &'static str,
    kind: &'static str,
    /// What a password manager may fill in (HTML, 4.10.18.7.1).
    autocomplete: &'static str,
    /// What stands in it from the start; never a password.
    value: &'a str,
    /// Whether it is there to be read only.
    is_fixed: bool,
    /// What is asked of what is typed (WCAG 2.2, 3.3.2).
    hint: Option<String>,
}

impl Field<'_> {
    fn email(texts: &Texts) -> Self {
        Self {
            name: "email",
            label: texts.email,
            kind: "email",
            autocomplete: "username",
            value: "",
            is_fixed: false,
            hint: None,
        }
    }

    fn password(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            kind: "password",
            autocomplete: "current-password",
            value: "",
            is_fixed: false,
            hint: None,
        }
    }

    fn new_password(view: &View, name: &'static str, label: &'static str) -> Self {
        let rule = view.edge().auth.password_rule();
        Self {
            autocomplete: "new-password",
            hint: rule.map(|rule| (view.texts.password_hint)(rule.min_characters())),
            ..Self::password(name, label)
        }
    }

    /// The field with what is wrong with it beside it. Then it has the focus, so that its problem is
    /// read out; if the form as a whole was refused, what has it is the password to type again.
    fn markup(&self, refusal: Option<&Refusal>) -> Markup {
        let is_email = self.kind == "email";
        let problem = refusal.and_then(|refusal| refusal.about(self.name));
        let of_form = refusal.and_then(Refusal::about_no_field);
        let hint_id = self.hint.as_ref().map(|_| format!("{}-hint", self.name));
        let problem_id = match (problem, of_form) {
            (Some(_), _) => Some(format!("{}-problem", self.name)),
            (None, Some(_)) => Some("form-problem".to_owned()),
            (None, None) => None,
        };
        let ids: Vec<&str> = [&problem_id, &hint_id]
            .into_iter()
            .filter_map(Option::as_deref)
            .collect();
        let described_by = (!ids.is_empty()).then(|| ids.join(" "));
        html! {
            div.field {
                label for=(self.name) { (self.label) }
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
                    readonly[self.is_fixed]
                    aria-invalid=[problem.map(|_| "true")]
                    aria-describedby=[&described_by]
                    autofocus[problem.is_some() || (of_form.is_some() && !is_email)];
            }
        }
    }
}
