-- People change the address of their account by a token that goes to the new one. For some days who reads
-- the mail of the old one can take the account back, and nobody else can have that address.

-- At most one a user: a newer request takes the place of the older.
CREATE TABLE pending_addresses (
    user_id BIGINT PRIMARY KEY NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    -- The address to be. Others may ask for the same one.
    email TEXT NOT NULL CHECK (email = lower(email)),
    -- NULL until the mail with the token is sent. All who wait for one address have the token of its newest
    -- mail.
    digest {bytes} CHECK (length(digest) = 32),
    -- 1 if the token goes to the address by mail, so that who has it reads the mail; 0 if it was in an
    -- answer.
    mailed BIGINT NOT NULL,
    -- Counts only while it is the user's.
    password_version BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    -- When the token was made; NULL as long as there is none.
    issued_at BIGINT
) {keyed_by_primary_key};

-- Finds those to whom a mail gives its token.
CREATE INDEX pending_addresses_by_email ON pending_addresses (email);

-- Finds what has expired.
CREATE INDEX pending_addresses_by_asked ON pending_addresses (asked_at);

-- The addresses that accounts had until lately. Numbered, so that those that came after one are known.
CREATE TABLE past_addresses (
    id {id_primary_key},
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
    -- NULL until the mail with the token that undoes the change is sent.
    undo_digest {bytes} UNIQUE CHECK (length(undo_digest) = 32),
    -- The same as above.
    mailed BIGINT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE INDEX past_addresses_by_user ON past_addresses (user_id);

-- Finds what has expired.
CREATE INDEX past_addresses_by_changed ON past_addresses (changed_at);
