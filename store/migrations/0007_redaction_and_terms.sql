-- What was replaced in a dataset's rows before anything was learned from them, detector by detector.
ALTER TABLE datasets ADD COLUMN redaction TEXT; -- JSON; NULL where nothing was asked to be

-- The records of terms that were in force for an answer on the day on which it was kept, with their digests; an empty
-- list where no record says anything. NULL for answers that were kept before receipts told it.
ALTER TABLE receipts ADD COLUMN terms TEXT; -- JSON
-- As the recipe declares them, for a service.
ALTER TABLE receipts ADD COLUMN retention TEXT;
ALTER TABLE receipts ADD COLUMN contracting_entity TEXT;
