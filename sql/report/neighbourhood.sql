-- Every edge of a word as seen from it, with the stated edge that a derived one follows from.
-- word: the word; case does not count.
WITH spelled AS MATERIALIZED (
    SELECT word FROM words WHERE key = word_key($word)
), own AS MATERIALIZED (
    SELECT * FROM relations WHERE word IN (FROM spelled)
    UNION ALL SELECT * FROM relations WHERE related IN (FROM spelled) AND word NOT IN (FROM spelled)
), parents AS (
    SELECT id, word, related, kind, source FROM relations WHERE id IN (SELECT derived_from FROM own)
), glosses AS (
    SELECT id, gloss FROM senses WHERE id IN (SELECT sense FROM own)
)
SELECT r.word IN (FROM spelled) AS forward, if(r.word IN (FROM spelled), r.related, r.word) AS other, r.kind, r.pos,
       r.source, coalesce(s.gloss, r.note) AS about, r.rule, r.negated,
       p.word AS parent_word, p.related AS parent_related, p.kind AS parent_kind, p.source AS parent_source
FROM own r
LEFT JOIN glosses s ON s.id = r.sense
LEFT JOIN parents p ON p.id = r.derived_from
WHERE NOT (r.word IN (FROM spelled) AND r.related IN (FROM spelled))
ORDER BY r.rule IS NOT NULL, r.source, r.word, r.related, r.kind, r.pos, p.source, r.id;
