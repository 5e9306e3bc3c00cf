-- Buckets of tokens: one for each limit and whoever it counts, such as the logins of one address. An
-- attempt takes a token, and tokens come back evenly with time. Keyed by a digest, so that any
-- subject takes the same room and addresses that people mistype are not kept.
CREATE TABLE throttles (
    digest {bytes} PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    -- When all tokens are back, in unix microseconds: a thousand tokens an hour come back every 3.6
    -- seconds. A bucket without a row is full.
    full_at BIGINT NOT NULL
) {keyed_by_primary_key};

-- Finds the buckets that are full again, whose rows say nothing any more.
CREATE INDEX throttles_by_full ON throttles (full_at);

-- From where somebody has proved that an account is theirs: the digest is of both. In unix seconds.
CREATE TABLE familiar_sources (
    digest {bytes} PRIMARY KEY NOT NULL CHECK (length(digest) = 32),
    last_proof_at BIGINT NOT NULL
) {keyed_by_primary_key};

CREATE INDEX familiar_sources_by_last_proof ON familiar_sources (last_proof_at);
