-- Every edge that leaves or reaches a word.
-- key: words.key of the word
-- other: words.key of the word at the other end, or NULL for any
WITH spelled AS MATERIALIZED (SELECT word FROM words WHERE key = $key),
mine AS (
    SELECT *, related AS other_end FROM relations WHERE word IN (FROM spelled)
    UNION ALL
    SELECT *, word FROM relations WHERE related IN (FROM spelled)
)
SELECT r.word, r.related, r.kind, r.pos, r.source, r.lang, s.gloss, r.note, r.tags, r.rule, r.negated, r.derived_from
FROM mine r LEFT JOIN senses s ON s.id = r.sense
WHERE $other IS NULL OR word_key(r.other_end) = $other
ORDER BY r.kind, r.rule IS NOT NULL, r.source, r.word, r.related, r.id;
