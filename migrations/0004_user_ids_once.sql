-- A user id is never used twice. SQLite took the highest free one, so that the session of a user who
-- was deleted by a program that leaves foreign keys off opened the account of the next one to sign up.
-- PostgreSQL counts on by itself; an id that is inserted by hand before its turn is refused by the
-- primary key when its turn comes.
{only_sqlite}
-- With foreign keys off (see src/db/open.rs): DROP TABLE would delete the users first, and with them
-- their sessions. The tables that refer to users do so by name, before and after.
CREATE TABLE new_users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    email TEXT NOT NULL UNIQUE CHECK (email = lower(email)),
    hashed_password TEXT NOT NULL,
    password_version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
INSERT INTO new_users (id, email, hashed_password, password_version, created_at)
SELECT id, email, hashed_password, password_version, created_at FROM users;

-- The next id is above all that are or were somebody's, as far as any row remembers.
DELETE FROM sqlite_sequence WHERE name = 'new_users';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'new_users', coalesce(max(id), 0) FROM (
    SELECT max(id) AS id FROM users
    UNION ALL SELECT max(user_id) FROM sessions
    UNION ALL SELECT max(user_id) FROM reset_tokens
);

DROP TABLE users;
ALTER TABLE new_users RENAME TO users;
{/only_sqlite}

-- What belongs to nobody any more. There can be none on PostgreSQL unless its triggers were turned off.
DELETE FROM sessions WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id);
DELETE FROM reset_tokens WHERE NOT EXISTS (SELECT 1 FROM users WHERE users.id = reset_tokens.user_id);
