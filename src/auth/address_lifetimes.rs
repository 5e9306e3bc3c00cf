//! How long the tokens live that change an address and undo that.

use std::time::Duration;

use crate::clock::UnixTime;
use crate::db::Period;

/// A token that goes to a new address can be used for this long. Who asks for it has their mail at hand, and
/// is logged in.
pub const EMAIL_TOKEN_LIFETIME: Duration = Duration::from_hours(1);

/// A change of an address can be undone for this long: a week, in which most people read their mail.
pub const UNDO_LIFETIME: Duration = Duration::from_hours(7 * 24);

/// When an address must have been given up for its account to be taken back to it now.
pub fn undo_period(now: UnixTime) -> Period {
    Period::of_valid(now, UNDO_LIFETIME)
}
