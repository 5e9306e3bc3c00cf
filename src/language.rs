//! The languages in which people read pages and mails.
//!
//! A new language is a variant of [`Language`], a field of [`Translated`] and an argument of [`text`]:
//! the compiler then names every text that lacks it.

use std::time::Duration;

/// A language that texts are translated into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English, which also serves those who read none of the languages.
    English,
    /// French. A narrow no-break space (U+202F) stands before `?` and `!`, a no-break space (U+00A0)
    /// before `:`.
    French,
}

impl Language {
    /// All languages; the default is the first.
    pub const ALL: [Self; 2] = [Self::English, Self::French];

    /// The language with this tag; `None` for another.
    pub fn by_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// The language tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::French => "fr",
        }
    }
}

/// The same in every language: a text, or a function that makes one.
#[derive(Clone, Copy, Debug)]
pub struct Translated<T> {
    /// In English.
    pub en: T,
    /// In French.
    pub fr: T,
}

/// A text in every language.
pub type Text = Translated<&'static str>;

/// A text in English and in French.
pub const fn text(en: &'static str, fr: &'static str) -> Text {
    Text { en, fr }
}

impl<T: Copy> Translated<T> {
    /// What is said in this language.
    pub const fn in_language(self, language: Language) -> T {
        match language {
            Language::English => self.en,
            Language::French => self.fr,
        }
    }
}

/// A length of time, such as `30 minutes`: in the largest unit that it is a whole number of, else in
/// minutes, rounded down.
pub const LENGTH_OF_TIME: Translated<fn(Duration) -> String> = Translated {
    en: |time| counted(time, ["day", "hour", "minute"]),
    fr: |time| counted(time, ["jour", "heure", "minute"]),
};

fn counted(time: Duration, units: [&str; 3]) -> String {
    const SECONDS: [u64; 3] = [24 * 60 * 60, 60 * 60, 60];
    let seconds = time.as_secs();
    let is_whole =
        |unit: &usize| seconds >= SECONDS[*unit] && seconds.is_multiple_of(SECONDS[*unit]);
    let unit = (0..3).find(is_whole).unwrap_or(2);
    let number = (seconds / SECONDS[unit]).max(1);
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {}{plural}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_told_in_the_largest_whole_unit() {
        for (seconds, en, fr) in [
            (30 * 60, "30 minutes", "30 minutes"),
            (60 * 60, "1 hour", "1 heure"),
            (90 * 60, "90 minutes", "90 minutes"),
            (48 * 60 * 60, "2 days", "2 jours"),
            (59, "1 minute", "1 minute"),
            (150, "2 minutes", "2 minutes"),
        ] {
            let time = Duration::from_secs(seconds);
            let told = Language::ALL.map(|language| LENGTH_OF_TIME.in_language(language)(time));
            assert_eq!(told, [en, fr]);
        }
    }
}
