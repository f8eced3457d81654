-- Stated edges by relations.id.
-- ids: a list of numbers in parentheses, put in as text
SELECT r.id, r.word, r.related, r.kind, r.pos, r.source, r.lang, s.gloss, r.note, r.tags
FROM (FROM relations WHERE id IN $ids) r LEFT JOIN senses s ON s.id = r.sense;
