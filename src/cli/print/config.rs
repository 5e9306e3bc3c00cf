//! `bienvenue print config`: the settings as a configuration file, with where each comes from.

use crate::cli::options::effective::{Effective, Origin};
use crate::cli::options::setting::{self, Kind};

/// The text of the file. What is not set, and what must not stand in such a file, are comments.
///
/// `file` is the configuration file that was read; `derived` has the defaults that depend on other
/// options, by the names of their own.
pub fn render(
    settings: &[Effective],
    file: Option<&str>,
    derived: &[(&'static str, String)],
) -> String {
    let mut lines = vec![
        "# Each option with its value, and behind it where that comes from.".to_owned(),
        match file {
            Some(file) => format!("# Configuration file: {file}"),
            None => "# Configuration file: none".to_owned(),
        },
    ];
    let mut headings: Vec<&Option<String>> = Vec::new();
    for setting in settings {
        if !headings.contains(&&setting.heading) {
            headings.push(&setting.heading);
        }
    }
    for heading in headings {
        lines.push(String::new());
        lines.extend(heading.as_ref().map(|heading| format!("# {heading}")));
        let of_group = settings
            .iter()
            .filter(|setting| setting.heading == *heading);
        lines.extend(of_group.map(|setting| line(setting, settings, derived)));
    }
    lines.join("\n") + "\n"
}

/// The line of a setting.
fn line(setting: &Effective, all: &[Effective], derived: &[(&'static str, String)]) -> String {
    let Effective { name, origin, .. } = setting;
    if *origin == Origin::Default {
        let is_given = |name: &&str| {
            let mut others = all.iter().filter(|other| other.name == **name);
            others.any(|other| other.origin != Origin::Default)
        };
        let unset = value(setting.kind, [setting.placeholder.as_str()]);
        if let Some(other) = setting::alternatives_of(name).find(is_given) {
            return format!("# {name} = {unset}  # {other} is given");
        }
        if let Some((_, default)) = derived.iter().find(|(option, _)| option == name) {
            return format!("{name} = {}  # default", scalar(default));
        }
        if setting.values.is_empty() {
            return format!("# {name} = {unset}  # not set");
        }
    }
    let texts = setting.values.iter().map(|value| value.to_string_lossy());
    let value = value(setting.kind, texts);
    if setting.is_masked {
        format!("# {name} = {value}  # {origin}; in a configuration file give {name}-file")
    } else if setting.values.iter().any(|value| value.to_str().is_none()) {
        format!("# {name} = {value}  # {origin}; not UTF-8, which no configuration file can have")
    } else {
        format!("{name} = {value}  # {origin}")
    }
}

/// The value of a setting as TOML has it.
fn value(kind: Kind, texts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let texts = texts.into_iter();
    match kind {
        Kind::Flag => texts.map(|text| text.as_ref().to_owned()).collect(),
        Kind::Value => texts.map(|text| scalar(text.as_ref())).collect(),
        Kind::List => {
            let items: Vec<String> = texts.map(|text| scalar(text.as_ref())).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// A number as TOML has it, or a string.
fn scalar(text: &str) -> String {
    let number = text.parse::<i64>().map(|number| number.to_string());
    if number.is_ok_and(|number| number == text) {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// A string of TOML. What JSON escapes, TOML reads in the same way; it also wants U+007F escaped.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.replace('\u{7f}', "\\u007f")
}
