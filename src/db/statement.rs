//! The texts of the statements: one for both databases.
//!
//! Each change is one statement that decides by its own conditions, or the first of a transaction
//! that does. Placeholders are `$1`, `$2`, …, which both databases number alike. Each table's file
//! has its statements, and `all_statements` the list of all, of which a test prepares each on both databases.

use std::fmt::Write;

use super::batch::MAX_BATCH;

/// Defines statements and, beside them, the list of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* const $name: &str = $text;)*

        /// The name and the text of each statement.
        pub const STATEMENTS: &[(&str, &str)] = &[
            $((concat!(module_path!(), "::", stringify!($name)), $name)),*
        ];
    };
}

pub(super) use statements;

/// The texts of a statement for 1, 2, 4, … [`MAX_BATCH`] keys. Fewer keys are filled up by repeating
/// one, so that a connection prepares seven statements, not sixty-four.
pub struct Widths(Vec<&'static str>);

impl Widths {
    /// The statement with a list of placeholders in it, of which the first has this number.
    pub fn new(first_placeholder: usize, text: impl Fn(&str) -> String) -> Self {
        let widths = (0..)
            .map(|power| 1 << power)
            .take_while(|width| *width <= MAX_BATCH);
        let texts = widths.map(|width| &*text(&placeholders(first_placeholder, width)).leak());
        Self(texts.collect())
    }

    /// The text for so many keys, and how many it takes.
    pub fn for_keys(&self, count: usize) -> (&'static str, usize) {
        let width = count.next_power_of_two();
        (self.0[width.ilog2() as usize], width)
    }

    /// All texts.
    pub fn texts(&self) -> &[&'static str] {
        &self.0
    }
}

/// `$first, $(first + 1), …`
fn placeholders(first: usize, count: usize) -> String {
    let mut text = format!("${first}");
    for number in first + 1..first + count {
        let _ = write!(text, ", ${number}");
    }
    text
}
