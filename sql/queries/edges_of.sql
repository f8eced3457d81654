-- Every edge that leaves or reaches a word.
-- word: the word; case does not count.
SELECT r.word, r.related, r.kind, r.pos, r.source, s.gloss, r.note, r.rule, r.derived_from, r.negated
FROM relations r LEFT JOIN senses s ON s.id = r.sense
WHERE word_key($word) IN (word_key(r.word), word_key(r.related))
ORDER BY r.kind, r.rule IS NOT NULL, r.source, r.word, r.related, r.id;
