-- Mails leave in turns by the network that asked for them, so that a flood from some networks does not
-- hold up the mails that others ask for. How many wait is bounded for each network and in all.

-- Where the request came from, as text such as 203.0.113.0/24; NULL if the service wrote the row by
-- itself, or when nothing is left to do.
ALTER TABLE outbox ADD COLUMN network TEXT;
-- How many rows of the same network had something left to do when this one was asked for. Lower turns
-- leave first.
ALTER TABLE outbox ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;

-- Finds what is due, in the order in which it leaves; takes the place of the index by the time alone.
CREATE INDEX outbox_by_turn ON outbox (turn, due_at) WHERE due_at IS NOT NULL;
DROP INDEX outbox_by_due;

-- Counts what waits of a network.
CREATE INDEX outbox_by_network ON outbox (network) WHERE due_at IS NOT NULL;

-- Finds what a worker has claimed.
CREATE INDEX outbox_by_claim ON outbox (claim) WHERE claim IS NOT NULL;

-- Finds what may be forgotten.
CREATE INDEX outbox_by_pause ON outbox (quiet_until) WHERE due_at IS NULL;
