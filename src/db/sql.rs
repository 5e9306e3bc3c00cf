//! Every statement that runs against the data: one text for both databases.
//!
//! Each change is one statement that decides by its own conditions, or the first of a transaction
//! that does. Placeholders are `$1`, `$2`, …, which both databases number alike. Statements for
//! several at once have a text for each number of them.

use std::fmt::Write;
use std::sync::LazyLock;

use super::batch::MAX_BATCH;

/// Defines the statements and, beside them, the list of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $text;)*

        const FIXED: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

statements! {
    /// `$1` address, `$2` hash, `$3` now. No row if the address is taken.
    ADD_USER = "
        INSERT INTO users (email, hashed_password, password_version, created_at)
        VALUES ($1, $2, 1, $3)
        ON CONFLICT (email) DO NOTHING";

    /// `$1` address.
    FIND_USER_BY_EMAIL = "
        SELECT id, email, hashed_password, password_version
        FROM users
        WHERE email = $1";

    /// `$1` digest. Finds an expired token too.
    FIND_USER_BY_RESET_TOKEN = "
        SELECT u.id, u.email, u.hashed_password, u.password_version, t.created_at
        FROM reset_tokens AS t
        JOIN users AS u ON u.id = t.user_id AND u.password_version = t.password_version
        WHERE t.digest = $1";

    /// `$1` user, `$2` the hash that was checked, `$3` its successor. Not if the hash has changed.
    REHASH = "
        UPDATE users SET hashed_password = $3
        WHERE id = $1 AND hashed_password = $2";

    /// `$1` user, `$2` digest, `$3` password version, `$4` now. Takes the place of an older token.
    SET_RESET_TOKEN = "
        INSERT INTO reset_tokens (user_id, digest, password_version, created_at)
        VALUES ($1, $2, $3, $4)
        ON CONFLICT (user_id) DO UPDATE SET
            digest = excluded.digest,
            password_version = excluded.password_version,
            created_at = excluded.created_at";

    /// `$1` user, `$2` hash, `$3` digest of a reset token issued after `$4` and not after `$5`.
    ///
    /// Decides a race for one token: the version that it sets voids the token, and the database
    /// lets only one request at a time change the row.
    SET_PASSWORD = "
        UPDATE users SET hashed_password = $2, password_version = password_version + 1
        WHERE id = $1 AND EXISTS (
            SELECT 1 FROM reset_tokens AS t
            WHERE t.user_id = users.id AND t.digest = $3
              AND t.created_at > $4 AND t.created_at <= $5
              AND t.password_version = users.password_version)";

    /// `$1` user.
    DELETE_RESET_TOKEN_OF_USER = "
        DELETE FROM reset_tokens WHERE user_id = $1";

    /// `$1` digest; only if issued at `$2` or before.
    DELETE_EXPIRED_RESET_TOKEN = "
        DELETE FROM reset_tokens WHERE digest = $1 AND created_at <= $2";

    /// Of user `$1`, ends the sessions begun before `$2`, but for the newest `$3` of all. Those begun
    /// after `$4`, which a clock that was ahead has left, end first and not the ones in use.
    DELETE_OLDEST_SESSIONS = "
        DELETE FROM sessions
        WHERE user_id = $1 AND (created_at < $2 OR created_at > $4) AND digest NOT IN (
            SELECT digest FROM sessions
            WHERE user_id = $1
            ORDER BY CASE WHEN created_at > $4 THEN 1 ELSE 0 END, created_at DESC
            LIMIT $3)";

    /// `$1` digest, `$2` now, `$3` the latest moment that `last_seen_at` can be right. Adds no row, so
    /// a session that has just ended stays ended.
    TOUCH_SESSION = "
        UPDATE sessions SET last_seen_at = $2
        WHERE digest = $1 AND (last_seen_at < $2 OR last_seen_at > $3)";

    /// `$1` digest; only if last seen after `$2`, begun after `$3` and not begun after `$4`.
    DELETE_SESSION = "
        DELETE FROM sessions
        WHERE digest = $1 AND last_seen_at > $2 AND created_at > $3 AND created_at <= $4";

    /// `$1` digest; only if last seen at `$2` or before, or begun at `$3` or before.
    DELETE_EXPIRED_SESSION = "
        DELETE FROM sessions WHERE digest = $1 AND (last_seen_at <= $2 OR created_at <= $3)";

    /// At most `$2` sessions last seen at `$1` or before.
    ///
    /// In this purge and the others, the condition stands outside too: PostgreSQL looks at that one
    /// again when it comes to the row, which may have been renewed since it was chosen.
    PURGE_SESSIONS = "
        DELETE FROM sessions WHERE last_seen_at <= $1 AND digest IN (
            SELECT digest FROM sessions WHERE last_seen_at <= $1 LIMIT $2)";

    /// At most `$2` reset tokens issued at `$1` or before.
    PURGE_RESET_TOKENS = "
        DELETE FROM reset_tokens WHERE created_at <= $1 AND user_id IN (
            SELECT user_id FROM reset_tokens WHERE created_at <= $1 LIMIT $2)";

    /// `$1` kind, `$2` address, `$3` now, `$4` the end of the pause that begins, `$5` network, `$6` the
    /// most rows of a network that may wait, `$7` the latest end of a pause and `$8` of a claim that are
    /// possible.
    ///
    /// Changes nothing in the pause after the last one, while one is being sent, and if too many wait.
    /// In the pause it does bring one forward that still waits in a later turn: whoever floods the
    /// outbox cannot make an owner wait with the flood by asking for the owner's mail, too.
    ASK_FOR_MAIL = "
        INSERT INTO outbox
            (kind, email, asked_at, due_at, quiet_until, attempts, claim, network, turn)
        SELECT $1, $2, $3, $3, $4, 0, NULL, $5, count(*)
        FROM (SELECT id FROM outbox WHERE network = $5 AND due_at IS NOT NULL LIMIT $6) AS waiting
        HAVING count(*) < $6
        ON CONFLICT (kind, email) DO UPDATE SET
            asked_at = excluded.asked_at,
            due_at = excluded.due_at,
            quiet_until = excluded.quiet_until,
            attempts = 0,
            claim = NULL,
            network = excluded.network,
            turn = excluded.turn
        WHERE (outbox.claim IS NULL OR outbox.due_at <= excluded.asked_at OR outbox.due_at > $8)
          AND (outbox.quiet_until <= excluded.asked_at OR outbox.quiet_until > $7
               OR (outbox.due_at IS NOT NULL AND outbox.attempts = 0
                   AND excluded.turn < outbox.turn))";

    /// `$1` network; counts up to `$2`.
    COUNT_WAITING_MAILS_OF_NETWORK = "
        SELECT count(*) AS waiting FROM (
            SELECT id FROM outbox WHERE network = $1 AND due_at IS NOT NULL LIMIT $2) AS waiting";

    /// Counts up to `$1`. Every turn is at least 0: here and below, that is only to say which index to
    /// read.
    COUNT_WAITING_MAILS = "
        SELECT count(*) AS waiting FROM (
            SELECT id FROM outbox WHERE turn >= 0 AND due_at IS NOT NULL LIMIT $1) AS waiting";

    /// `$1` kind, `$2` address, `$3` now. Knows no pause. Of two events before either could be told,
    /// the later one is.
    TELL_BY_MAIL = "
        INSERT INTO outbox (kind, email, asked_at, due_at, quiet_until, attempts, claim)
        VALUES ($1, $2, $3, $3, $3, 0, NULL)
        ON CONFLICT (kind, email) DO UPDATE SET
            asked_at = excluded.asked_at,
            due_at = excluded.due_at,
            quiet_until = excluded.quiet_until,
            attempts = 0,
            claim = NULL";

    /// `$1` claim, `$2` its end, `$3` now, `$4` the latest moment at which a mail can be due, `$5` the
    /// latest at which one can have been asked for, `$6` how many rows to look at; claims as many of
    /// these as are to unknown addresses, and `$7` to known ones, but only `$8` of a later turn than the
    /// first.
    ///
    /// What is due later than possible, or was asked for later, counts as due or asked for now: a clock
    /// was wrong.
    ///
    /// SQLite reads tables that are joined by `CROSS JOIN` in this order, so not all users.
    ///
    /// The condition stands inside and outside: the inner one chooses, and the outer one is looked at
    /// again when the row is changed, so that of two who choose the same mail one goes without.
    CLAIM_MAILS = "
        WITH
            head AS (
                SELECT id, email, turn, due_at FROM outbox
                WHERE turn >= 0 AND due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
                ORDER BY turn, due_at
                LIMIT $6),
            known AS (
                SELECT head.id, head.turn, head.due_at
                FROM head CROSS JOIN users
                WHERE users.email = head.email),
            chosen AS (
                SELECT id FROM head
                WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.email = head.email)
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM known WHERE turn = 0 ORDER BY due_at LIMIT $7) AS first_of_network
                UNION ALL
                SELECT id FROM (
                    SELECT id FROM known ORDER BY turn, due_at LIMIT $8) AS of_any_turn)
        UPDATE outbox SET
            claim = $1,
            due_at = $2,
            asked_at = CASE WHEN asked_at > $5 THEN $3 ELSE asked_at END
        WHERE due_at IS NOT NULL AND (due_at <= $3 OR due_at > $4)
          AND id IN (SELECT id FROM chosen)";

    /// `$1` claim. Only those to known addresses.
    FIND_CLAIMED_MAILS = "
        SELECT o.id, o.kind, o.email, o.asked_at, o.attempts, u.id AS user_id, u.password_version
        FROM outbox AS o
        JOIN users AS u ON u.email = o.email
        WHERE o.claim = $1";

    /// `$1` claim, `$2` the end of the pause. All those to unknown addresses.
    FINISH_UNKNOWN_MAILS = "
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE claim = $1 AND NOT EXISTS (SELECT 1 FROM users WHERE users.email = outbox.email)";

    /// `$1` claim, `$2` the end of the pause, `$3` mail. Not if the claim has passed to another worker.
    FINISH_MAIL = "
        UPDATE outbox SET due_at = NULL, claim = NULL, network = NULL, quiet_until = $2
        WHERE id = $3 AND claim = $1";

    /// `$1` claim, `$2` when it is due again, `$3` mail.
    POSTPONE_MAIL = "
        UPDATE outbox SET due_at = $2, claim = NULL, attempts = attempts + 1
        WHERE id = $3 AND claim = $1";

    /// At most `$3` mails with nothing left to do, whose pause ended at `$1` or before, or ends later
    /// than possible, after `$2`.
    PURGE_MAILS = "
        DELETE FROM outbox
        WHERE due_at IS NULL AND (quiet_until <= $1 OR quiet_until > $2) AND id IN (
            SELECT id FROM outbox
            WHERE due_at IS NULL AND (quiet_until <= $1 OR quiet_until > $2)
            LIMIT $3)";

    /// `$1` digest, `$2` now, `$3` and `$4` when a bucket is full again of which one token and all
    /// tokens were just taken. No row if no token is left.
    ///
    /// A bucket that will not be full before `$5`, a whole bucket later than any can be, was taken
    /// from by a clock that has been turned back since, or under a slower rate. It counts as empty,
    /// from now on: nobody waits until a wrong clock is right. Up to there, clocks that differ from
    /// machine to machine cannot be played off against each other.
    TAKE_TOKEN = "
        INSERT INTO throttles (digest, full_at) VALUES ($1, $3)
        ON CONFLICT (digest) DO UPDATE SET full_at = CASE
            WHEN throttles.full_at <= $2 THEN excluded.full_at
            WHEN throttles.full_at <= $4 THEN throttles.full_at + excluded.full_at - $2
            ELSE $4 END
        WHERE throttles.full_at + excluded.full_at - $2 <= $4 OR throttles.full_at > $5";

    /// `$1` digest, `$2` the microseconds that a token takes to come back.
    GIVE_TOKEN_BACK = "
        UPDATE throttles SET full_at = full_at - $2 WHERE digest = $1";

    /// `$1` digest, `$2` user, `$3` password version, `$4` now. No row if the source is not familiar.
    TOUCH_FAMILIAR_SOURCE = "
        UPDATE familiar_sources SET last_proof_at = $4
        WHERE digest = $1 AND user_id = $2 AND password_version = $3";

    /// The same of a source that is not familiar. No row unless the user has this password version.
    ADD_FAMILIAR_SOURCE = "
        INSERT INTO familiar_sources (digest, user_id, password_version, last_proof_at)
        SELECT $1, id, password_version, $4 FROM users WHERE id = $2 AND password_version = $3
        ON CONFLICT (digest) DO UPDATE SET
            user_id = excluded.user_id,
            password_version = excluded.password_version,
            last_proof_at = excluded.last_proof_at";

    /// Of user `$1`, all but the newest `$3`. What was proved after `$2` was proved by a clock that
    /// was ahead, and counts as the oldest.
    DELETE_OLDEST_FAMILIAR_SOURCES = "
        DELETE FROM familiar_sources
        WHERE user_id = $1 AND digest NOT IN (
            SELECT digest FROM familiar_sources
            WHERE user_id = $1
            ORDER BY last_proof_at > $2, last_proof_at DESC
            LIMIT $3)";

    /// `$1` user.
    DELETE_FAMILIAR_SOURCES_OF_USER = "
        DELETE FROM familiar_sources WHERE user_id = $1";

    /// `$1` digest; only if last proved after `$2` and not after `$3`, and the password is the same.
    FIND_FAMILIAR_SOURCE = "
        SELECT s.last_proof_at FROM familiar_sources AS s
        WHERE s.digest = $1 AND s.last_proof_at > $2 AND s.last_proof_at <= $3 AND EXISTS (
            SELECT 1 FROM users AS u
            WHERE u.id = s.user_id AND u.password_version = s.password_version)";

    /// At most `$2` buckets that are full at `$1`.
    PURGE_THROTTLES = "
        DELETE FROM throttles WHERE full_at <= $1 AND digest IN (
            SELECT digest FROM throttles WHERE full_at <= $1 LIMIT $2)";

    /// At most `$2` familiar sources last proved at `$1` or before.
    PURGE_FAMILIAR_SOURCES = "
        DELETE FROM familiar_sources WHERE last_proof_at <= $1 AND digest IN (
            SELECT digest FROM familiar_sources WHERE last_proof_at <= $1 LIMIT $2)";
}

