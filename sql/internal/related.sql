-- The words at the other end of a word's edges of one kind, whichever way these point.
-- key: words.key of the word
-- kind: relations.kind
-- lang: relations.lang, or NULL for all
WITH spelled AS MATERIALIZED (SELECT word FROM words WHERE key = $key),
edges AS MATERIALIZED (
    SELECT related AS other, kind, lang FROM relations WHERE word IN (FROM spelled)
    UNION ALL
    SELECT word, kind, lang FROM relations WHERE related IN (FROM spelled)
)
SELECT other FROM edges GROUP BY other HAVING bool_or(kind = $kind AND coalesce(lang = $lang, true)) ORDER BY other;
