-- Stated edges by relations.id.
-- ids: the ids; of the column's own type, so that DuckDB goes by the index (of another type they cost a scan)
SELECT r.id, r.word, r.related, r.kind, r.pos, r.source, r.lang, s.gloss, r.note, r.tags
FROM (FROM relations WHERE id IN (SELECT unnest($ids::UBIGINT[]))) r LEFT JOIN senses s ON s.id = r.sense;
