-- Every edge of a word as seen from it, with the stated edge that a derived one follows from.
-- word: the word; case does not count.
WITH spelled AS (SELECT word FROM words WHERE key = word_key($word))
SELECT r.word IN (FROM spelled) AS forward, if(r.word IN (FROM spelled), r.related, r.word) AS other, r.kind, r.pos,
       r.source, coalesce(s.gloss, r.note) AS about, r.rule, r.negated,
       p.word AS parent_word, p.related AS parent_related, p.kind AS parent_kind, p.source AS parent_source
FROM relations r
LEFT JOIN senses s ON s.id = r.sense
LEFT JOIN relations p ON p.id = r.derived_from
WHERE (r.word IN (FROM spelled) OR r.related IN (FROM spelled)) AND word_key(r.word) <> word_key(r.related)
ORDER BY r.rule IS NOT NULL, r.source, r.word, r.related, r.kind, r.pos, p.source, r.id;
