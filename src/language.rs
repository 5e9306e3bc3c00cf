//! The languages in which people read pages.
//!
//! A new language is a variant of [`Language`], a field of [`Translated`] and an argument of [`text`]:
//! the compiler then names every text that lacks it.

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
