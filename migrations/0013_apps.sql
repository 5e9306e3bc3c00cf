-- Users are handed over to apps on other hosts than the service's, where its own cookie does not go.

-- What hands a user over to an app, once, within a minute. It stays that long when it is used, so that those
-- of a session can be counted.
CREATE TABLE tickets (
    digest {bytes} PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    -- The session of the account that it was given for; with that it goes.
    session_digest {bytes} NOT NULL REFERENCES sessions (digest) ON DELETE CASCADE,
    -- The host of the app, such as `wiki.example.org`.
    app TEXT NOT NULL,
    -- The SHA-256 of what the browser keeps that has asked for it.
    state {bytes} NOT NULL CHECK (length(state) = 32),
    -- The path of the app that the browser goes on to.
    next TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    -- NULL until it is used.
    used_at BIGINT
) {keyed_by_primary_key};

-- Counts those of a session, and ends them with it.
CREATE INDEX tickets_by_session ON tickets (session_digest, created_at);

-- Finds what has expired.
CREATE INDEX tickets_by_created ON tickets (created_at);

-- A session at an app: good for the app alone, for as long as the session of the account that it is of.
CREATE TABLE app_sessions (
    digest {bytes} PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    session_digest {bytes} NOT NULL REFERENCES sessions (digest) ON DELETE CASCADE,
    app TEXT NOT NULL,
    created_at BIGINT NOT NULL
) {keyed_by_primary_key};

-- Finds the oldest ones of a session, and ends all of them with it.
CREATE INDEX app_sessions_by_session ON app_sessions (session_digest, created_at);
