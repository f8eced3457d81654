-- Only ids are UBIGINT, so that whatever prints or writes rows can tell them from counts, and gives them as text.

ALTER TABLE sources ALTER bytes TYPE BIGINT;
ALTER TABLE intake ALTER rows TYPE BIGINT;
ALTER TABLE derivation ALTER withheld TYPE BIGINT;
