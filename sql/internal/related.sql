-- The words at the other end of a word's edges of one kind, whichever way these point.
-- key: words.key of the word
-- kind: relations.kind
WITH spelled AS (SELECT word, lang FROM words WHERE key = $key)
SELECT related AS other FROM relations SEMI JOIN spelled USING (word, lang) WHERE kind = $kind
UNION
SELECT r.word FROM relations r SEMI JOIN spelled s ON s.word = r.related AND s.lang = r.lang WHERE r.kind = $kind
ORDER BY other;
