-- Requests that were handed to a service together, to be answered within a day. A row is here before anything is sent.
CREATE TABLE batches (
    number       INTEGER NOT NULL PRIMARY KEY,
    marker       TEXT NOT NULL UNIQUE, -- what the service is told, to find the batch by if its name never arrived
    teacher      TEXT NOT NULL,
    endpoint     TEXT NOT NULL,        -- host and path
    key_alias    TEXT,                 -- what the user calls the key, never the key
    parameters   TEXT NOT NULL,        -- JSON; those of every request in it
    state        TEXT NOT NULL CHECK (state IN ('submitting', 'submitted', 'collecting', 'ended')),
    remote_id    TEXT,                 -- the service's name for it
    created_at   TEXT NOT NULL,
    sent_at      TEXT,                 -- when it was about to be sent; NULL: it never was
    submitted_at TEXT,                 -- when the service had taken it
    polled_at    TEXT,
    remote_state TEXT,                 -- in the service's words, when it was asked last
    remote_done  INTEGER,              -- requests that the service is done with, as it counts them
    ended_at     TEXT,
    odd_lines    INTEGER NOT NULL DEFAULT 0 -- lines of its results that were not kept: unknown, doubled, unreadable
) STRICT;

CREATE INDEX open_batches ON batches (teacher) WHERE state <> 'ended';

CREATE TABLE batch_requests (
    batch          INTEGER NOT NULL REFERENCES batches (number),
    trace_id       TEXT NOT NULL,      -- what the service is given to tell the request by
    prompt_id      TEXT NOT NULL REFERENCES prompts (id),
    sample         INTEGER NOT NULL,
    request_sha256 TEXT NOT NULL,
    most_nano_usd  INTEGER NOT NULL,   -- what it may cost at most
    -- NULL: not known yet. `unanswered`: nobody worked on it, because the batch expired, was cancelled or never sent.
    outcome        TEXT CHECK (outcome IN ('answered', 'failed', 'unanswered')),
    PRIMARY KEY (batch, trace_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_requests_of_trace ON batch_requests (trace_id, batch);
