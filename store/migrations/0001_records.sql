-- "LIMB": tells a store of Limbeck from any other SQLite file.
PRAGMA application_id = 0x4c494d42;

-- What may be asked. Content-addressed by `body` and `input`; the rest describes where it was met last.
CREATE TABLE prompts (
    id       TEXT NOT NULL PRIMARY KEY,
    body     TEXT NOT NULL, -- JSON
    input    TEXT NOT NULL,
    phrasing TEXT NOT NULL,
    source   TEXT NOT NULL,
    row      INTEGER NOT NULL,
    license  TEXT,
    tags     TEXT NOT NULL  -- JSON
) STRICT;

-- Answers. `number` keeps the order in which they came.
CREATE TABLE traces (
    number                   INTEGER NOT NULL PRIMARY KEY,
    id                       TEXT NOT NULL UNIQUE,
    prompt_id                TEXT NOT NULL REFERENCES prompts (id),
    sample                   INTEGER NOT NULL,
    teacher                  TEXT NOT NULL,
    parameters               TEXT NOT NULL, -- JSON
    text                     TEXT NOT NULL,
    reasoning                TEXT,
    choice_log_probabilities BLOB,          -- little-endian f32, in the order of the choices
    finish_reason            TEXT NOT NULL CHECK (finish_reason IN ('stop', 'length', 'choice')),
    prompt_tokens            INTEGER NOT NULL,
    completion_tokens        INTEGER NOT NULL,
    mean_log_probability     REAL,
    recorded_at              TEXT NOT NULL
) STRICT;

CREATE INDEX traces_of_prompt ON traces (prompt_id);

-- A table of its own: a hundred times the size of the rest, and seldom read.
CREATE TABLE token_log_probabilities (
    trace_id TEXT NOT NULL PRIMARY KEY REFERENCES traces (id),
    encoded  BLOB NOT NULL -- see src/codec.rs
) STRICT;

CREATE TABLE receipts (
    trace_id        TEXT NOT NULL PRIMARY KEY REFERENCES traces (id),
    provider        TEXT NOT NULL,
    model           TEXT NOT NULL,
    model_sha256    TEXT,
    route           TEXT NOT NULL,
    license         TEXT,
    limits          TEXT NOT NULL, -- JSON
    limbeck_version TEXT NOT NULL,
    request_sha256  TEXT NOT NULL,
    response_sha256 TEXT NOT NULL
) STRICT;

-- Tries, with and without success; `trace_id` is what a failed one was to become.
CREATE TABLE attempts (
    number          INTEGER NOT NULL PRIMARY KEY,
    prompt_id       TEXT NOT NULL REFERENCES prompts (id),
    trace_id        TEXT NOT NULL,
    started_at      TEXT NOT NULL,
    waited_ms       INTEGER NOT NULL,
    latency_ms      INTEGER NOT NULL,
    failure_kind    TEXT, -- NULL: answered
    failure_message TEXT,
    CHECK ((failure_kind IS NULL) = (failure_message IS NULL))
) STRICT;

CREATE INDEX attempts_of_trace ON attempts (trace_id);

-- Curations by the hash of their stage; the greatest `number` is the newest.
CREATE TABLE curations (
    number     INTEGER NOT NULL PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    written_at TEXT NOT NULL
) STRICT;

CREATE TABLE verdicts (
    curation INTEGER NOT NULL REFERENCES curations (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    trace_id TEXT NOT NULL REFERENCES traces (id),
    "check"  TEXT NOT NULL,
    keep     INTEGER NOT NULL CHECK (keep IN (0, 1)),
    value    REAL,
    reason   TEXT NOT NULL,
    PRIMARY KEY (curation, position)
) STRICT, WITHOUT ROWID;

CREATE INDEX verdicts_of_trace ON verdicts (trace_id, curation, position);

CREATE TABLE datasets (
    number     INTEGER NOT NULL PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    name       TEXT NOT NULL,
    written_at TEXT NOT NULL
) STRICT;

CREATE TABLE dataset_rows (
    dataset  INTEGER NOT NULL REFERENCES datasets (number) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    item     TEXT NOT NULL,
    input    TEXT NOT NULL,
    answer   TEXT NOT NULL, -- JSON
    PRIMARY KEY (dataset, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE dataset_traces (
    dataset  INTEGER NOT NULL,
    row      INTEGER NOT NULL,
    position INTEGER NOT NULL,
    trace_id TEXT NOT NULL REFERENCES traces (id),
    PRIMARY KEY (dataset, row, position),
    FOREIGN KEY (dataset, row) REFERENCES dataset_rows (dataset, position) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX datasets_of_trace ON dataset_traces (trace_id);

CREATE TABLE runs (
    id          INTEGER NOT NULL PRIMARY KEY,
    stage       TEXT NOT NULL,
    hash        TEXT NOT NULL,
    recipe      TEXT NOT NULL,
    started_at  TEXT NOT NULL,
    finished_at TEXT,
    status      TEXT NOT NULL CHECK (status IN ('running', 'finished', 'failed', 'interrupted')),
    summary     TEXT -- JSON
) STRICT;
