-- What a person says of the licence that an answer is under, by a text with a digest, where that is another than what
-- the model or the data declare. NULL where nobody says anything.
ALTER TABLE receipts ADD COLUMN clarification TEXT; -- JSON
