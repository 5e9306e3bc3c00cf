//! Every statement that runs against the data: one text for both databases.
//!
//! Each change is one statement that decides by its own conditions, or the first of a transaction
//! that does. Placeholders are `$1`, `$2`, …, which both databases number alike.

/// Defines the statements and, beside them, the list of all of them.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)*) => {
        $($(#[$doc])* pub(super) const $name: &str = $text;)*

        /// All statements with their names, so that a test can prepare each on both databases.
        pub const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
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
        SELECT id, email, hashed_password, password_version, CAST(NULL AS BIGINT) AS last_seen_at
        FROM users
        WHERE email = $1";

    /// `$1` digest; only if last seen after `$2` and begun after `$3`.
    FIND_USER_BY_SESSION_ID = "
        SELECT u.id, u.email, u.hashed_password, u.password_version, s.last_seen_at
        FROM sessions AS s
        JOIN users AS u ON u.id = s.user_id AND u.password_version = s.password_version
        WHERE s.digest = $1 AND s.last_seen_at > $2 AND s.created_at > $3";

    /// `$1` digest; only if issued after `$2`.
    FIND_USER_BY_RESET_TOKEN = "
        SELECT u.id, u.email, u.hashed_password, u.password_version,
               CAST(NULL AS BIGINT) AS last_seen_at
        FROM reset_tokens AS t
        JOIN users AS u ON u.id = t.user_id AND u.password_version = t.password_version
        WHERE t.digest = $1 AND t.created_at > $2";

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

    /// `$1` user, `$2` hash, `$3` digest of a reset token issued after `$4`.
    ///
    /// Decides a race for one token: the version that it sets voids the token, and the database
    /// lets only one request at a time change the row.
    SET_PASSWORD = "
        UPDATE users SET hashed_password = $2, password_version = password_version + 1
        WHERE id = $1 AND EXISTS (
            SELECT 1 FROM reset_tokens AS t
            WHERE t.user_id = users.id AND t.digest = $3 AND t.created_at > $4
              AND t.password_version = users.password_version)";

    /// `$1` user.
    DELETE_RESET_TOKEN_OF_USER = "
        DELETE FROM reset_tokens WHERE user_id = $1";

    /// `$1` user.
    DELETE_SESSIONS_OF_USER = "
        DELETE FROM sessions WHERE user_id = $1";

    /// `$1` digest, `$2` user, `$3` password version, `$4` now.
    ADD_SESSION = "
        INSERT INTO sessions (digest, user_id, password_version, created_at, last_seen_at)
        VALUES ($1, $2, $3, $4, $4)";

    /// Keeps session `$2` of user `$1` and the `$3` newest others.
    DELETE_OLDEST_SESSIONS = "
        DELETE FROM sessions
        WHERE user_id = $1 AND digest <> $2 AND digest NOT IN (
            SELECT digest FROM sessions
            WHERE user_id = $1 AND digest <> $2
            ORDER BY created_at DESC
            LIMIT $3)";

    /// `$1` digest, `$2` now. Adds no row, so a session that has just ended stays ended.
    TOUCH_SESSION = "
        UPDATE sessions SET last_seen_at = $2 WHERE digest = $1 AND last_seen_at < $2";

    /// `$1` digest; only if last seen after `$2` and begun after `$3`.
    DELETE_SESSION = "
        DELETE FROM sessions WHERE digest = $1 AND last_seen_at > $2 AND created_at > $3";

    /// At most `$2` sessions last seen at `$1` or before.
    PURGE_SESSIONS = "
        DELETE FROM sessions WHERE digest IN (
            SELECT digest FROM sessions WHERE last_seen_at <= $1 LIMIT $2)";

    /// At most `$2` reset tokens issued at `$1` or before.
    PURGE_RESET_TOKENS = "
        DELETE FROM reset_tokens WHERE user_id IN (
            SELECT user_id FROM reset_tokens WHERE created_at <= $1 LIMIT $2)";
}
