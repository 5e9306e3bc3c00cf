-- The words in braces are the three in which SQLite and PostgreSQL differ; `src/db/engine.rs` fills
-- them in. Times are unix seconds, because both databases read and compare them alike.

CREATE TABLE users (
    id {id_primary_key},
    -- Canonical, so that the unique index is the whole truth about who is registered.
    email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
    hashed_password TEXT NOT NULL,
    -- Grows by one whenever the password is set. Sessions and reset tokens carry the version they
    -- were made under and count only under the same: one update of this row ends them all at once.
    password_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Keyed by the SHA-256 of the session id itself: there is nothing else to look a session up by, and
-- whoever reads this table can present none of it.
CREATE TABLE sessions (
    digest {bytes} PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    password_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL
) {keyed_by_primary_key};

-- Finds a user's oldest sessions, and all of them when the password changes.
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);

-- Finds what has expired.
CREATE INDEX sessions_by_last_seen ON sessions (last_seen_at);

-- At most one a user: a newer token takes the place of the older.
CREATE TABLE reset_tokens (
    user_id BIGINT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest {bytes} NOT NULL UNIQUE CHECK (length(digest) = 32),
    password_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) {keyed_by_primary_key};

CREATE INDEX reset_tokens_by_created ON reset_tokens (created_at);
