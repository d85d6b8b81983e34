-- no-transaction
-- An answer may have been taken back. SQLite cannot change a CHECK, so the table is made anew; foreign keys that point
-- to it are not looked at meanwhile, which a transaction around this file would not allow. Run again after a kill it
-- does the same again.
PRAGMA foreign_keys = OFF;

BEGIN IMMEDIATE;

DROP TABLE IF EXISTS traces_with_filtered;

CREATE TABLE traces_with_filtered (
    number                   INTEGER NOT NULL PRIMARY KEY,
    id                       TEXT NOT NULL UNIQUE,
    prompt_id                TEXT NOT NULL REFERENCES prompts (id),
    sample                   INTEGER NOT NULL,
    teacher                  TEXT NOT NULL,
    parameters               TEXT NOT NULL, -- JSON
    text                     TEXT NOT NULL,
    reasoning                TEXT,
    choice_log_probabilities BLOB,          -- little-endian f32, in the order of the choices
    finish_reason            TEXT NOT NULL CHECK (finish_reason IN ('stop', 'length', 'choice', 'filtered')),
    prompt_tokens            INTEGER NOT NULL,
    completion_tokens        INTEGER NOT NULL,
    mean_log_probability     REAL,
    recorded_at              TEXT NOT NULL,
    retracted                TEXT           -- what the teacher had begun to say before it took it back
) STRICT;

INSERT INTO traces_with_filtered
    (number, id, prompt_id, sample, teacher, parameters, text, reasoning, choice_log_probabilities, finish_reason,
     prompt_tokens, completion_tokens, mean_log_probability, recorded_at)
SELECT number, id, prompt_id, sample, teacher, parameters, text, reasoning, choice_log_probabilities, finish_reason,
     prompt_tokens, completion_tokens, mean_log_probability, recorded_at
FROM traces;

DROP TABLE traces;

ALTER TABLE traces_with_filtered RENAME TO traces;

CREATE INDEX traces_of_prompt ON traces (prompt_id);

COMMIT;

PRAGMA foreign_keys = ON;
