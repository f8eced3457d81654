-- One edge.
-- id: relations.id
SELECT r.word, r.related, r.kind, r.pos, r.source, s.gloss, r.note, r.rule, r.derived_from, r.negated
FROM relations r LEFT JOIN senses s ON s.id = r.sense
WHERE r.id = $id;
