//! An error with its causes, in one line: for logs, and for the last words of a program.

use std::error::Error;
use std::fmt;

/// Shows an error and, after colons, each error that caused it.
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts: Vec<String> = Vec::new();
        let mut next = Some(self.0);
        while let Some(error) = next {
            let text = error.to_string();
            // Some errors repeat their cause in their own words.
            if !texts.last().is_some_and(|last| last.ends_with(&text)) {
                texts.push(text);
            }
            next = error.source();
        }
        formatter.write_str(&texts.join(": ").replace('\n', " "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Caused {
        text: &'static str,
        source: Option<Box<Caused>>,
    }

    fn caused(text: &'static str, source: Option<Caused>) -> Caused {
        Caused {
            text,
            source: source.map(Box::new),
        }
    }

    #[test]
    fn causes_follow_after_colons_in_one_line_and_once() {
        let root = caused("no route\nto host", None);
        let middle = caused("i/o: no route\nto host", Some(root));
        let top = caused("cannot connect", Some(middle));
        assert_eq!(
            ErrorChain(&top).to_string(),
            "cannot connect: i/o: no route to host"
        );
    }
}
