-- Mails are written in the language of who asked for them.

-- A language tag such as `fr`; NULL for the default, and in rows from before.
ALTER TABLE outbox ADD COLUMN language TEXT;
