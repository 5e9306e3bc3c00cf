-- What people recognise their sessions by when they see all of them.

-- What began the session, such as `Firefox on Linux`, and never more of what a browser says of itself; NULL
-- if it said nothing, and in rows from before.
ALTER TABLE sessions ADD COLUMN client TEXT;
-- From where: the four bytes of an IPv4 address, or the first eight of an IPv6 address; NULL in rows from
-- before. Bytes, because each of millions of rows has them.
ALTER TABLE sessions ADD COLUMN source {bytes};
