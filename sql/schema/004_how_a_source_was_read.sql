-- What the user told the reader, so that a graph read otherwise is not taken for the same.

ALTER TABLE sources ADD COLUMN lang VARCHAR;               -- --lang: an ISO 639 code, or 'all'
ALTER TABLE sources ADD COLUMN skip_malformed BOOLEAN;     -- whether damaged lines were counted and skipped
