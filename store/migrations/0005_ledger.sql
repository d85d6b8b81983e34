-- The log of everything above (src/ledger): a Merkle tree over records that commit to rows, and its checkpoints.

-- The log's name, in one row.
CREATE TABLE ledger (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL
) STRICT;

CREATE TABLE ledger_leaves (
    idx       INTEGER NOT NULL PRIMARY KEY,
    kind      TEXT NOT NULL,
    subject   TEXT NOT NULL,
    record    TEXT NOT NULL, -- canonical JSON; what is hashed
    leaf_hash BLOB NOT NULL,
    salt      BLOB           -- of the record's `content`; NULL where it has none, or where it was erased
) STRICT;

CREATE INDEX ledger_leaves_of_subject ON ledger_leaves (kind, subject, idx);

-- Complete subtrees of 2^level leaves, level 1 and up.
CREATE TABLE ledger_nodes (
    level INTEGER NOT NULL,
    idx   INTEGER NOT NULL,
    hash  BLOB NOT NULL,
    PRIMARY KEY (level, idx)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_checkpoints (
    number INTEGER NOT NULL PRIMARY KEY,
    size   INTEGER NOT NULL,
    root   BLOB NOT NULL,
    note   TEXT NOT NULL -- C2SP tlog-checkpoint; with signatures where there was a key
) STRICT;

CREATE INDEX ledger_checkpoints_of_size ON ledger_checkpoints (size);

-- Against accidents. Who means to change something drops them, and an audit sees that.
CREATE TRIGGER ledger_leaves_stay BEFORE DELETE ON ledger_leaves
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_leaves_do_not_change BEFORE UPDATE OF idx, kind, subject, record, leaf_hash ON ledger_leaves
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_nodes_stay BEFORE DELETE ON ledger_nodes
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_nodes_do_not_change BEFORE UPDATE ON ledger_nodes
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_checkpoints_stay BEFORE DELETE ON ledger_checkpoints
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;

CREATE TRIGGER ledger_checkpoints_do_not_change BEFORE UPDATE ON ledger_checkpoints
BEGIN SELECT RAISE(ABORT, 'the ledger is only ever added to'); END;
