-- What is to be mailed, at most one of a kind to an address. A request writes here and nowhere else,
-- whether or not the address is somebody's; a worker finds that out later. Holds no token: one is made
-- when a mail is sent.
CREATE TABLE outbox (
    id {id_primary_key},
    kind TEXT NOT NULL,
    email TEXT NOT NULL CHECK (email = lower(email)),
    -- When it was asked for. Nobody tries for ever.
    asked_at BIGINT NOT NULL,
    -- When to try next; NULL when there is nothing left to do.
    due_at BIGINT,
    -- Asking again before this changes nothing.
    quiet_until BIGINT NOT NULL,
    -- How many tries have failed.
    attempts BIGINT NOT NULL,
    -- Who is sending it until it is due again: a number that this worker drew for this round.
    claim {bytes},
    UNIQUE (kind, email)
);

CREATE INDEX outbox_by_due ON outbox (due_at);
