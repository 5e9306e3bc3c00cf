-- The mail about a login from an unfamiliar source says what began the session and from where, as in sessions;
-- NULL in mails about something else.
ALTER TABLE outbox ADD COLUMN client TEXT;
ALTER TABLE outbox ADD COLUMN source {bytes};
