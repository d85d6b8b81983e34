-- What is known of a request over the network. All NULL for a teacher in the process itself.
ALTER TABLE attempts ADD COLUMN teacher TEXT;
ALTER TABLE attempts ADD COLUMN endpoint TEXT;
ALTER TABLE attempts ADD COLUMN key_alias TEXT; -- what the user calls the key, never the key
ALTER TABLE attempts ADD COLUMN http_status INTEGER;
ALTER TABLE attempts ADD COLUMN headers TEXT; -- JSON
ALTER TABLE attempts ADD COLUMN request_id TEXT;
ALTER TABLE attempts ADD COLUMN prompt_tokens INTEGER;
ALTER TABLE attempts ADD COLUMN completion_tokens INTEGER;
ALTER TABLE attempts ADD COLUMN cost_nano_usd INTEGER;

-- What a key has used of late, and what a teacher has cost.
CREATE INDEX attempts_of_teacher ON attempts (teacher, started_at) WHERE endpoint IS NOT NULL;

-- Questions that failed.
CREATE INDEX failed_attempts ON attempts (trace_id, number) WHERE failure_kind IS NOT NULL;

ALTER TABLE receipts ADD COLUMN endpoint TEXT; -- the others are NULL where this is
ALTER TABLE receipts ADD COLUMN plan TEXT;
ALTER TABLE receipts ADD COLUMN region TEXT;
ALTER TABLE receipts ADD COLUMN key_alias TEXT;
ALTER TABLE receipts ADD COLUMN request_id TEXT;
ALTER TABLE receipts ADD COLUMN answered_model TEXT;
ALTER TABLE receipts ADD COLUMN system_fingerprint TEXT;

-- The bytes of the tokens that the log-probabilities name by their place; NULL where they name a teacher's ids.
ALTER TABLE token_log_probabilities ADD COLUMN vocabulary BLOB; -- see src/codec.rs
