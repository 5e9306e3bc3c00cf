-- People sign up by a token that goes to their address: before it is used there is no user.

-- At most one an address: a newer token takes the place of the older.
CREATE TABLE sign_ups (
    email TEXT PRIMARY KEY NOT NULL CHECK (email = lower(email)),
    digest {bytes} NOT NULL UNIQUE CHECK (length(digest) = 32),
    -- 1 if the token went to the address by mail, so that who has it reads the mail; 0 if it was in an
    -- answer.
    mailed BIGINT NOT NULL,
    created_at BIGINT NOT NULL
) {keyed_by_primary_key};

-- Finds what has expired.
CREATE INDEX sign_ups_by_created ON sign_ups (created_at);

-- The same of a reset token; 0 also if an administrator handed it over as a link.
ALTER TABLE reset_tokens ADD COLUMN mailed BIGINT NOT NULL DEFAULT 0;
