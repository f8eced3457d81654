-- The senses, labels and heads under which the sources put a word's relations, with the words under each.
-- $word WORD: the word
WITH spelled AS (SELECT word FROM words WHERE key = $word)
SELECT r.word AS of, r.lang, r.source, r.kind, r.pos, coalesce(s.gloss, r.note) AS note, list_sort(list(DISTINCT r.related)) AS words
FROM relations r LEFT JOIN senses s ON s.id = r.sense
WHERE r.word IN (FROM spelled) AND r.source <> 'negation'
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6;