/// The texts of a statement for 1, 2, 4, … [`MAX_BATCH`] keys. Fewer keys are filled up by repeating
/// one, so that a connection prepares seven statements, not sixty-four.
struct Widths(Vec<&'static str>);

impl Widths {
    fn new(text: impl Fn(&str) -> String, first_placeholder: usize) -> Self {
        let widths = (0..)
            .map(|power| 1 << power)
            .take_while(|width| *width <= MAX_BATCH);
        let texts = widths.map(|width| &*text(&placeholders(first_placeholder, width)).leak());
        Self(texts.collect())
    }

    /// The text for so many keys, and how many it takes.
    fn for_keys(&self, count: usize) -> (&'static str, usize) {
        let width = count.next_power_of_two();
        (self.0[width.ilog2() as usize], width)
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

static FIND_USERS_BY_SESSION_IDS: LazyLock<Widths> = LazyLock::new(|| {
    let text = |digests: &str| {
        format!(
            "SELECT s.digest, u.id, u.email, s.created_at, s.last_seen_at, u.password_version,
                 s.password_version AS begun_under
             FROM sessions AS s
             JOIN users AS u ON u.id = s.user_id
             WHERE s.digest IN ({digests})"
        )
    };
    Widths::new(text, 1)
});

/// Finds the users of these many sessions, expired and void ones too; and how many digests the text takes.
pub(super) fn find_users_by_session_ids(count: usize) -> (&'static str, usize) {
    FIND_USERS_BY_SESSION_IDS.for_keys(count)
}

static FIND_CROWDED_USERS: LazyLock<Widths> = LazyLock::new(|| {
    let text = |users: &str| {
        format!(
            "SELECT user_id FROM sessions WHERE user_id IN ({users})
             GROUP BY user_id HAVING count(*) > $1"
        )
    };
    Widths::new(text, 2)
});

/// Finds which of these many users, from `$2` on, have more than `$1` sessions; and how many users
/// the text takes.
pub(super) fn find_crowded_users(count: usize) -> (&'static str, usize) {
    FIND_CROWDED_USERS.for_keys(count)
}

static FIND_THROTTLES: LazyLock<Widths> = LazyLock::new(|| {
    let text = |digests: &str| {
        format!("SELECT digest, full_at FROM throttles WHERE digest IN ({digests})")
    };
    Widths::new(text, 1)
});

/// Finds these many buckets; and how many digests the text takes.
pub(super) fn find_throttles(count: usize) -> (&'static str, usize) {
    FIND_THROTTLES.for_keys(count)
}

static ADD_SESSIONS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let texts = (1..=MAX_BATCH).map(|count| {
        let rows: Vec<String> = (0..count)
            .map(|row| {
                let [digest, user, version, now] = [1, 2, 3, 4].map(|column| 4 * row + column);
                format!("(${digest}, ${user}, ${version}, ${now}, ${now})")
            })
            .collect();
        let text = format!(
            "INSERT INTO sessions (digest, user_id, password_version, created_at, last_seen_at)
             VALUES {}",
            rows.join(", ")
        );
        &*text.leak()
    });
    texts.collect()
});

/// Adds these many sessions: for each its digest, its user, the user's password version, now.
pub(super) fn add_sessions(count: usize) -> &'static str {
    ADD_SESSIONS[count - 1]
}

/// All statements with their names, so that a test can prepare each on both databases.
#[must_use]
pub fn statements() -> Vec<(&'static str, &'static str)> {
    let named = |name: &'static str, texts: &[&'static str]| -> Vec<_> {
        texts.iter().map(|text| (name, *text)).collect()
    };
    [
        FIXED.to_vec(),
        named("find_users_by_session_ids", &FIND_USERS_BY_SESSION_IDS.0),
        named("find_crowded_users", &FIND_CROWDED_USERS.0),
        named("find_throttles", &FIND_THROTTLES.0),
        named("add_sessions", &ADD_SESSIONS),
    ]
    .concat()
}
