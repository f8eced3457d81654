-- Every edge that leaves or reaches a word, a derived one with its stated parent.
-- key: words.key of the word
-- other: words.key of the word at the other end, or NULL for any
WITH spelled AS (SELECT word, lang FROM words WHERE key = $key),
mine AS (
    SELECT r.*, r.related AS other_end FROM relations r SEMI JOIN spelled USING (word, lang)
    UNION ALL
    SELECT r.*, r.word FROM relations r SEMI JOIN spelled s ON s.word = r.related AND s.lang = r.lang
)
SELECT r.word, r.related, r.kind, r.pos, r.source, r.lang, s.gloss, r.note, r.tags, r.rule, r.negated,
       p.word, p.related, p.kind, p.pos, p.source, p.lang, t.gloss, p.note, p.tags
FROM mine r
LEFT JOIN senses s ON s.id = r.sense
LEFT JOIN relations p ON p.id = r.derived_from
LEFT JOIN senses t ON t.id = p.sense
WHERE $other IS NULL OR word_key(r.other_end) = $other
ORDER BY r.kind, r.rule IS NOT NULL, r.source, r.word, r.related, r.id;
