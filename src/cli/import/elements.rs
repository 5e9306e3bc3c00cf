//! The objects of a JSON array, one at a time, so that neither the array nor an object that is too long
//! is held.

use std::io::BufRead;

use super::error::ImportError;
use super::line::{MAX_BYTES, Problem};

/// The objects of an array, as texts that need not be JSON.
pub struct Elements<R> {
    input: R,
    line: i64,
    element: Vec<u8>,
    place: Place,
}

/// Where in the array the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    First,
    Within,
    After,
}

impl<R: BufRead> Elements<R> {
    pub fn new(input: R) -> Self {
        Self {
            input,
            line: 1,
            element: Vec::new(),
            place: Place::Before,
        }
    }

    /// The next object and the line that it begins in; `None` after the last.
    ///
    /// # Errors
    ///
    /// What stands between the objects is not what stands in an array.
    #[expect(clippy::type_complexity, reason = "a line, with a text or a problem")]
    pub fn next(&mut self) -> Result<Option<(i64, Result<&[u8], Problem>)>, ImportError> {
        loop {
            let byte = self.next_visible()?;
            let wrong = |reason| Err(ImportError::Array(self.line, reason));
            self.place = match (self.place, byte) {
                (Place::Before, Some(b'[')) => Place::First,
                (Place::Before, _) => return wrong("there is no [ at the start"),
                (Place::First | Place::Within, Some(b'{')) => {
                    self.place = Place::After;
                    let line = self.line;
                    let is_whole = self.read_object()?;
                    let element = if is_whole {
                        Ok(&*self.element)
                    } else {
                        Err(Problem::TooLong)
                    };
                    return Ok(Some((line, element)));
                }
                (Place::First | Place::After, Some(b']')) => {
                    return match self.next_visible()? {
                        None => {
                            self.place = Place::After;
                            Ok(None)
                        }
                        Some(_) => Err(ImportError::Array(self.line, "something follows the ]")),
                    };
                }
                (Place::After, Some(b',')) => Place::Within,
                (_, None) => return wrong("the file ends before the ]"),
                (Place::After, Some(_)) => return wrong("there is no comma or ] after an object"),
                (Place::First | Place::Within, Some(_)) => return wrong("there is no object"),
            };
        }
    }

    /// Reads the rest of an object, up to the brace that closes it. False if it is longer than
    /// [`MAX_BYTES`].
    fn read_object(&mut self) -> Result<bool, ImportError> {
        self.element.clear();
        self.element.push(b'{');
        let (mut depth, mut is_whole) = (1_u64, true);
        let (mut is_in_text, mut is_escaped) = (false, false);
        while depth > 0 {
            let Some(byte) = self.next_byte()? else {
                return Err(ImportError::Array(
                    self.line,
                    "the file ends within an object",
                ));
            };
            if self.element.len() < MAX_BYTES {
                self.element.push(byte);
            } else {
                is_whole = false;
            }
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' if is_in_text => is_escaped = true,
                b'"' => is_in_text = !is_in_text,
                b'{' | b'[' if !is_in_text => depth += 1,
                b'}' | b']' if !is_in_text => depth -= 1,
                _ => {}
            }
        }
        Ok(is_whole)
    }

    fn next_visible(&mut self) -> Result<Option<u8>, ImportError> {
        loop {
            match self.next_byte()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {}
                byte => return Ok(byte),
            }
        }
    }

    fn next_byte(&mut self) -> Result<Option<u8>, ImportError> {
        let byte = self.input.fill_buf()?.first().copied();
        if byte.is_some() {
            self.input.consume(1);
        }
        self.line += i64::from(byte == Some(b'\n'));
        Ok(byte)
    }
}
