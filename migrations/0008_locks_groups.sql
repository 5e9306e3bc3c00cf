-- What an administrator decides about users.

-- Since when a user cannot log in; NULL if they can. What sets it raises the version of the password too,
-- which ends the sessions and tokens from before, also those that are written down a moment later.
ALTER TABLE users ADD COLUMN locked_at BIGINT;
-- When it was established that the address is the user's; NULL if it was not, as for all until now.
ALTER TABLE users ADD COLUMN email_confirmed_at BIGINT;

CREATE TABLE user_groups (
    user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (user_id, name)
) {keyed_by_primary_key};

-- Counts the users of each group.
CREATE INDEX user_groups_by_name ON user_groups (name);
