//! JSON: an object a line, or Auth0's array of objects.

use std::io::BufRead;

use serde_json::{Map, Value};

use super::elements::Elements;
use super::error::ImportError;
use super::line::{Line, MAX_BYTES, MAX_GROUPS, MOMENT, Problem};
use crate::auth::administration::ImportedUser;
use crate::clock::UnixTime;
use crate::rfc3339;
use crate::user::GroupName;

const EMAIL: &str = "email";
const PASSWORD_HASH: &str = "password_hash";
const CREATED_AT: &str = "created_at";
const LOCKED_AT: &str = "locked_at";
const EMAIL_CONFIRMED_AT: &str = "email_confirmed_at";
const GROUPS: &str = "groups";
const EMAIL_VERIFIED: &str = "email_verified";
const BLOCKED: &str = "blocked";

/// The users in a file of JSON Lines.
pub struct JsonLinesUsers<R> {
    input: R,
    number: i64,
    line: Vec<u8>,
    now: UnixTime,
}

impl<R: BufRead> JsonLinesUsers<R> {
    pub fn new(input: R, now: UnixTime) -> Self {
        Self {
            input,
            number: 0,
            line: Vec::new(),
            now,
        }
    }

    pub fn next(&mut self) -> Result<Option<Line>, ImportError> {
        while let Some(is_whole) = self.read_line()? {
            if is_whole && self.line.trim_ascii().is_empty() {
                continue;
            }
            let user = if is_whole {
                object_in(&self.line).and_then(|object| self.user_of(&object))
            } else {
                Err(Problem::TooLong)
            };
            return Ok(Some(Line {
                position: self.number,
                user,
            }));
        }
        Ok(None)
    }

    /// Reads a line, of which it holds at most [`MAX_BYTES`]. False if it is longer; `None` if there are
    /// no more.
    fn read_line(&mut self) -> Result<Option<bool>, ImportError> {
        self.line.clear();
        self.number += 1;
        let (mut is_empty, mut is_whole) = (true, true);
        loop {
            let input = self.input.fill_buf()?;
            if input.is_empty() {
                return Ok((!is_empty).then_some(is_whole));
            }
            is_empty = false;
            let end = input.iter().position(|byte| *byte == b'\n');
            let part = &input[..end.unwrap_or(input.len())];
            is_whole = is_whole && self.line.len() + part.len() <= MAX_BYTES;
            if is_whole {
                self.line.extend_from_slice(part);
            }
            let length = part.len() + usize::from(end.is_some());
            self.input.consume(length);
            if end.is_some() {
                return Ok(Some(is_whole));
            }
        }
    }

    fn user_of(&self, object: &Map<String, Value>) -> Result<ImportedUser, Problem> {
        let hash = hash_in(object)?;
        let email = text(object, EMAIL)?;
        let mut user = ImportedUser::parse(self.number, email, hash, self.now)?;
        let account = &mut user.account;
        if let Some(moment) = moment(object, CREATED_AT)? {
            account.created_at = moment;
        }
        account.locked_at = moment(object, LOCKED_AT)?;
        account.email_confirmed_at = moment(object, EMAIL_CONFIRMED_AT)?;
        account.groups = groups(object)?;
        Ok(user)
    }
}

/// The users in a file for Auth0's import:
/// <https://auth0.com/docs/manage-users/user-migration/bulk-user-import-database-schema-and-examples>.
pub struct Auth0Users<R> {
    elements: Elements<R>,
    now: UnixTime,
}

impl<R: BufRead> Auth0Users<R> {
    pub fn new(input: R, now: UnixTime) -> Self {
        Self {
            elements: Elements::new(input),
            now,
        }
    }

    pub fn next(&mut self) -> Result<Option<Line>, ImportError> {
        let Some((position, element)) = self.elements.next()? else {
            return Ok(None);
        };
        let user = element
            .and_then(object_in)
            .and_then(|object| auth0_user_of(position, &object, self.now));
        Ok(Some(Line { position, user }))
    }
}

fn auth0_user_of(
    position: i64,
    object: &Map<String, Value>,
    now: UnixTime,
) -> Result<ImportedUser, Problem> {
    let (email, hash) = (text(object, EMAIL)?, hash_in(object)?);
    let mut user = ImportedUser::parse(position, email, hash, now)?;
    let account = &mut user.account;
    if let Some(moment) = moment(object, CREATED_AT)? {
        account.created_at = moment;
    }
    account.email_confirmed_at = flag(object, EMAIL_VERIFIED)?.then_some(account.created_at);
    account.locked_at = flag(object, BLOCKED)?.then_some(now);
    Ok(user)
}

fn object_in(text: &[u8]) -> Result<Map<String, Value>, Problem> {
    let text = str::from_utf8(text).map_err(|_| Problem::NotUtf8)?;
    // Refuses what is nested deeply.
    serde_json::from_str(text).map_err(|error| Problem::NotJson(error.column()))
}

/// The hash of a password; `None` for a user without one. One that is missing may have been forgotten.
fn hash_in(object: &Map<String, Value>) -> Result<Option<&str>, Problem> {
    match object.get(PASSWORD_HASH) {
        Some(Value::Null) => Ok(None),
        _ => text(object, PASSWORD_HASH).map(Some),
    }
}

fn text<'a>(object: &'a Map<String, Value>, key: &'static str) -> Result<&'a str, Problem> {
    let value = object.get(key).ok_or(Problem::Missing(key))?;
    value.as_str().ok_or(Problem::WrongType(key, "a text"))
}

fn flag(object: &Map<String, Value>, key: &'static str) -> Result<bool, Problem> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(false),
        Some(value) => value
            .as_bool()
            .ok_or(Problem::WrongType(key, "true or false")),
    }
}

fn moment(object: &Map<String, Value>, key: &'static str) -> Result<Option<UnixTime>, Problem> {
    let moment = match object.get(key) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => rfc3339::read(text),
        Some(value) => value.as_i64().and_then(rfc3339::of_seconds),
    };
    moment.map(Some).ok_or(Problem::WrongType(key, MOMENT))
}

fn groups(object: &Map<String, Value>) -> Result<Vec<GroupName>, Problem> {
    const NAMES: &str = "an array of names of groups, each of 1 to 32 of a-z, 0-9, _ and -";

    let wrong = Problem::WrongType(GROUPS, NAMES);
    let names = match object.get(GROUPS) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(value) => value.as_array().ok_or_else(|| wrong.clone())?,
    };
    if names.len() > MAX_GROUPS {
        return Err(Problem::TooManyGroups);
    }
    let names = names
        .iter()
        .map(|name| name.as_str().and_then(|name| name.parse().ok()));
    names.collect::<Option<_>>().ok_or(wrong)
}
