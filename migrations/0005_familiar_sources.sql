-- Familiar sources belong to a user and a version of the password: what ends the sessions of a user
-- ends these too. The rows until now name no user, and their digests cannot be turned back into one,
-- so they are dropped: a source becomes familiar again with its next login.
DROP TABLE familiar_sources;

-- From where a user has proved, by a password or a reset, that the account is theirs.
CREATE TABLE familiar_sources (
    -- Of the address and the source, so that a look-up takes the same steps whether or not the
    -- address is registered.
    digest {bytes} PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- Counts only while it is the user's.
    password_version BIGINT NOT NULL,
    -- In unix seconds.
    last_proof_at BIGINT NOT NULL
) {keyed_by_primary_key};

-- Finds those of a user: the oldest beyond the most that are kept, and all when the password changes.
CREATE INDEX familiar_sources_by_user ON familiar_sources (user_id);

-- Finds those that are familiar no longer.
CREATE INDEX familiar_sources_by_last_proof ON familiar_sources (last_proof_at);
