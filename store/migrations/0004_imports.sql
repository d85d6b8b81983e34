-- Where an answer came from that was asked for elsewhere, and what each field of its receipt rests on.
-- NULL for answers that were asked for here.
ALTER TABLE receipts ADD COLUMN import TEXT; -- JSON
