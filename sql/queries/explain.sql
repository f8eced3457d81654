-- Every edge between two words, in either direction: stated edges first.
-- a, b: the words; case does not count.
SELECT r.word, r.related, r.kind, r.pos, r.source, s.gloss, r.note, r.rule, r.derived_from, r.negated
FROM relations r LEFT JOIN senses s ON s.id = r.sense
WHERE (word_key(r.word) = word_key($a) AND word_key(r.related) = word_key($b))
   OR (word_key(r.word) = word_key($b) AND word_key(r.related) = word_key($a))
ORDER BY r.rule IS NOT NULL, r.kind, r.source, r.word, r.related, r.id;
